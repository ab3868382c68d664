"""The supervisor whose children are the agents: activation, rescue, passivation.

One process, one actor. It owns no agent: agents go on when it dies, and its successor finds them by
what the host managers know and by the table. What it decides is fenced twice: its own epoch
must be the current one of its row in `supervisors`, and an agent's epoch must be the one it saw.

A poke (somebody committed a run) is a hint and may be lost. The rescuer (rescue.py) is the
guarantee: whoever has a run that needs a process is made active. It is a loop and never a one-shot
at start; it acts on what the tables say now, so it cannot act on old news.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from ..cluster.errors import AosError
from ..cluster.exits import Exit, ExitReason
from ..cluster.postgres import Database, DatabaseUnavailable, dsn_of
from ..cluster.priority import come_first
from ..cluster.settings import Settings, load
from ..cluster.telemetry import configure, logger
from .activation import Activator, ActiveAgent
from .children import Running, Starter
from .heartbeat import patience
from .hosts.access import Managers
from .hosts.store import HostStore
from .kinds import ByKind
from .rescue import Rescuer
from .spec import ChildSpec, Restart
from .state import PASSIVE, Released, Report, Restored, Wanted
from .store import ActivationStore, EventRecorder
from .supervisor import Supervisor
from .teams.assembly import TeamCalls, TeamsOfAgents
from .teams.specs import AGENT, TEAM
from .tree import AGENTS, agent_supervisor

_ANSWER_SECONDS = 5.0
_SHED_IDLE_SECONDS = 1.0
_MACHINES_SECONDS = 2.0
_PARTITION_SECONDS = 3_600.0
_EXIT_DEPOSED = 70

log = logger(__name__)


def agent_child(agent_id: UUID) -> ChildSpec:
    """An agent that is nobody's member: it comes when it has work, and goes when it is idle."""
    return ChildSpec(str(agent_id), AGENT, Restart.TRANSIENT, args={"agent_id": str(agent_id)})


