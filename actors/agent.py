"""The Ray actor: a thin shell around the run machine.

It starts blank and is given its identity by `activate`, so that spare processes can be kept warm.
From then on one loop takes up the agent's unfinished runs, new ones as well as those that an
earlier activation left, and drives each to its end. The process ends itself when it learns that it
is no longer the agent (exit code 70) or when something unexpected happened (71), such as running
into its memory limit: its state may be corrupt, and what matters is in the journal. Its supervisor
sees either within milliseconds.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any, NoReturn
from uuid import UUID

from ..cluster import faults
from ..cluster.clock import SystemClock
from ..cluster.engine import TaskOptions, own_node, stream
from ..cluster.errors import SupervisionError
from ..cluster.memory import MIB, Rank, lift, limit, take_rank
from ..cluster.postgres import Database, DatabaseUnavailable, dsn_of
from ..cluster.settings import Settings, load
from ..cluster.telemetry import bound, configure, logger
from ..skills.contracts import JsonValue
from .caller import TaskCaller
from .driver import Environment, RunDriver
from .outputs import Outputs
from .runs.journal import JournalWriter, LeaseLost
from .runs.state import RunState
from .runs.store import RunStore
from .worker import PREPARE, registry

EXIT_FENCED = 70
EXIT_TAINTED = 71

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0

log = logger(__name__)


class AlreadyActivated(SupervisionError):
    """The process is an agent already: another one, or this one at another epoch."""

    code = "AOS-4002"
    title = "This process is an agent already."
    next_action = "Nothing: the supervisor uses another process."


class AgentActor:
    """One process, one agent at a time. Every method but `watch` answers at once."""

    def __init__(self) -> None:
        take_rank(Rank.AGENT)
        self._settings: Settings | None = None
        self._database: Database | None = None
        self._activation: _Activation | None = None

    async def prepare(self) -> dict[str, Any]:
        """Become warm: settings and skills read, database connected, one task sent through Ray."""
        settings = self._ready()
        async for _ in stream(PREPARE, "0", TaskOptions(name="prepare", cpus=0.5)):
            pass
        registry().catalog()
        await self._connected(settings).fetch_value("SELECT 1")
        return {"pid": os.getpid(), "node": own_node()}

    async def activate(self, agent_id: str, tenant: str, epoch: int) -> None:
        """Become this agent at this epoch. Returns before any run is taken up."""
        if self._activation is not None:
            raise AlreadyActivated(f"asked to be {agent_id}")
        settings = self._ready()
        database = self._connected(settings)
        # What the process has now is Python and what is shared by all agents; growth is this one's.
        limit(settings.agent_memory_mb * MIB or None)
        asyncio.get_running_loop().set_exception_handler(_leave_without_memory)
        self._activation = _Activation(settings, database, UUID(agent_id), tenant, epoch)
        self._activation.start()
        faults.point("agent.activated")

    async def wake(self) -> None:
        """Look for runs now. A hint: without it they are found within a second."""
        if self._activation is not None:
            self._activation.woken.set()

    async def whoami(self) -> dict[str, Any]:
        """Who this process is and what it is doing."""
        activation = self._activation
        return {
            "pid": os.getpid(),
            "agent_id": str(activation.agent_id) if activation else None,
            "epoch": activation.epoch if activation else 0,
            "runs": len(activation.drivers) if activation else 0,
            "idle_s": activation.idle_seconds() if activation else 0.0,
        }

    async def watch(self) -> None:
        """Never answer: the caller learns of this process's end by the call's failure."""
        await asyncio.Event().wait()

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
        self, settings: Settings, database: Database, agent_id: UUID, tenant: str, epoch: int
    ) -> None:
        self.agent_id, self.tenant, self.epoch = agent_id, tenant, epoch
        self.woken = asyncio.Event()
        self.drivers: dict[UUID, asyncio.Task[None]] = {}
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
            ended = await RunDriver(state, self._environment, wary=wary).drive()
            log.info("run ended", status=ended.status)
        del self.drivers[state.run_id]
        self._busy_at = time.monotonic()
        self.woken.set()

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except LeaseLost as error:
            _leave(EXIT_FENCED, "fenced", error)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            _leave(EXIT_TAINTED, "unexpected, leaving", error)

    async def _blob(self, run_id: UUID, digest: str) -> JsonValue:
        return await self._store.blob(self.tenant, run_id, digest)


def _leave(code: int, why: str, error: BaseException) -> NoReturn:
    """End the process, whatever becomes of the last words: there may be no memory for them."""
    try:
        lift()
        if code == EXIT_FENCED:
            log.warning(why, detail=str(error))
        else:
            log.error(why, error=repr(error), exc_info=error)
    finally:
        os._exit(code)


def _leave_without_memory(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """For what no task awaits: a callback of a connection, a task that nobody asks any more."""
    error = context.get("exception")
    if isinstance(error, MemoryError):
        _leave(EXIT_TAINTED, "out of memory in a callback, leaving", error)
    loop.default_exception_handler(context)
