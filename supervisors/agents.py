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

from ..cluster import faults
from ..cluster.engine import ActorRef
from ..cluster.errors import AosError
from ..cluster.exits import Exit
from ..cluster.postgres import Database, DatabaseUnavailable, dsn_of
from ..cluster.settings import Settings, load
from ..cluster.telemetry import configure, logger
from .hosts import Host, living_hosts, take_host
from .spec import ChildSpec, Restart
from .state import Dismissed, Phase, Report, Wanted
from .store import Activation, ActivationStore, EventRecorder
from .supervisor import Supervisor
from .tree import AGENTS, agent_supervisor

_ACTIVATE_SECONDS = 5.0
_SHED_IDLE_SECONDS = 1.0
_PARTITION_SECONDS = 3_600.0

log = logger(__name__)


class ActiveAgent:
    """An agent in its host: what the supervisor keeps alive."""

    def __init__(self, host: Host, activation: Activation) -> None:
        self.host, self.activation = host, activation

    async def watch(self) -> Exit:
        """Return when the host process has ended."""
        activation = self.activation
        return await self.host.watch(f"agent:{activation.tenant}/{activation.name}")

    async def stop(self, seconds: float | None) -> None:
        """End the process: what matters is in the journal, so there is nothing to wait for."""
        del seconds
        self.host.ref.kill()

    async def describe(self) -> dict[str, Any]:
        """Epoch and process."""
        return {"pid": self.host.pid, "epoch": self.activation.epoch, "kind": "agent"}


class Activator:
    """Starts agents: a host, a higher epoch, and the identity handed over."""

    def __init__(self, store: ActivationStore) -> None:
        self._store = store
        self.adoptable: dict[str, ActiveAgent] = {}
        self._epochs: dict[str, int] = {}
        self._manager: ActorRef | None = None

    async def start(self, spec: ChildSpec) -> ActiveAgent:
        """Adopt the agent if it lives from before, else activate it anew."""
        if (alive := self.adoptable.pop(spec.id, None)) is not None:
            self._epochs[spec.id] = alive.activation.epoch
            return alive
        host, self._manager = await take_host(self._manager)
        try:
            faults.point("supervisor.activating")
            seen = self._epochs.pop(spec.id, None)
            activation = await self._store.activate(
                UUID(spec.id), host.ref.name, host.pid, host.node, seen=seen
            )
            await host.ref.call(
                "activate", spec.id, activation.tenant, activation.epoch, timeout=_ACTIVATE_SECONDS
            )
        except BaseException:
            host.ref.kill()
            raise
        self._epochs[spec.id] = activation.epoch
        return ActiveAgent(host, activation)

    def epoch_of(self, child: str) -> int | None:
        """The epoch of the agent's last activation, if this process has made or adopted it."""
        return self._epochs.get(child)

    def forget(self, child: str) -> None:
        """The agent was made passive, which raised its epoch: the one we knew is not current."""
        self._epochs.pop(child, None)

    async def progressed(self, spec: ChildSpec) -> bool:
        """Whether the last activation committed an outcome."""
        try:
            return await self._store.progressed(UUID(spec.id), self._epochs.get(spec.id, 0))
        except DatabaseUnavailable:
            return True  # an outage is nobody's fault: do not count against the agent


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
        self._agents = Supervisor(
            agent_supervisor(settings.agent_max_hosts), self._activator, self._record
        )
        await self._store.claim(os.getpid())
        await self._find_living()
        for agent_id in self._activator.adoptable:
            self._serve_agent(UUID(agent_id))
        self._tasks = [
            asyncio.create_task(service, name=name)
            for name, service in (
                ("recorder", self._recorder.run()),
                ("agents", self._agents.run()),
                ("rescue", self._forever(self._rescue, settings.rescue_interval)),
                ("passivate", self._forever(self._passivate_idle, settings.rescue_interval)),
                ("partitions", self._forever(self._store.make_partitions, _PARTITION_SECONDS)),
            )
        ]

    async def _find_living(self) -> None:
        believed = {active.host: active for active in await self._store.active()}
        for host, about in await living_hosts():
            active = believed.get(host.ref.name)
            if active is not None and (about["agent_id"], about["epoch"]) == (
                str(active.agent_id),
                active.epoch,
            ):
                self._activator.adoptable[str(active.agent_id)] = ActiveAgent(host, active)
            else:
                host.ref.kill()

    def _serve_agent(self, agent_id: UUID) -> None:
        """Have the agent active, and awake. Nobody waits for it: an agent that takes long to start
        must not delay the others.
        """
        child = str(agent_id)
        if (running := self._agents.running.get(child)) is not None:
            running.host.ref.tell("wake")
        else:
            self._agents.tell(Wanted(ChildSpec(child, "agent", Restart.PERMANENT)))

    async def _rescue(self) -> None:
        overdue = timedelta(seconds=self._settings.rescue_interval)
        for agent_id, waiting in (await self._store.needy(overdue)).items():
            if waiting or str(agent_id) not in self._agents.running:
                self._serve_agent(agent_id)

    async def _passivate_idle(self) -> None:
        full = len(self._agents.state.children) >= self._settings.agent_max_hosts
        limit = _SHED_IDLE_SECONDS if full else self._settings.agent_idle_seconds
        for child, running in list(self._agents.running.items()):
            state = self._agents.state.children.get(child)
            if state is None or state.phase is not Phase.RUNNING:
                continue
            try:
                about = await running.host.ref.call("whoami", timeout=_ACTIVATE_SECONDS)
            except AosError:
                continue  # its watch will tell
            activation = running.activation
            if about["idle_s"] >= limit and await self._store.passivate(
                activation.agent_id, activation.epoch
            ):
                idle = f"idle for {about['idle_s']:.0f} s"
                self._record(AGENTS, Report(child, "passivated", "", idle))
                self._activator.forget(child)
                self._agents.tell(Dismissed(child))

    async def _forever(self, step: Any, interval: float) -> None:
        """A reconciling loop: an outage or a bug in one round does not end it."""
        while True:
            try:
                await step()
            except Exception as error:
                log.warning("round failed", loop=step.__name__, error=repr(error))
            await asyncio.sleep(interval)

    def _record(self, supervisor: str, report: Report) -> None:
        epoch = self._activator.epoch_of(report.child)
        self._recorder.record(supervisor, report, epoch=epoch)
        if report.kind == "quarantined":
            until = datetime.now(UTC) + report.delay
            self._tasks.append(asyncio.create_task(self._show_quarantine(report.child, until)))

    async def _show_quarantine(self, child: str, until: datetime) -> None:
        """For people to see, and for a successor of ours; this process holds to it either way."""
        try:
            await self._store.quarantine(UUID(child), until)
        except AosError as error:
            log.warning("a quarantine is not shown", child=child, detail=error.detail)