class AgentSupervisor(TeamCalls):
    """The Ray actor."""

    def __init__(self) -> None:
        come_first()
        self._tasks: list[asyncio.Task[Any]] = []
        self._starting: asyncio.Lock | None = None
        self._outage_at = -float("inf")
        self._again: set[UUID] = set()
        self._leaving: set[UUID] = set()
        self._showing: set[asyncio.Task[None]] = set()

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

    async def release(self, tenant: str, agent_id: str) -> None:
        """End an agent's quarantine. Raises `RequestRefused` if it is not quarantined."""
        del tenant  # the door has looked the agent up in the caller's tenant
        if (member := self.teams.member(UUID(agent_id))) is None:
            await self._agents.request(Released(agent_id))
        else:
            supervisor, spec = member
            await supervisor.request(Released(spec.id))

    async def shed(self, hosts: list[str]) -> None:
        """A machine is short of memory: make the agents of these idle hosts passive."""
        for agent_id, agent in list(self._activator.active.items()):
            if agent.host.ref.name in hosts:
                await self._passivate(agent_id, agent, _SHED_IDLE_SECONDS)

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
        await self.teams.close()

    async def _begin(self, settings: Settings) -> None:
        logs = settings.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        configure(settings.log_level, file=logs / "supervisors.jsonl")
        self._settings = settings
        self._database = Database(
            dsn_of(settings), max_connections=4, application_name="aos-agents"
        )
        self._store = ActivationStore(self._database, AGENTS)
        self._hosts = HostStore(self._database)
        self._managers = Managers(patience(settings))
        self._activator = Activator(self._store, self._managers)
        self._recorder = EventRecorder(self._database)
        starters: dict[str, Starter[Running]] = {AGENT: self._activator}
        self._agents = Supervisor(
            agent_supervisor(settings.agent_max_hosts), ByKind(starters), self._record
        )
        epoch = await self._store.claim(os.getpid())
        starters[TEAM] = self.teams = TeamsOfAgents(
            self._database, epoch, self._activator, self._store, self._agents,
            record=self._record, patience=patience(settings),
        )  # fmt: skip
        await self.teams.reconcile()  # before anybody is served: members belong to their teams
        await self._find_living()
        await self._find_quarantined()
        lease = settings.lease_seconds
        rescuer = Rescuer(
            self._database, self._store, settings, self._serve_agent,
            self._activator.active.__contains__,
        )  # fmt: skip
        self._tasks = [
            asyncio.create_task(service, name=name)
            for name, service in (
                ("recorder", self._recorder.run()),
                ("agents", self._agents.run()),
                ("teams", self.teams.run()),
                ("rescue", self._forever(rescuer.look)),
                ("listen", rescuer.listen()),
                ("parents", rescuer.tell_parents()),
                ("machines", self._forever(self._managers.refresh, _MACHINES_SECONDS)),
                ("takeover", self._forever(self._take_over, lease / 4)),
                ("passivate", self._forever(self._passivate_idle, self._idle_round())),
                ("partitions", self._forever(self._store.make_partitions, _PARTITION_SECONDS)),
            )
        ]

    def _idle_round(self) -> float:
        return max(1.0, min(self._settings.agent_idle_seconds / 10, 10.0))

    async def _find_living(self) -> None:
        believed = {active.host: active for active in await self._store.active()}
        for host, about in await self._managers.living():
            active = believed.get(host.ref.name)
            if active is not None and (about["agent_id"], about["epoch"]) == (
                str(active.agent_id),
                active.epoch,
            ):
                self._activator.adoptable[active.agent_id] = (host, active)
                self._serve_agent(active.agent_id)
            else:
                host.ref.kill()

    async def _find_quarantined(self) -> None:
        for agent_id, until, times in await self._store.quarantined():
            self._agents.tell(Restored(agent_child(agent_id), until, times))

    def _serve_agent(self, agent_id: UUID) -> None:
        """Have the agent active, and awake. Nobody waits for it: an agent that takes long to start
        must not delay the others.
        """
        if agent_id in self._leaving:
            self._again.add(agent_id)
        elif self.teams.serve(agent_id):
            pass  # it is a member of a team that is there
        elif (active := self._activator.active.get(agent_id)) is not None:
            active.host.ref.tell("wake")
        else:
            self._agents.tell(Wanted(agent_child(agent_id)))

    async def _take_over(self) -> None:
        """Agents whose machine does not vouch for them any more are started elsewhere. Not within
        a lease of an outage that we saw: those who vouch could not either.
        """
        lease = timedelta(seconds=self._settings.lease_seconds)
        if not await self._store.is_current():
            log.error("deposed by a newer supervisor process, leaving")
            os._exit(_EXIT_DEPOSED)
        lost = await self._hosts.lost_agents(lease)
        if time.monotonic() - self._outage_at < lease.total_seconds():
            return
        for agent_id, host in lost.items():
            active = self._activator.active.get(agent_id)
            if active is not None and active.host.ref.name == host:
                active.host.ref.kill()
                active.left(Exit(ExitReason.NODE_LOST, "its machine's lease has run out"))

    async def _passivate_idle(self) -> None:
        full = len(self._agents.state.children) >= self._settings.agent_max_hosts
        limit = _SHED_IDLE_SECONDS if full else self._settings.agent_idle_seconds
        beats = await self._managers.beats()
        idle = [
            (beats.get(agent.host.ref.name, {}).get("idle_s", 0.0), agent_id, agent)
            for agent_id, agent in self._activator.active.items()
        ]
        for seconds, agent_id, agent in sorted(idle, key=lambda each: -each[0]):
            # A beat may be one interval old; whether it is idle indeed, it is asked itself.
            if full or seconds + self._settings.heartbeat_interval * 1.1 >= limit:
                await self._passivate(agent_id, agent, limit)

    async def _passivate(self, agent_id: UUID, agent: ActiveAgent, limit: float) -> None:
        """Make an idle agent passive and its process free. What is poked meanwhile is served
        afterwards; what nobody pokes, the rescuer finds.
        """
        if not self._agents.is_up(str(agent_id)):
            return  # a member of a team, or on its way already
        self._leaving.add(agent_id)
        try:
            about = await agent.host.whoami()
            activation = agent.activation
            if about["idle_s"] < limit or not await self._store.passivate(
                agent_id, activation.epoch
            ):
                return
            self._activator.forget(agent_id)
            await self._empty(agent)
            agent.left(PASSIVE)
        except AosError as error:
            log.info("not made passive", agent_id=str(agent_id), detail=error.detail)
        finally:
            self._leaving.discard(agent_id)
            if agent_id in self._again:
                self._again.discard(agent_id)
                self._serve_agent(agent_id)

    async def _empty(self, agent: ActiveAgent) -> None:
        host = agent.host
        try:
            about = await host.ref.call("deactivate", timeout=_ANSWER_SECONDS)
        except AosError as error:
            log.info("ending a host that is not free", host=host.ref.name, detail=error.detail)
            host.ref.kill()
            return
        if host.dedicated:
            host.ref.kill()
        else:
            self._managers.give_back(host, agent.activation.tenant, about["rss"])

    async def _forever(
        self, step: Callable[[], Awaitable[float | None]], interval: float = 1.0
    ) -> None:
        """A reconciling loop: an outage or a bug in one round does not end it. A step may say in
        how many seconds it wants to be called again.
        """
        while True:
            sooner: float | None = None
            try:
                sooner = await step()
            except DatabaseUnavailable as error:
                self._outage_at = time.monotonic()
                log.warning("waiting for postgres", detail=error.detail)
            except Exception as error:
                log.warning("round failed", loop=repr(step), error=repr(error))
            await asyncio.sleep(interval if sooner is None else sooner)

    def _record(self, supervisor: str, report: Report, tenant: str | None = None) -> None:
        epoch = self._activator.epoch_of(report.child)
        tenant = tenant or self.teams.tenant_of(report.child)
        self._recorder.record(supervisor, report, tenant=tenant, epoch=epoch)
        if report.kind == "quarantined" and supervisor == AGENTS:
            showing = asyncio.create_task(self._show_quarantine(report))
            self._showing.add(showing)
            showing.add_done_callback(self._showing.discard)

    async def _show_quarantine(self, report: Report) -> None:
        """For people to see, and for a successor of ours; this process holds to it either way."""
        child = self._agents.state.children.get(report.child)
        try:
            agent_id = UUID(report.child)
            until = datetime.now(UTC) + report.delay
            times = 0 if child is None else child.quarantines
            await self._store.quarantine(agent_id, until, times)
        except (AosError, ValueError) as error:  # a team has no row to show it in
            log.info("a quarantine is not shown", child=report.child, error=repr(error))
