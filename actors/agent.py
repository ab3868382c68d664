"""The Ray actor: a thin shell around the run machine.

It starts blank and is given its identity by `activate`, so that spare processes can be kept warm;
`deactivate` takes it away again, and the process can be another agent of the same tenant.
From then on one loop takes up the agent's unfinished runs, new ones as well as those that an
earlier activation left, and drives each to its end. The process ends itself when it learns that it
is no longer the agent (exit code 70) or when something unexpected happened (71): its state may be
corrupt, and what matters is in the journal. Its supervisor is told which, within milliseconds.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any
from uuid import UUID

import psutil

from ..cluster import faults
from ..cluster.clock import SystemClock
from ..cluster.engine import TaskOptions, call_self, own_node, stream
from ..cluster.errors import SupervisionError
from ..cluster.exits import Exit, ExitReason
from ..cluster.postgres import Database, DatabaseUnavailable, dsn_of
from ..cluster.settings import Settings, load
from ..cluster.telemetry import bound, configure, logger
from ..skills.contracts import JsonValue
from .caller import TaskCaller
from .driver import Environment, RunDriver
from .farewell import Farewell
from .outputs import Outputs
from .pulse import Pulse
from .rehearsal import rehearse
from .runs.journal import JournalWriter, LeaseLost
from .runs.state import RunState
from .runs.store import RunStore
from .worker import PREPARE, registry

EXIT_FENCED = 70
EXIT_TAINTED = 71

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_LONGEST_DETAIL = 300

log = logger(__name__)


class AlreadyActivated(SupervisionError):
    """The process is an agent already: another one, or this one at another epoch."""

    code = "AOS-4002"
    title = "This process is an agent already."
    next_action = "Nothing: the supervisor uses another process."


class StillBusy(SupervisionError):
    """The process is asked to be nobody while it drives runs."""

    code = "AOS-4005"
    title = "The agent has runs under way."
    next_action = "Nothing: the supervisor ends the process instead."


class AgentActor:
    """One process, one agent at a time. Every method but `watch` and `drain` answers at once."""

    def __init__(self) -> None:
        self._settings: Settings | None = None
        self._database: Database | None = None
        self._activation: _Activation | None = None
        self._pulse = Pulse()
        self._farewell = Farewell()

    async def prepare(self) -> dict[str, Any]:
        """Become warm: settings and skills read, database connected, one task sent through Ray."""
        settings = self._ready()
        self._pulse.begin(settings.orphan_seconds)
        async for _ in stream(PREPARE, "0", TaskOptions(name="prepare", cpus=0.5)):
            pass
        await rehearse(self._connected(settings), registry().catalog())
        return {"pid": os.getpid(), "node": own_node()}

    async def activate(
        self, agent_id: str, tenant: str, epoch: int, leaves: bool, name: str
    ) -> None:
        """Become this agent at this epoch. Returns before any run is taken up. `leaves`: end when
        at least one run was driven and none is left. `name`: the agent's, for Ray's views.
        """
        if self._activation is not None:
            raise AlreadyActivated(f"asked to be {agent_id}")
        settings = self._ready()
        database = self._connected(settings)
        self._activation = _Activation(
            settings, database, UUID(agent_id), tenant, epoch, self._farewell
        )
        self._activation.leaves = leaves
        self._activation.start()
        call_self("live", name=f"agent:{tenant}/{name}")
        faults.point("agent.activated")

    async def wake(self) -> None:
        """Look for runs now. A hint: without it they are found within a second."""
        if self._activation is not None:
            self._activation.woken.set()

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, and return when what is under way has come to its end, or time is up.
        The process is ended after this.
        """
        if self._activation is not None:
            await self._activation.drain(seconds)

    async def deactivate(self) -> dict[str, Any]:
        """Be nobody again. Raises `StillBusy`."""
        if self._activation is not None:
            self._activation.end()
            self._activation = None
        return self._about()

    async def live(self) -> None:
        """Return when this process is the agent no more. The call does nothing but carry the
        agent's name in Ray's views, which know the process by another.
        """
        if self._activation is not None:
            await self._activation.over.wait()

    async def whoami(self) -> dict[str, Any]:
        """Who this process is and what it is doing."""
        return self._about()

    async def beat(self) -> dict[str, Any]:
        """A sign of life, called in the control thread: `lag_s` tells how long the event loop that
        does the work has stood still.
        """
        return {**self._about(), "lag_s": self._pulse.beat()}

    def _about(self) -> dict[str, Any]:
        activation = self._activation
        return {
            "pid": os.getpid(),
            "agent_id": str(activation.agent_id) if activation else None,
            "epoch": activation.epoch if activation else 0,
            "runs": len(activation.drivers) if activation else 0,
            "idle_s": activation.idle_seconds() if activation else 0.0,
            "rss": psutil.Process().memory_info().rss,
        }

    async def watch(self, heard: bool = False) -> dict[str, str]:
        """Answered only when this process leaves by itself, with its `Exit.last_word`; to callers
        that have `heard` it never. Any other end they learn of by the call's failure.
        """
        return await self._farewell.watch(heard)

    def _ready(self) -> Settings:
        if self._settings is None:
            self._settings = load()
            logs = self._settings.home / "logs"
            logs.mkdir(parents=True, exist_ok=True)
            configure(self._settings.log_level, file=logs / "agents.jsonl")
        return self._settings

    def _connected(self, settings: Settings) -> Database:
        if self._database is None:
            self._database = Database(dsn_of(settings), application_name="aos-agent")
        return self._database


