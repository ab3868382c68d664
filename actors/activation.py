"""An agent's life in a process: take up its unfinished runs, drive each, leave if need be.

What ends it is told in `farewell`'s way: those who watch hear why before the process is gone.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import Any
from uuid import UUID

from ..cluster.clock import OffsetClock
from ..cluster.errors import SupervisionError
from ..cluster.exits import Exit, ExitReason
from ..cluster.memory import lift
from ..cluster.postgres import Database, DatabaseUnavailable
from ..cluster.settings import Settings
from ..cluster.telemetry import bound, logger
from ..skills.contracts import JsonValue
from .caller import TaskCaller
from .children import ChildRuns
from .driver import RunDriver
from .environment import Environment
from .farewell import Farewell
from .lanes import Lanes
from .outputs import Outputs
from .pace import Pace
from .programs.store import ProgramStore
from .runs.journal import JournalWriter, LeaseLost
from .runs.queue import Found, Look, RunQueue
from .runs.store import RunStore
from .slots import Slots
from .worker import find_skill, registry

EXIT_FENCED = 70
EXIT_TAINTED = 71

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_LONGEST_DETAIL = 300
_LONGEST_ALARM = 3_600.0

log = logger(__name__)


class StillBusy(SupervisionError):
    """The process is asked to be nobody while it drives runs."""

    code = "AOS-4005"
    title = "The agent has runs under way."
    next_action = "Nothing: the supervisor ends the process instead."


class Activation:
    """An agent's life in this process, from `activate` to `deactivate` or the process's end."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        agent_id: UUID,
        tenant: str,
        epoch: int,
        farewell: Farewell,
        pace: Pace,
    ) -> None:
        self.agent_id, self.tenant, self.epoch = agent_id, tenant, epoch
        self._farewell = farewell
        self.woken, self.over = asyncio.Event(), asyncio.Event()
        self.drivers: dict[UUID, asyncio.Task[None]] = {}
        self.leaves = False
        self._has_driven = False
        self._driving: dict[UUID, RunDriver] = {}
        self._store = RunStore(database)
        self._queue = RunQueue(database, tenant, agent_id)
        self._clock = OffsetClock()
        self._alarm: asyncio.TimerHandle | None = None
        self._unreadable: set[UUID] = set()
        self._wary = epoch > 1
        self._busy_at = time.monotonic()
        self._limit = 1
        slots = Slots(settings.agent_parallel_steps)
        self._environment = Environment(
            tenant=tenant,
            epoch=epoch,
            catalog=registry().catalog(),
            find=find_skill,
            call=TaskCaller(slots, pace),
            lanes=Lanes(slots, pace),
            journal=JournalWriter(database, agent_id, tenant, epoch),
            outputs=Outputs(self._blob),
            children=ChildRuns(database, tenant, self.woken.set),
            programs=ProgramStore(database),
            clock=self._clock,
            blob_threshold=settings.blob_threshold,
            development=settings.program_development,
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
            await self.woken.wait()

    async def _take_up(self) -> None:
        """One look at the agent's runs: those that need a process, and what was said to those that
        have one already.
        """
        known = self.drivers.keys() | self._unreadable
        heard = {run_id: driver.told for run_id, driver in self._driving.items()}
        room = self._limit - len(self.drivers)
        look = await self._queue.look(known=known, limit=room, heard=heard)
        self._clock.follow(look.now)
        self._environment.journal.halted = look.halted
        for run_id, each in (await self._queue.find(look.ready)).items():
            if isinstance(each, Found):
                self._drive(each, wary=self._wary)
            else:
                self._unreadable.add(run_id)
                log.error("journal cannot be read", run_id=str(run_id), detail=str(each))
        self._wary = False  # what comes from now on, no earlier activation has seen
        told = {run_id: heard[run_id] for run_id in look.told}
        for run_id, messages in (await self._queue.messages(told)).items():
            if (driver := self._driving.get(run_id)) is not None:
                driver.tell(messages)
        await self._rest(look)

    async def _rest(self, look: Look) -> None:
        """Be woken when the next waiting run needs it, or leave if nothing is left at all."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        if look.wake_at is not None:
            seconds = max(0.0, (look.wake_at - self._clock.now()).total_seconds())
            loop = asyncio.get_running_loop()
            self._alarm = loop.call_later(min(seconds, _LONGEST_ALARM), self.woken.set)
        done = self.leaves and self._has_driven and not self.drivers
        if done and not await self._queue.has_unfinished():
            await self._leave(Exit(ExitReason.NORMAL, "its work is done"), 0)

    def _drive(self, found: Found, *, wary: bool) -> None:
        state = found.state
        wider = state.origin.profile.limits.concurrent_runs
        if wider != self._limit:
            # The first run tells the agent's width; the rest of its queue is looked up again.
            self._limit = wider
            self.woken.set()
        task = asyncio.create_task(self._guarded(self._drive_to_end(found, wary)))
        self.drivers[state.run_id] = task

    async def _drive_to_end(self, found: Found, wary: bool) -> None:
        state = found.state
        with bound(run_id=str(state.run_id), agent_id=str(self.agent_id), epoch=self.epoch):
            log.info("run taken up", status=state.status, seq=state.seq)
            driver = self._driving[state.run_id] = RunDriver(found, self._environment, wary=wary)
            try:
                ended = await driver.drive()
            finally:
                del self._driving[state.run_id]
            word = "run left" if driver.draining else "run parked" if ended.parked else "run ended"
            log.info(word, status=ended.status)
        del self.drivers[state.run_id]
        self._has_driven = True
        self._busy_at = time.monotonic()
        self.woken.set()

    async def _guarded(self, work: Any) -> None:
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            await self._leave_after(error)

    def on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """For what no task awaits, such as a connection's callback: running out of memory there is
        the end of the process as anywhere else.
        """
        error = context.get("exception")
        if not isinstance(error, MemoryError):
            loop.default_exception_handler(context)
            return
        try:
            self._leaving = loop.create_task(self._leave_after(error))
        except BaseException:
            os._exit(EXIT_TAINTED)

    async def _leave_after(self, error: BaseException) -> None:
        """Last words need memory, so the limit is lifted before them, and the process ends whether
        or not they can be said.
        """
        exit_, code = ending(error)
        try:
            lift()
            if exit_.reason is ExitReason.FENCED:
                log.warning("fenced", detail=exit_.detail)
            else:
                log.error("unexpected, leaving", error=repr(error), exc_info=error)
        finally:
            await self._leave(exit_, code)

    async def _leave(self, exit_: Exit, code: int) -> None:
        await self._farewell.leave(exit_, code, (self._main, *self.drivers.values()))

    async def _blob(self, run_id: UUID, digest: str) -> JsonValue:
        return await self._store.blob(self.tenant, run_id, digest)


def ending(error: BaseException) -> tuple[Exit, int]:
    """How a process ends in which this was raised: its last word, and its exit code. What is not
    a take-over may have corrupted its state.
    """
    if isinstance(error, LeaseLost):
        return Exit(ExitReason.FENCED, error.detail), EXIT_FENCED
    full = isinstance(error, MemoryError)
    reason = ExitReason.OUT_OF_MEMORY if full else ExitReason.CRASH
    return Exit(reason, f"{type(error).__name__}: {error}"[:_LONGEST_DETAIL]), EXIT_TAINTED
