"""The supervisor whose children are the agents: activation, rescue, passivation.

One process, one actor. It owns no agent: agents go on when it dies, and its successor finds them by
what the host manager knows and by the table. What it decides is fenced twice: its own epoch
must be the current one of its row in `supervisors`, and an agent's epoch must be the one it saw.

A poke (somebody committed a run) is a hint and may be lost. `_rescue` is the guarantee: it
looks at all unfinished runs once a second, and whoever has one is made active. It is a loop and
never a one-shot at start; it acts on what the tables say now, so it cannot act on old news.
"""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ..cluster.errors import AosError
from ..cluster.exits import Exit, ExitReason
from ..cluster.postgres import Database, dsn_of
from ..cluster.settings import Settings, load
from ..cluster.telemetry import configure, logger
from .activation import Activator
from .children import Running, Starter
from .hosts import living_hosts
from .kinds import ByKind
from .service_child import ServiceStarter
from .spec import ChildSpec, Restart
from .state import Report, Wanted
from .store import ActivationStore, EventRecorder
from .supervisor import Supervisor
from .teams.keeper import TeamKeeper
from .teams.members import MemberStarter
from .teams.specs import AGENT, SERVICE, TEAM
from .teams.store import KeeperStore
from .tree import AGENTS, agent_supervisor

_ACTIVATE_SECONDS = 5.0
_SHED_IDLE_SECONDS = 1.0
_PARTITION_SECONDS = 3_600.0

log = logger(__name__)


def agent_child(agent_id: UUID) -> ChildSpec:
    """An agent that is nobody's member: it comes when it has work, and goes when it is idle."""
    return ChildSpec(str(agent_id), AGENT, Restart.TRANSIENT, args={"agent_id": str(agent_id)})


