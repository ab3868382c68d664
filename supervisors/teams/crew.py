"""Where members are in the teams that are there, and what may be asked for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from ...cluster.exits import Exit
from ..children import Running
from ..nested import NestedSupervisor
from ..spec import ChildSpec, SupervisorSpec
from ..state import Child, Phase, Released, RestartChild, TerminateChild, Wanted
from ..supervisor import Supervisor
from .errors import ChildNotFound, TeamNotRunning
from .members import Member
from .specs import SUPERVISOR
from .store import Plan

_REQUESTS = {"terminate": TerminateChild, "restart": RestartChild, "release": Released}
_ABSENT = (Phase.STOPPED, Phase.QUARANTINED)

Path = tuple[str, ...]


@dataclass(slots=True)
class Team:
    """A team that is kept: as a child of its parent, what is in it, and how it stands.

    `wanted`: its row says that it should run. `live` is its supervisor from the first moment to the
    last. `end`: it ended by itself and for good, and its row does not say so yet.
    """

    plan: Plan
    child: ChildSpec
    spec: SupervisorSpec
    wanted: bool = True
    live: NestedSupervisor | None = None
    end: Exit | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a child stands: the ids that lead to it within its team."""

    team_id: UUID
    path: Path


class Crew:
    """The members of `teams`, which are children of `parent`."""

    def __init__(self, parent: Supervisor[Running], teams: Mapping[UUID, Team]) -> None:
        self._parent, self._teams = parent, teams
        self._places: dict[UUID, _Place] = {}
        self._held: dict[_Place, int] = {}

    def join(self, plan: Plan) -> None:
        """A team's members have places from now on."""
        for path, agent_id in plan.agents.items():
            self._places[agent_id] = _Place(plan.team_id, tuple(path.split("/")))

    def leave(self, team_id: UUID) -> None:
        """They have none any more."""
        kept = {agent: place for agent, place in self._places.items() if place.team_id != team_id}
        self._places = kept
        self.let_go(team_id)

    def let_go(self, team_id: UUID) -> None:
        """The team starts anew: nobody in it is held."""
        self._held = {place: life for place, life in self._held.items() if place.team_id != team_id}

    def member(self, agent_id: UUID) -> tuple[Supervisor[Running], ChildSpec] | None:
        """The supervisor whose child the agent is, and as what. None if its team, or the inner
        team that it is in, is not there now.
        """
        place = self._places.get(agent_id)
        if place is None:
            return None
        supervisor, _ = self._reach(self._teams[place.team_id], place.path[:-1])
        spec = find(self._teams[place.team_id].spec, place.path)
        return None if supervisor is None or spec is None else (supervisor, spec)

    def serve(self, agent_id: UUID) -> bool:
        """The agent has a run: have it at work in its team. False if no team binds it just now, and
        it is to be served like any other. A member that a person has terminated is left alone.
        """
        place = self._places.get(agent_id)
        if place is None:
            return False
        if (found := self.member(agent_id)) is None:
            _, binds = self._reach(self._teams[place.team_id], place.path[:-1])
            return binds
        supervisor, spec = found
        running = supervisor.running.get(spec.id)
        if isinstance(running, Member):
            running.wake()
        elif not self._is_held(place, supervisor.state.children.get(spec.id)):
            supervisor.tell(Wanted(spec))
        return True

    async def administer(self, team_id: UUID, path: str, verb: str) -> None:
        """`terminate`, `restart` or `release` a child. Raises `TeamNotRunning`, `ChildNotFound`;
        `RequestRefused` with OTP's word for why.
        """
        team = self._teams.get(team_id)
        if team is None:
            raise TeamNotRunning("the team is not running")
        place = _Place(team_id, tuple(path.split("/")))
        *inner, child = place.path
        if find(team.spec, place.path) is None:
            raise ChildNotFound(f"{team.plan.name} has no child {path!r}")
        supervisor, _ = self._reach(team, tuple(inner))
        if supervisor is None:
            raise TeamNotRunning(f"{'/'.join((team.plan.name, *inner))} is not running")
        before = supervisor.state.children.get(child)
        await supervisor.request(_REQUESTS[verb](child))
        self._held.pop(place, None)
        if verb == "terminate" and before is not None:
            self._held[place] = before.life

    def _reach(self, team: Team, inner: Path) -> tuple[Supervisor[Running] | None, bool]:
        """The supervisor at a place, if it is there; and whether it binds its members, which it
        also does while it comes or goes.
        """
        top = self._parent.state.children.get(team.child.id)
        if top is None:  # it was wanted in this instant, or it is over
            return None, team.wanted and team.end is None
        supervisor, binds = _entered(top, team.live)
        for name in inner:
            if supervisor is None:
                return None, binds
            child = supervisor.state.children.get(name)
            supervisor, binds = _entered(child, supervisor.running.get(name))
        return supervisor, binds

    def _is_held(self, place: _Place, child: Child | None) -> bool:
        life = self._held.get(place)
        return life is not None and (child is None or child.life == life)


def find(spec: SupervisorSpec, path: Path) -> ChildSpec | None:
    """The child at a path below a supervisor."""
    found: ChildSpec | None = None
    children = spec.children
    for name in path:
        found = next((child for child in children if child.id == name), None)
        if found is None:
            return None
        children = found.args["spec"].children if found.start == SUPERVISOR else ()
    return found


def _entered(
    child: Child | None, running: Running | None
) -> tuple[Supervisor[Running] | None, bool]:
    """The supervisor that a child is, if it is there; and whether it binds its members."""
    if child is None or child.phase in _ABSENT:
        return None, False
    if not isinstance(running, NestedSupervisor) or running.supervisor.state.ending is not None:
        return None, True
    return running.supervisor, True
