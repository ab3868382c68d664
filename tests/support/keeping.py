"""Teams without processes or Postgres: rows in a dictionary, children that end at a test's word."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

from aos.cluster.clock import VirtualClock
from aos.cluster.exits import Exit, ExitReason
from aos.cluster.postgres import DatabaseUnavailable
from aos.supervisors.children import Running
from aos.supervisors.kinds import ByKind
from aos.supervisors.spec import ChildSpec, Restart
from aos.supervisors.state import Report
from aos.supervisors.supervisor import Supervisor
from aos.supervisors.teams.keeper import TeamKeeper
from aos.supervisors.teams.members import MemberStarter
from aos.supervisors.teams.rules import declared, members
from aos.supervisors.teams.specs import AGENT, SERVICE, TEAM, team_child
from aos.supervisors.teams.store import Plan
from aos.supervisors.tree import agent_supervisor


class Life:
    """One life of an agent or a service: until it is ended, or stopped."""

    def __init__(self, world: World, name: str, agent_id: UUID | None = None, epoch: int = 0):
        self.world, self.name = world, name
        self.end: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()
        self.activation = SimpleNamespace(agent_id=agent_id, epoch=epoch)
        self.host = SimpleNamespace(ref=SimpleNamespace(tell=self._tell))

    async def watch(self) -> Exit:
        return await asyncio.shield(self.end)

    async def stop(self, seconds: float | None) -> None:
        self.world.log.append(f"stop {self.name}")
        self.world.patience[self.name] = seconds
        if self.name not in self.world.stubborn or seconds == 0:
            self.ends(ExitReason.KILLED)

    async def describe(self) -> dict[str, Any]:
        return {"pid": 1, "epoch": self.activation.epoch}

    def ends(self, reason: ExitReason = ExitReason.CRASH, detail: str = "detail") -> None:
        if not self.end.done():
            self.end.set_result(Exit(reason, detail))

    def _tell(self, what: str) -> None:
        self.world.log.append(f"{what} {self.name}")


class Rows:
    """What the keeper reads and says, as `KeeperStore`."""

    def __init__(self) -> None:
        self.plans_by_id: dict[UUID, Plan] = {}
        self.generations: dict[UUID, int] = {}
        self.ended: dict[UUID, Exit] = {}
        self.done: set[UUID] = set()
        self.outage = False

    async def running(self) -> dict[UUID, int]:
        self._reached()
        return dict(self.generations)

    async def plans(self, team_ids: Any) -> list[Plan]:
        self._reached()
        return [self.plans_by_id[team_id] for team_id in team_ids if team_id in self.generations]

    async def end(self, team_id: UUID, generation: int, exit_: Exit) -> bool:
        self._reached()
        if self.generations.get(team_id) != generation:
            return False
        del self.generations[team_id]
        self.ended[team_id] = exit_
        return True

    async def is_done(self, agent_id: UUID) -> bool:
        self._reached()
        return agent_id in self.done

    def _reached(self) -> None:
        if self.outage:
            raise DatabaseUnavailable("the test has pulled the plug", ambiguous=False)


class World:
    """The agents' supervisor with its teams. `log` is what was done, in order, by agents' names."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.violations: list[str] = []
        self.patience: dict[str, float | None] = {}
        self.stubborn: set[str] = set()
        self.passive: list[tuple[str, int]] = []
        self.tenants: set[str | None] = set()
        self.reports: list[tuple[str, Report]] = []
        self.failing: dict[str, Exception] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.lives: dict[str, Life] = {}
        self.names: dict[UUID, str] = {}
        self.active: dict[UUID | None, Life] = {}
        self.adoptable: dict[UUID, Life] = {}
        self.epoch = 0
        self.clock = VirtualClock()
        self.rows = Rows()
        starters: dict[str, Any] = {AGENT: self}
        self.parent: Supervisor[Running] = Supervisor(
            agent_supervisor(64), ByKind(starters), self._record, self.clock
        )
        activations: Any = self
        rows: Any = self.rows
        member_starter = MemberStarter(self, self.parent, rows, activations, self.clock)
        self.keeper = TeamKeeper(
            rows,
            self.parent,
            {AGENT: member_starter, SERVICE: self},
            self._record,
            self.clock,
        )
        starters[TEAM] = self.keeper
        self._task = asyncio.create_task(self.parent.run())

    async def make(self, text: str) -> UUID:
        """A team's row appears, and the keeper sees it."""
        declaration, _ = declared(text)
        team_id = uuid4()
        agents = {m.name: self.agent(m.child.agent) for m in members(declaration) if m.child.agent}
        names = {self.names[agent_id]: agent_id for agent_id in agents.values()}
        self.rows.plans_by_id[team_id] = Plan(
            team_id, "default", declaration.name, 1, declaration, agents, names
        )
        self.rows.generations[team_id] = 1
        await self.look()
        return team_id

    def agent(self, name: str) -> UUID:
        """The id of a registered agent, who is registered by this."""
        known = {each: agent_id for agent_id, each in self.names.items()}
        return known.get(name) or (self.names.setdefault(agent_id := uuid4(), name) and agent_id)

    async def start_again(self, team_id: UUID) -> None:
        """A person starts the team."""
        plan = self.rows.plans_by_id[team_id]
        self.rows.generations[team_id] = self.rows.generations.get(team_id, plan.generation) + 1
        self.rows.plans_by_id[team_id] = Plan(
            plan.team_id, plan.tenant, plan.name, self.rows.generations[team_id],
            plan.declaration, plan.agents, plan.names,
        )  # fmt: skip
        await self.look()

    async def stop(self, team_id: UUID) -> None:
        """A person stops the team."""
        del self.rows.generations[team_id]
        await self.look()

    async def look(self) -> None:
        """One round of the keeper, and what comes of it."""
        await self.settled()
        await self.keeper.reconcile()
        await self.settled()

    async def ends(self, name: str, reason: ExitReason = ExitReason.CRASH) -> None:
        """An agent or a service ends by itself."""
        self.lives[name].ends(reason)
        await self.settled()

    async def later(self, seconds: float) -> None:
        """Time passes."""
        await self.clock.advance(seconds)
        await self.settled()

    async def settled(self) -> None:
        """Return when everything that can happen without time passing has happened."""
        for _ in range(100):
            await asyncio.sleep(0)

    def phase(self, team_id: UUID) -> str | None:
        """How the team stands as a child."""
        child = self.parent.state.children.get(team_child(team_id, "permanent").id)
        return None if child is None else child.phase.value

    def told(self) -> list[str]:
        """What was done since it was last asked."""
        told, self.log[:] = list(self.log), []
        return told

    async def close(self) -> None:
        """Stop deciding."""
        assert self.violations == []
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def _record(self, supervisor: str, report: Report, tenant: str | None = None) -> None:
        self.tenants.add(tenant)
        self.reports.append((supervisor, report))

    # as the starter of agents and of services

    async def start(self, spec: ChildSpec) -> Life:
        agent_id = UUID(spec.args["agent_id"]) if spec.start == AGENT else None
        name = spec.id if agent_id is None else self.names[agent_id]
        self.log.append(f"start {name}")
        if name in self.gates:
            await self.gates[name].wait()
        if name in self.failing:
            raise self.failing[name]
        if (
            agent_id is not None
            and agent_id in self.active
            and not self.active[agent_id].end.done()
        ):
            self.violations.append(f"{name} has two supervisors")
        self.epoch += 1
        life = self.lives[name] = Life(self, name, agent_id, self.epoch)
        if agent_id is not None:
            self.active[agent_id] = life
        return life

    async def progressed(self, spec: ChildSpec) -> bool:
        if spec.start == AGENT:
            self.active.pop(UUID(spec.args["agent_id"]), None)
        return False

    def forget(self, agent_id: UUID) -> None:
        self.log.append(f"forget {self.names[agent_id]}")

    # as the store of activations

    async def passivate(self, agent_id: UUID, epoch: int) -> bool:
        self.passive.append((self.names[agent_id], epoch))
        return True


def single(agent_id: UUID) -> ChildSpec:
    """An agent that is nobody's member."""
    return ChildSpec(str(agent_id), AGENT, Restart.TRANSIENT, args={"agent_id": str(agent_id)})
