"""The shape of a declaration: which keys there are, and what their values may be. Pure.

What only makes sense together is checked by `rules`. Both say at which place of the file something
is wrong.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError

from ...skills.contracts import JsonObject
from .errors import EmptyTeam, Problem, refusal
from .text import Place, Text, place_name

NOBODY = "a team needs at least one child"
NAME = r"^[a-z][a-z0-9_-]{0,62}$"

StrategyName = Literal["one_for_one", "one_for_all", "rest_for_one"]
RestartName = Literal["permanent", "transient", "temporary"]
AutoShutdownName = Literal["never", "any_significant", "all_significant"]

_Seconds = Annotated[float, Field(strict=True, ge=0, le=86_400, allow_inf_nan=False)]
_Times = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
_Amount = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
_Flag = Annotated[bool, Field(strict=True)]


class Shape(BaseModel):
    """Base of all of them: closed to keys that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class IntensityShape(Shape):
    """At most `restarts` within `period_s`, of all children together."""

    restarts: _Times
    period_s: Annotated[float, Field(strict=True, gt=0, le=86_400, allow_inf_nan=False)]


class BackoffShape(Shape):
    """The pause before a restart: none after a quiet time, then growing up to `longest_s`."""

    first_s: _Seconds = 0.2
    longest_s: _Seconds = 60.0


class QuarantineShape(IntensityShape):
    """A child that ends more often than that is left alone for `for_s`, doubled each time."""

    for_s: Annotated[float, Field(strict=True, gt=0, le=86_400, allow_inf_nan=False)] = 60.0


class Child(Shape):
    """One child: an agent, a service or a team."""

    id: str = Field(pattern=NAME)
    agent: str | None = Field(default=None, min_length=1, max_length=100)
    service: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    team: (
        Annotated[
            Annotated[str, Field(min_length=1), Tag("by name")] | Annotated[Group, Tag("inline")],
            Discriminator(lambda value: "by name" if isinstance(value, str) else "inline"),
        ]
        | None
    ) = None
    restart: RestartName = "permanent"
    significant: _Flag = False
    shutdown: Literal["brutal_kill", "infinity"] | _Seconds | None = None
    goal: str | None = Field(default=None, min_length=1, max_length=10_000)
    args: JsonObject = Field(default_factory=dict)
    resources: dict[str, _Amount] = Field(default_factory=dict)


class Group(Shape):
    """A supervisor: how it treats its children, and who they are, in start order."""

    strategy: StrategyName = "one_for_one"
    intensity: IntensityShape = IntensityShape(restarts=5, period_s=30.0)
    auto_shutdown: AutoShutdownName = "never"
    backoff: BackoffShape | None = None
    quarantine: QuarantineShape | None = None
    otp: _Flag = False
    children: tuple[Child, ...]


class Declaration(Group):
    """A team of its own. `teams` are others that children may name."""

    name: str = Field(pattern=NAME)
    restart: RestartName = "transient"
    teams: dict[Annotated[str, Field(pattern=NAME)], Group] = Field(default_factory=dict)


Child.model_rebuild()


def parse(text: Text) -> Declaration:
    """The shape of a text. Raises `InvalidDeclaration`, naming every place."""
    try:
        return Declaration.model_validate(text.data)
    except ValidationError as error:
        problems = [_problem(cast("Mapping[str, Any]", found)) for found in error.errors()]
        raise refusal(placed(_without_echoes(problems), text)) from None


def placed(problems: Sequence[Problem], text: Text) -> list[Problem]:
    """The problems with the lines of their places, in the order of the lines."""
    found = [
        Problem(problem.place, problem.message, problem.error, _line(problem.place, text))
        for problem in problems
    ]
    return sorted(found, key=lambda problem: problem.line or 0)


def _line(place: str, text: Text) -> int | None:
    """The line of a place, or of what it would be in."""
    while place and place not in text.lines:
        cut = max(place.rfind("."), place.rfind("["))
        place = place[: max(cut, 0)]
    return text.lines.get(place)


def _problem(found: Mapping[str, Any]) -> Problem:
    place = _place(found["loc"])
    last = place[-1] if place else ""
    if last == "children" and (found["input"] is None or found["type"] == "missing"):
        return Problem(place_name(place), NOBODY, EmptyTeam)
    return Problem(place_name(place), _message(found, place))


def _message(found: Mapping[str, Any], place: Place) -> str:
    kind, last = found["type"], place[-1] if place else ""
    if kind == "extra_forbidden":
        return f"this key is not known{_meant(place)}"
    if kind == "missing":
        return "is missing"
    shown = _shown(found["input"])
    if kind == "literal_error" and last != "shutdown":
        return f"{shown} is none of {found['ctx']['expected']}"
    wanted = _WANTED.get(str(last)) or _WANTED.get(kind)
    return f"{shown} is not {wanted}" if wanted else f"{found['msg']}, not {shown}"


_WANTED = {
    "shutdown": "a number of seconds, brutal_kill or infinity",
    "team": "the name of a team, or a team",
    "service": "of the form package.module:Class",
    "string_pattern_mismatch": "a name: lower-case letters, digits, - and _, a letter first",
    "string_type": "a text; in quotes everything is one",
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "tuple_type": "a list",
    "invalid-json-value": "a value of JSON; in quotes it is a text",
}
"""What is wanted, by the key whose value was given, or by what pydantic calls the mistake."""


def _place(location: Sequence[str | int]) -> Place:
    """Where pydantic found something, without the names that it gives to alternatives."""
    place: list[str | int] = []
    for part in location:
        before = place[-1] if place else None
        if before == "team" and part in ("inline", "by name"):
            continue
        if before == "shutdown" and not isinstance(part, int):
            continue
        if part != "[key]":
            place.append(part)
    return tuple(place)


def _without_echoes(problems: Sequence[Problem]) -> list[Problem]:
    """One for each place: every alternative of a value says that it is not that one."""
    return list({problem.place: problem for problem in problems[::-1]}.values())[::-1]


def _meant(place: Place) -> str:
    """What a misspelt key may have been meant to be."""
    inside = next((part for part in reversed(place[:-1]) if not isinstance(part, int)), "")
    shapes: dict[str | int, type[Shape]] = {
        "": Declaration,
        "intensity": IntensityShape,
        "backoff": BackoffShape,
        "quarantine": QuarantineShape,
        "children": Child,
    }
    known = list(shapes.get(inside, Group).model_fields)
    near = difflib.get_close_matches(str(place[-1]), known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"
