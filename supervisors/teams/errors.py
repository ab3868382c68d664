"""What is refused about teams.

SupervisionError
├── InvalidDeclaration       AOS-4110   a key, a value, a form
│   ├── UnreadableText       AOS-4111
│   ├── TooLarge             AOS-4112
│   ├── DuplicateChild       AOS-4113
│   ├── EmptyTeam            AOS-4114
│   ├── UnknownTeam          AOS-4115
│   ├── TeamCycle            AOS-4116
│   ├── NeverSignificant     AOS-4117
│   ├── UnknownAgent         AOS-4118
│   ├── UnusableService      AOS-4119
│   └── AgentTwice           AOS-4120
├── AgentTaken               AOS-4121
├── TeamExists               AOS-4122
├── TeamNotFound             AOS-4123
├── ChildNotFound            AOS-4124
├── TeamNotRunning           AOS-4125
└── TeamsNotKnown            AOS-4127      AOS-4126 is in `service.py`
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...cluster.errors import Blame, SupervisionError


class InvalidDeclaration(SupervisionError):
    """A declaration that no team can be made of. `context["errors"]` names each place."""

    code = "AOS-4110"
    title = "The declaration of the team cannot be used."
    next_action = "Correct the places named above and create the team again."
    blame = Blame.CALLER


class UnreadableText(InvalidDeclaration):
    """The text is neither YAML nor JSON, or is not one mapping."""

    code = "AOS-4111"
    title = "The declaration is not YAML or JSON."
    next_action = "Correct the line named above; a declaration is one YAML or JSON mapping."


class TooLarge(InvalidDeclaration):
    """The text, its depth, or what comes of it is over a bound."""

    code = "AOS-4112"
    title = "The declaration is too large."
    next_action = "Make several smaller teams of it."


class DuplicateChild(InvalidDeclaration):
    """Two children of one team have the same id."""

    code = "AOS-4113"
    title = "Two children of a team have the same id."
    next_action = "Give each child of a team an id of its own."


class EmptyTeam(InvalidDeclaration):
    """A team has nobody to keep alive."""

    code = "AOS-4114"
    title = "A team has no children."
    next_action = "List at least one child under `children`."


class UnknownTeam(InvalidDeclaration):
    """A child is a team by a name that the file does not explain."""

    code = "AOS-4115"
    title = "A team is named that the file does not declare."
    next_action = "Declare it under `teams` of the same file, or correct the name."


class TeamCycle(InvalidDeclaration):
    """Named teams contain each other."""

    code = "AOS-4116"
    title = "Teams contain each other."
    next_action = "Take one of the teams named above out of the circle."


class NeverSignificant(InvalidDeclaration):
    """Significance that can have no effect, or never the one that is meant."""

    code = "AOS-4117"
    title = "A significant child, or an auto_shutdown, can never have its effect."
    next_action = "Make the child transient or temporary, and set auto_shutdown, or leave both out."


class UnknownAgent(InvalidDeclaration):
    """An agent is named that the caller's tenant does not have."""

    code = "AOS-4118"
    title = "An agent is named that is not registered."
    next_action = "Register it with `aos agent create NAME`, or correct the name."


class UnusableService(InvalidDeclaration):
    """A service's class cannot be imported or is not a service."""

    code = "AOS-4119"
    title = "A service cannot be used."
    next_action = (
        "Install its package where AOS runs; the class needs `async def run(self)` and a "
        "constructor that takes `args`."
    )


class AgentTwice(InvalidDeclaration):
    """One agent is two members of the team."""

    code = "AOS-4120"
    title = "An agent is a member twice."
    next_action = "Name each agent once; register another with the same profile if you need two."


class AgentTaken(SupervisionError):
    """An agent is a member of another team."""

    code = "AOS-4121"
    title = "An agent belongs to another team."
    next_action = "Remove that team with `aos team rm TEAM`, or use another agent."
    blame = Blame.CALLER


class TeamExists(SupervisionError):
    """The name is taken by a team with another declaration."""

    code = "AOS-4122"
    title = "A team of this name exists already."
    next_action = "Choose another name, or remove the team that exists: `aos team rm TEAM`."
    blame = Blame.CALLER


class TeamNotFound(SupervisionError):
    """There is no such team in the caller's tenant."""

    code = "AOS-4123"
    title = "There is no team with this id or name."
    next_action = "List the teams with `aos team ls`."
    blame = Blame.CALLER


class ChildNotFound(SupervisionError):
    """The team's declaration has no such child."""

    code = "AOS-4124"
    title = "The team has no child of this id."
    next_action = (
        "See its children with `aos team show TEAM`; a child of an inner team is INNER/CHILD."
    )
    blame = Blame.CALLER


class TeamNotRunning(SupervisionError):
    """There is nothing to administer: the team, or the inner team, is not running."""

    code = "AOS-4125"
    title = "The team is not running."
    next_action = "Start it with `aos team start TEAM`, and look with `aos team show TEAM`."
    blame = Blame.CALLER


class TeamsNotKnown(SupervisionError):
    """The process that keeps the teams has just begun, and does not know them yet."""

    code = "AOS-4127"
    title = "The teams are not known just now."
    next_action = "Nothing: it is asked again. If it lasts, look at `aos status`."
    retryable = True
    blame = Blame.PLATFORM


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at one place of a declaration, such as `children[1].restart`."""

    place: str
    message: str
    error: type[InvalidDeclaration] = InvalidDeclaration
    line: int | None = None

    def __str__(self) -> str:
        where = self.place or "the declaration"
        return f"{where}{f' (line {self.line})' if self.line else ''}: {self.message}"


_SHOWN = 5


def refusal(problems: Sequence[Problem]) -> InvalidDeclaration:
    """One error for all that is wrong; its kind is that of the first."""
    detail = "; ".join(map(str, problems[:_SHOWN]))
    if len(problems) > _SHOWN:
        detail += f"; and {len(problems) - _SHOWN} more"
    fields = [
        {
            "field": problem.place,
            "message": problem.message + (f" (line {problem.line})" if problem.line else ""),
        }
        for problem in problems
    ]
    return problems[0].error(detail, errors=fields)