class AgentSupervisor:
    """The Ray actor."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []
        self._starting: asyncio.Lock | None = None

    async def start(self) -> dict[str, Any]:
        """Claim the agents, adopt those alive, and serve. Asking again changes nothing."""
        self._starting = self._starting or asyncio.Lock()
        async with self._starting:
            if not self._tasks:
                await self._begin(load())
        return {"pid": os.getpid(), "kind": "supervisor"}

    async def ping(self) -> dict[str, Any]:
        """Whether this process serves."""
        return {"pid": os.getpid(), "serving": bool(self._tasks)}

    async def poke(self, tenant: str, agent_id: str) -> None:
        """Somebody committed a run for this agent."""
        del tenant
        self._serve_agent(UUID(agent_id))

    async def poke_teams(self) -> None:
        """Somebody changed a team's row."""
        self._teams.poke()

    async def team(self, team_id: str) -> dict[str, Any] | None:
        """How a team and its children stand; None if it is not there."""
        return await self._teams.describe(UUID(team_id))

    async def administer(self, team_id: str, child: str, verb: str) -> None:
        """Terminate, restart or release a child of a team; see `TeamKeeper.administer`."""
        await self._teams.administer(UUID(team_id), child, verb)

    async def report(self) -> dict[str, Any]:
        """The agents as the tree shows them."""
        return {
            "pid": os.getpid(),
            "children": await self._agents.describe(),
        }

    async def watch(self) -> None:
        """Never answer."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """Stop deciding. Agents are ended by whoever ends the cluster, and resume from journals."""
        for task in self._tasks:
            task.cancel()
        await self._services.close()

    async def _begin(self, settings: Settings) -> None:
        logs = settings.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        configure(settings.log_level, file=logs / "supervisors.jsonl")
        self._settings = settings
        self._database = Database(
            dsn_of(settings), max_connections=4, application_name="aos-agents"
        )
        self._store = ActivationStore(self._database, AGENTS)
        self._activator = Activator(self._store)
        self._recorder = EventRecorder(self._database)
        starters: dict[str, Starter[Running]] = {AGENT: self._activator}
        self._agents = Supervisor(
            agent_supervisor(settings.agent_max_hosts), ByKind(starters), self._record
        )
        epoch = await self._store.claim(os.getpid())
        self._teams = starters[TEAM] = self._keeper(epoch)
        await self._find_living()
        # Before anybody is served: whoever lives as a member is adopted by its team.
        await self._teams.reconcile()
        for agent_id in list(self._activator.adoptable):
            self._serve_agent(agent_id)
        self._tasks = [
            asyncio.create_task(service, name=name)
            for name, service in (
                ("recorder", self._recorder.run()),
                ("agents", self._agents.run()),
                ("teams", self._teams.run()),
                ("rescue", self._forever(self._rescue, settings.rescue_interval)),
                ("passivate", self._forever(self._passivate_idle, settings.rescue_interval)),
                ("partitions", self._forever(self._store.make_partitions, _PARTITION_SECONDS)),
            )
        ]

    def _keeper(self, epoch: int) -> TeamKeeper:
        store = KeeperStore(self._database, AGENTS, epoch)
        self._services = ServiceStarter()
        members = MemberStarter(self._activator, self._agents, store, self._store)
        starters: dict[str, Starter[Running]] = {AGENT: members, SERVICE: self._services}
        return TeamKeeper(store, self._agents, starters, self._record)

    async def _find_living(self) -> None:
        believed = {active.host: active for active in await self._store.active()}
        for host, about in await living_hosts():
            active = believed.get(host.ref.name)
            if active is not None and (about["agent_id"], about["epoch"]) == (
                str(active.agent_id),
                active.epoch,
            ):
                self._activator.adoptable[active.agent_id] = (host, active)
            else:
                host.ref.kill()

    def _serve_agent(self, agent_id: UUID) -> None:
        """Have the agent active, and awake. Nobody waits for it: an agent that takes long to start
        must not delay the others.
        """
        if self._teams.serve(agent_id):
            return
        if (active := self._activator.active.get(agent_id)) is not None:
            active.host.ref.tell("wake")
        else:
            self._agents.tell(Wanted(agent_child(agent_id)))

    async def _rescue(self) -> None:
        overdue = timedelta(seconds=self._settings.rescue_interval)
        for agent_id, waiting in (await self._store.needy(overdue)).items():
            if waiting or agent_id not in self._activator.active:
                self._serve_agent(agent_id)

    async def _passivate_idle(self) -> None:
        full = len(self._agents.state.children) >= self._settings.agent_max_hosts
        limit = _SHED_IDLE_SECONDS if full else self._settings.agent_idle_seconds
        for agent_id, agent in list(self._activator.active.items()):
            if not agent.leaves and not self._agents.is_up(str(agent_id)):
                continue  # a permanent member of a team, or on its way already
            try:
                about = await agent.host.ref.call("whoami", timeout=_ACTIVATE_SECONDS)
            except AosError:
                continue  # its watch will tell
            done = agent.leaves and about["driven"] > 0 and about["runs"] == 0
            if (done or (not agent.leaves and about["idle_s"] >= limit)) and (
                await self._store.passivate(agent_id, agent.activation.epoch)
            ):
                self._activator.forget(agent_id)
                agent.left(Exit(ExitReason.NORMAL, "its work is done" if done else "passive"))
                agent.host.ref.kill()

    async def _forever(self, step: Any, interval: float) -> None:
        """A reconciling loop: an outage or a bug in one round does not end it."""
        while True:
            try:
                await step()
            except Exception as error:
                log.warning("round failed", loop=step.__name__, error=repr(error))
            await asyncio.sleep(interval)

    def _record(self, supervisor: str, report: Report) -> None:
        self._recorder.record(supervisor, report)
        if report.kind == "quarantined" and not report.child.startswith(f"{TEAM}:"):
            until = datetime.now(UTC) + report.delay
            self._tasks.append(asyncio.create_task(self._show_quarantine(report.child, until)))

    async def _show_quarantine(self, child: str, until: datetime) -> None:
        """For people to see, and for a successor of ours; this process holds to it either way."""
        try:
            await self._store.quarantine(UUID(child), until)
        except AosError as error:
            log.warning("a quarantine is not shown", child=child, detail=error.detail)
