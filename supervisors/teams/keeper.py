"""Keeps the teams that should run.

Level-triggered: each round compares the rows with what is there. That a team ended by itself is
written before anything is compared, so it is never taken for one that is still to be started.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from ...cluster.clock import Clock
from ...cluster.errors import AosError
from ...cluster.exits import Exit
from ...cluster.telemetry import logger
from ..children import NotNeeded, Running, Starter
from ..kinds import ByKind
from ..nested import NestedStarter, NestedSupervisor
from ..spec import ChildSpec, Restart, SupervisorSpec
from ..state import Dismissed, Phase, Released, Report, Wanted
from ..supervisor import Recorder, Supervisor
from .crew import Crew, Team
from .specs import AGENT, SERVICE, SUPERVISOR, supervisor_spec, team_child
from .store import KeeperStore, Plan

ROUND_SECONDS = 10.0

log = logger(__name__)

RecorderOfTenant = Callable[[str, Report, str | None], None]
"""Takes the supervisor's id, a report, and whose it is; must not block."""


class TeamKeeper:
    """The starter of teams as children of `parent`, and all that is known of them there."""

    def __init__(
        self,
        store: KeeperStore,
        parent: Supervisor[Running],
        starters: Mapping[str, Starter[Running]],
        record: RecorderOfTenant,
        clock: Clock | None = None,
    ) -> None:
        """`starters` are those of agents and services; teams within teams are started here."""
        self._store, self._parent, self._record = store, parent, record
        kinds = {AGENT: starters[AGENT], SERVICE: starters[SERVICE]}
        self._nested = NestedStarter(ByKind(kinds), self._recorder, clock)
        kinds[SUPERVISOR] = self._nested
        self._teams: dict[UUID, Team] = {}
        self._crew = Crew(parent, self._teams)
        self._poked = asyncio.Event()

    async def run(self) -> None:
        """Reconcile for ever: when poked, and in any case once in a while."""
        while True:
            self._poked.clear()
            try:
                await self.reconcile()
            except AosError as error:
                log.warning("teams are not looked after just now", detail=error.detail)
            except Exception as error:  # a bug in one round does not end the loop
                log.error("round failed", error=repr(error), exc_info=True)
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self._poked.wait()
            except TimeoutError:
                continue

    def poke(self) -> None:
        """A team's row has changed. A hint: it would be seen anyway, later."""
        self._poked.set()

    async def reconcile(self) -> None:
        """Have those teams run that should, and no others."""
        await self._write_ends()
        running = await self._store.running()
        if unknown := running.keys() - self._teams.keys():
            for plan in await self._store.plans(unknown):
                self._learn(plan)
        for team_id, team in list(self._teams.items()):
            team.wanted = team_id in running
            if not team.wanted:
                self._dismiss(team)
            elif team.end is None:
                self._want(team, running[team_id])

    def member(self, agent_id: UUID) -> tuple[Supervisor[Running], ChildSpec] | None:
        """As `Crew.member`."""
        return self._crew.member(agent_id)

    def serve(self, agent_id: UUID) -> bool:
        """As `Crew.serve`."""
        return self._crew.serve(agent_id)

    async def administer(self, team_id: UUID, path: str, verb: str) -> None:
        """As `Crew.administer`."""
        await self._crew.administer(team_id, path, verb)

    async def describe(self, team_id: UUID) -> dict[str, Any] | None:
        """How the team and its children stand now. None if it is not there."""
        team = self._teams.get(team_id)
        child = None if team is None else self._parent.state.children.get(team.child.id)
        if team is None or child is None:
            return None
        about: dict[str, Any] = {"state": child.phase.value, "restarts": child.restarts}
        if child.until is not None:
            about["until"] = child.until.isoformat()
        return about if team.live is None else {**await team.live.describe(), **about}

    async def start(self, spec: ChildSpec) -> NestedSupervisor:
        """The team with its children. Raises `NotNeeded` if it should not run any more."""
        team = self._teams.get(UUID(spec.args["team_id"]))
        if team is None:
            raise NotNeeded
        self._crew.let_go(team.plan.team_id)
        about = {"kind": "team", "name": team.plan.name, "tenant": team.plan.tenant}
        nested = self._nested.make(team.spec, about, lambda exit_: self._ended(team, exit_))
        team.live, team.end = nested, None
        try:
            await nested.boot()
        except BaseException:
            team.live = None
            raise
        return nested

    async def progressed(self, spec: ChildSpec) -> bool:
        """The team has ended, for whatever reason. It is judged by how long it lived."""
        if (team := self._teams.get(UUID(spec.args["team_id"]))) is not None:
            team.live = None
        return False

    async def _write_ends(self) -> None:
        for team in list(self._teams.values()):
            if (exit_ := team.end) is None:
                continue
            plan = team.plan
            written = await self._store.end(plan.team_id, plan.generation, exit_)
            log.info("a team has ended", team=plan.name, detail=exit_.detail, written=written)
            team.end = None if team.end is exit_ else team.end

    def _learn(self, plan: Plan) -> None:
        try:
            spec = supervisor_spec(plan.declaration, plan.team_id, plan.names)
        except (AosError, KeyError) as error:  # one row that makes no sense holds up no other
            log.error("a team cannot be kept", team=str(plan.team_id), error=repr(error))
            return
        child = team_child(plan.team_id, plan.declaration.restart)
        self._teams[plan.team_id] = Team(plan, child, spec)
        self._crew.join(plan)

    def _want(self, team: Team, generation: int) -> None:
        if generation != team.plan.generation:  # it was started again, maybe out of quarantine
            team.plan = replace(team.plan, generation=generation)
            known = self._parent.state.children.get(team.child.id)
            if known is not None and known.phase is Phase.QUARANTINED:
                self._parent.tell(Released(team.child.id))
        self._parent.tell(Wanted(team.child))

    def _dismiss(self, team: Team) -> None:
        """Have it stopped; once it is gone, forget it."""
        if team.child.id in self._parent.state.children:
            self._parent.tell(Dismissed(team.child.id))
            return
        del self._teams[team.plan.team_id]
        self._crew.leave(team.plan.team_id)

    def _ended(self, team: Team, exit_: Exit) -> None:
        """A team ended and nobody had asked for it. Its parent hears of it after this."""
        team.live = None
        if _is_final(team.child.restart, exit_):
            team.end = exit_
            self.poke()

    def tenant_of(self, child: str) -> str | None:
        """Whose team it is, if the id is that of a team's supervisor, or of one in a team."""
        for team in self._teams.values():
            if child.partition("/")[0] == team.child.id:
                return team.plan.tenant
        return None

    def _recorder(self, spec: SupervisorSpec) -> Recorder:
        """What happens to members is recorded under their agents' ids, as it is of all agents; and
        whatever happens in a team is its tenant's to see.
        """
        ids = {c.id: str(c.args["agent_id"]) for c in spec.children if c.start == AGENT}
        tenant = self.tenant_of(spec.id)

        def record(supervisor: str, report: Report) -> None:
            report = replace(report, child=ids.get(report.child, report.child))
            self._record(supervisor, report, tenant)

        return record


def _is_final(restart: Restart, exit_: Exit) -> bool:
    """Whether a parent does not start a child again that ended so."""
    if restart is Restart.TRANSIENT:
        return exit_.reason.intended
    return restart is Restart.TEMPORARY