class _Activation:
    """An agent's life in this process, from `activate` to the process's end."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        agent_id: UUID,
        tenant: str,
        epoch: int,
        farewell: Farewell,
    ) -> None:
        self.agent_id, self.tenant, self.epoch = agent_id, tenant, epoch
        self._farewell = farewell
        self.woken, self.over = asyncio.Event(), asyncio.Event()
        self.drivers: dict[UUID, asyncio.Task[None]] = {}
        self.leaves = False
        self._has_driven = False
        self._driving: dict[UUID, RunDriver] = {}
        self._store = RunStore(database)
        self._unreadable: set[UUID] = set()
        self._wary = epoch > 1
        self._busy_at = time.monotonic()
        self._limit = 1
        self._environment = Environment(
            tenant=tenant,
            epoch=epoch,
            catalog=registry().catalog(),
            call=TaskCaller(settings.agent_parallel_steps),
            journal=JournalWriter(database, agent_id, tenant, epoch),
            outputs=Outputs(self._blob),
            clock=SystemClock(),
            blob_threshold=settings.blob_threshold,
        )

    def start(self) -> None:
        """Begin to take up runs, in the background."""
        self._main = asyncio.create_task(self._guarded(self._take_up_forever()))

    def end(self) -> None:
        """Take up nothing more. Raises `StillBusy`."""
        if self.drivers:
            raise StillBusy(f"{len(self.drivers)} runs are under way")
        self._main.cancel()
        self.over.set()

    async def drain(self, seconds: float) -> None:
        """Let the calls under way end for so long, then cancel what is left."""
        self._main.cancel()
        for driver in self._driving.values():
            driver.draining = True
        calling = [self.drivers[run_id] for run_id, d in self._driving.items() if d.is_calling]
        if calling:
            await asyncio.wait(calling, timeout=seconds)
        for task in self.drivers.values():
            task.cancel()

    def idle_seconds(self) -> float:
        """Seconds since there was a run to drive."""
        return 0.0 if self.drivers else time.monotonic() - self._busy_at

    async def _take_up_forever(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            self.woken.clear()
            try:
                await self._take_up()
            except DatabaseUnavailable as error:
                log.warning("waiting for postgres", detail=error.detail, retry_in_s=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            pause = _FIRST_PAUSE
            if self.leaves and self._has_driven and not self.drivers:
                await self._leave(Exit(ExitReason.NORMAL, "its work is done"), 0)
            await self.woken.wait()

    async def _take_up(self) -> None:
        known = self.drivers.keys() | self._unreadable
        found = await self._store.unfinished(
            self.tenant, self.agent_id, known=known, limit=self._limit - len(self.drivers)
        )
        for run_id, state in found.items():
            if isinstance(state, RunState):
                self._drive(state, wary=self._wary)
            else:
                self._unreadable.add(run_id)
                log.error("journal cannot be read", run_id=str(run_id), detail=str(state))
        self._wary = False  # what comes from now on, no earlier activation has seen

    def _drive(self, state: RunState, *, wary: bool) -> None:
        wider = state.origin.profile.limits.concurrent_runs
        if wider != self._limit:
            # The first run tells the agent's width; the rest of its queue is looked up again.
            self._limit = wider
            self.woken.set()
        task = asyncio.create_task(self._guarded(self._drive_to_end(state, wary)))
        self.drivers[state.run_id] = task

    async def _drive_to_end(self, state: RunState, wary: bool) -> None:
        with bound(run_id=str(state.run_id), agent_id=str(self.agent_id), epoch=self.epoch):
            log.info("run taken up", status=state.status, seq=state.seq)
            driver = self._driving[state.run_id] = RunDriver(state, self._environment, wary=wary)
            try:
                ended = await driver.drive()
            finally:
                del self._driving[state.run_id]
            log.info("run left" if driver.draining else "run ended", status=ended.status)
        del self.drivers[state.run_id]
        self._has_driven = True
        self._busy_at = time.monotonic()
        self.woken.set()

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except LeaseLost as error:
            log.warning("fenced", detail=error.detail)
            await self._leave(Exit(ExitReason.FENCED, error.detail), EXIT_FENCED)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            log.error("unexpected, leaving", error=repr(error), exc_info=True)
            detail = f"{type(error).__name__}: {error}"[:_LONGEST_DETAIL]
            await self._leave(Exit(ExitReason.CRASH, detail), EXIT_TAINTED)

    async def _leave(self, exit_: Exit, code: int) -> None:
        await self._farewell.leave(exit_, code, (self._main, *self.drivers.values()))

    async def _blob(self, run_id: UUID, digest: str) -> JsonValue:
        return await self._store.blob(self.tenant, run_id, digest)
