"""What must hold within a declaration beyond the shape of its values. Pure.

The rules are OTP's as far as they are: a significant child must not be permanent, and needs an
auto_shutdown; a supervisor that may end by itself must not be permanent in its parent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from ...cluster.canonical import NotCanonical, canonical
from .declaration import NOBODY, Child, Declaration, Group, parse, placed
from .errors import (
    AgentTwice,
    DuplicateChild,
    EmptyTeam,
    NeverSignificant,
    Problem,
    TeamCycle,
    TooLarge,
    UnknownTeam,
    refusal,
)
from .text import Place, Text, place_name, read

MOST_CHILDREN = 200
DEEPEST_TEAM = 8

_A = {"agent": "an agent", "service": "a service", "team": "a team"}


@dataclass(frozen=True, slots=True)
class Member:
    """A child in its place in the whole team: `path` are the ids that lead to it, `place` is where
    the file says so.
    """

    path: tuple[str, ...]
    child: Child
    place: Place

    @property
    def name(self) -> str:
        """The path as people write it: `desk/planner`."""
        return "/".join(self.path)


def declared(text: str) -> tuple[Declaration, Text]:
    """The declaration that a text is, and its lines. Raises `InvalidDeclaration` with all that is
    wrong.
    """
    source = read(text)
    declaration = parse(source)
    if problems := check(declaration):
        raise refusal(placed(problems, source))
    return declaration, source


def check(declaration: Declaration) -> list[Problem]:
    """Everything that is wrong, nothing if nothing is."""
    problems = [
        problem
        for place, group in groups(declaration)
        for problem in (*_in_group(place, group), *_unknown(place, group, declaration))
    ]
    problems += _restart_of_team((), declaration.restart, declaration)
    problems += _cycles(declaration)
    return problems or _expanded(declaration)


def group_of(child: Child, declaration: Declaration) -> Group | None:
    """The team that a child is, inline or by name; None if it is another thing, or unknown."""
    return declaration.teams.get(child.team) if isinstance(child.team, str) else child.team


def groups(declaration: Declaration) -> Iterator[tuple[Place, Group]]:
    """Every team as the file has them, named ones once."""
    todo: list[tuple[Place, Group]] = [((), declaration)]
    todo += [(("teams", name), group) for name, group in declaration.teams.items()]
    while todo:
        place, group = todo.pop(0)
        yield place, group
        for number, child in enumerate(group.children):
            if isinstance(child.team, Group):
                todo.append(((*place, "children", number, "team"), child.team))


def members(declaration: Declaration) -> Iterator[Member]:
    """Every child of the team and of the teams in it, in start order; a named team as often as it
    is named. Endless if teams contain each other.
    """
    yield from _members(declaration, (), (), declaration)


def _members(
    group: Group, path: tuple[str, ...], place: Place, declaration: Declaration
) -> Iterator[Member]:
    for number, child in enumerate(group.children):
        here: Place = (*place, "children", number)
        yield Member((*path, child.id), child, here)
        if (inner := group_of(child, declaration)) is not None:
            inside = ("teams", child.team) if isinstance(child.team, str) else (*here, "team")
            yield from _members(inner, (*path, child.id), inside, declaration)


def _in_group(place: Place, group: Group) -> Iterator[Problem]:
    if not group.children:
        yield Problem(place_name((*place, "children")), NOBODY, EmptyTeam)
    seen: set[str] = set()
    for number, child in enumerate(group.children):
        here: Place = (*place, "children", number)
        if child.id in seen:
            message = f"{child.id!r} is the id of an earlier child"
            yield Problem(place_name((*here, "id")), message, DuplicateChild)
        seen.add(child.id)
        yield from _kind(here, child)
        yield from _significance(here, child, group)
    if group.quarantine is not None and group.strategy != "one_for_one":
        message = f"needs one_for_one: with {group.strategy} children are restarted together"
        yield Problem(place_name((*place, "quarantine")), message)
    if group.backoff is not None and group.backoff.first_s > group.backoff.longest_s:
        yield Problem(place_name((*place, "backoff")), "first_s is longer than longest_s")
    for name in ("backoff", "quarantine"):
        if group.otp and getattr(group, name) is not None:
            yield Problem(place_name((*place, name)), "OTP has none: leave it out, or `otp`")


def _kind(here: Place, child: Child) -> Iterator[Problem]:
    given = [name for name in ("agent", "service", "team") if getattr(child, name) is not None]
    if len(given) != 1:
        found = "none of them" if not given else " and ".join(given)
        message = f"a child is one of agent, service and team; this has {found}"
        yield Problem(place_name(here), message)
        return
    try:
        canonical([child.agent, child.goal, child.args])
    except NotCanonical as error:
        yield Problem(place_name(here), f"a value cannot be written as JSON: {error}")
    else:
        if "\x00" in f"{child.agent}{child.goal}":
            yield Problem(place_name(here), "a text must not contain NUL characters")
    for name, amount in child.resources.items():
        if amount > 1 and amount != int(amount):
            message = f"{amount:g} of {name} is not possible: above 1 Ray counts whole ones only"
            yield Problem(place_name((*here, "resources", name)), message)
    belongs = {"goal": "agent", "args": "service", "resources": "service"}
    for name, kind in belongs.items():
        if getattr(child, name) and kind != given[0]:
            message = f"only a child that is {_A[kind]} has it; this is {_A[given[0]]}"
            yield Problem(place_name((*here, name)), message)


def _significance(here: Place, child: Child, group: Group) -> Iterator[Problem]:
    place = place_name((*here, "significant"))
    if child.significant and child.restart == "permanent":
        message = f"{child.id} is significant and permanent, so it would never end for good"
        yield Problem(place, message, NeverSignificant)
    if child.significant and group.auto_shutdown == "never":
        message = f"{child.id} is significant, but auto_shutdown of its team is never"
        yield Problem(place, message, NeverSignificant)
    if isinstance(child.team, Group):
        yield from _restart_of_team(here, child.restart, child.team)


def _restart_of_team(here: Place, restart: str, group: Group) -> Iterator[Problem]:
    if restart == "permanent" and group.auto_shutdown != "never":
        message = (
            f"is permanent, so a team with auto_shutdown {group.auto_shutdown} would be "
            "started again each time"
        )
        yield Problem(place_name((*here, "restart")), message, NeverSignificant)


def _unknown(place: Place, group: Group, declaration: Declaration) -> Iterator[Problem]:
    for number, child in enumerate(group.children):
        here = (*place, "children", number)
        if not isinstance(child.team, str):
            continue
        named = declaration.teams.get(child.team)
        if named is None:
            known = ", ".join(declaration.teams) or "there are none"
            message = f"no team {child.team!r} under `teams`: {known}"
            yield Problem(place_name((*here, "team")), message, UnknownTeam)
        else:
            yield from _restart_of_team(here, child.restart, named)


def _cycles(declaration: Declaration) -> list[Problem]:
    """Each circle of named teams once, at the place that closes it."""
    named = _references(declaration)
    problems: list[Problem] = []
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        for place, other in named[name]:
            if other in trail:
                circle = " → ".join((*trail[trail.index(other) :], other))
                problems.append(Problem(place, f"contains itself: {circle}", TeamCycle))
            elif other not in done:
                visit(other, (*trail, other))
        done.add(name)

    for name in named:
        if name not in done:
            visit(name, (name,))
    return problems


def _references(declaration: Declaration) -> dict[str, list[tuple[str, str]]]:
    """Which named teams each named team names, inner teams included, and where."""
    named: dict[str, list[tuple[str, str]]] = {name: [] for name in declaration.teams}
    for place, group in groups(declaration):
        if place[:1] != ("teams",):
            continue
        for number, child in enumerate(group.children):
            if isinstance(child.team, str) and child.team in named:
                where = place_name((*place, "children", number, "team"))
                named[str(place[1])].append((where, child.team))
    return named


def _expanded(declaration: Declaration) -> list[Problem]:
    everybody = list(islice(members(declaration), MOST_CHILDREN + 1))
    if len(everybody) > MOST_CHILDREN:
        return [Problem("", f"more than {MOST_CHILDREN} children in all", TooLarge)]
    too_deep = [member for member in everybody if len(member.path) > DEEPEST_TEAM]
    if too_deep:
        place = place_name(too_deep[0].place)
        return [Problem(place, f"teams are nested more than {DEEPEST_TEAM} deep", TooLarge)]
    problems: list[Problem] = []
    first: dict[str, Member] = {}
    for member in everybody:
        agent = member.child.agent
        if agent is None:
            continue
        if agent in first:
            message = f"agent {agent!r} is a member already, as {first[agent].name}"
            problems.append(Problem(place_name((*member.place, "agent")), message, AgentTwice))
        first.setdefault(agent, member)
    return problems
