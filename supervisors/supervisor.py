"""The shell around `restart.decide`: turns what happens to children into events, and performs.

One task owns the state; everything else only puts events into its queue. Starts and stops run
beside it, so a child that takes long to start, or never does, does not keep its supervisor from
answering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, Protocol, TypeVar

from ..cluster.clock import Clock, SystemClock
from ..cluster.errors import AosError
from ..cluster.exits import Exit, ExitReason
from ..cluster.telemetry import logger
from .restart import (
    Dismissed,
    Due,
    Ended,
    Event,
    GiveUp,
    Phase,
    Report,
    Start,
    Started,
    State,
    Stop,
    Wanted,
    decide,
    next_due,
)
from .spec import ChildSpec, SupervisorSpec

_START_SECONDS = 60.0
_KILL_SECONDS = 5.0

log = logger(__name__)


class Running(Protocol):
    """A child that was started."""

    async def watch(self) -> Exit:
        """Return when it ends, with why."""
        ...

    async def stop(self, seconds: float) -> None:
        """End it, by force after `seconds`. Its `watch` returns then."""
        ...

    async def describe(self) -> dict[str, Any]:
        """What a tree view shows of it."""
        ...


R = TypeVar("R", bound=Running)
R_co = TypeVar("R_co", bound=Running, covariant=True)


class Starter(Protocol[R_co]):
    """How children of one kind come to be."""

    async def start(self, spec: ChildSpec) -> R_co:
        """Start the child, or adopt the one that lives. Raises what it failed with."""
        ...

    async def progressed(self, spec: ChildSpec) -> bool:
        """Whether the child that just ended had done something useful since its start."""
        ...


Recorder = Callable[[str, Report], None]
"""Takes the supervisor's id and a report; must not block."""


class Supervisor(Generic[R]):
    """Keeps children alive by one spec."""

    def __init__(
        self,
        spec: SupervisorSpec,
        starter: Starter[R],
        record: Recorder,
        clock: Clock | None = None,
    ) -> None:
        self.state = State(spec)
        self.running: dict[str, R] = {}
        self.gave_up = asyncio.Event()
        self._starter = starter
        self._record = record
        self._clock = clock or SystemClock()
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._settled: dict[str, asyncio.Event] = {}
        self._gone: dict[str, asyncio.Event] = {}

    async def run(self) -> None:
        """Start the static children in order, then serve for ever. Cancel to leave them alone."""
        serving = asyncio.create_task(self._serve())
        try:
            for child in self.state.spec.children:
                await self.want(child)
            await serving
        finally:
            for task in (serving, *self._tasks):
                task.cancel()

    async def want(self, spec: ChildSpec) -> None:
        """Have a child started, and return when it is running or will be tried again later."""
        if self.gave_up.is_set():
            return
        settled = self._settled.setdefault(spec.id, asyncio.Event())
        self.ask(spec)
        await settled.wait()

    def ask(self, spec: ChildSpec) -> None:
        """Have a child started, without waiting for it."""
        self._events.put_nowait(Wanted(spec))

    def dismiss(self, child: str) -> None:
        """Have a child stopped and forgotten."""
        self._events.put_nowait(Dismissed(child))

    async def stop_all(self) -> None:
        """Stop all children, last started first, and return when they have ended."""
        for child_id, child in reversed(list(self.state.children.items())):
            gone = self._gone.setdefault(child_id, asyncio.Event())
            self.dismiss(child_id)
            with suppress(TimeoutError):  # what cannot be ended does not save those before it
                async with asyncio.timeout(child.spec.shutdown.total_seconds() + _KILL_SECONDS):
                    await gone.wait()

    async def describe(self) -> list[dict[str, Any]]:
        """The children as a tree view shows them, in start order."""
        return [
            {
                "id": child_id,
                "state": child.phase.value,
                "restarts": len(child.restarts),
                **(await self.running[child_id].describe() if child_id in self.running else {}),
            }
            for child_id, child in list(self.state.children.items())
        ]

    async def _serve(self) -> None:
        while not self.state.given_up:
            event = await self._next_event()
            self.state, commands = decide(self.state, event, self._clock.now())
            for command in commands:
                self._perform(command)
            self._tell_waiters(event, acted=bool(commands))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell_waiters(self, event: Event, *, acted: bool) -> None:
        match event:
            case Started(child) | Ended(child):
                settled = child
            case Wanted(spec) if not acted and not self._is_starting(spec.id):
                settled = spec.id
            case _:
                settled = ""
        if settled in self._settled:
            self._settled.pop(settled).set()
        for child_id in [each for each in self._gone if each not in self.state.children]:
            self._gone.pop(child_id).set()

    def _is_starting(self, child_id: str) -> bool:
        child = self.state.children.get(child_id)
        return child is not None and child.phase is Phase.STARTING

    async def _next_event(self) -> Event:
        due = next_due(self.state)
        if due is None:
            return await self._events.get()
        timer = asyncio.ensure_future(
            self._clock.sleep(max(0.0, (due - self._clock.now()).total_seconds()))
        )
        event = asyncio.ensure_future(self._events.get())
        try:
            await asyncio.wait({timer, event}, return_when=asyncio.FIRST_COMPLETED)
            return event.result() if event.done() else Due()
        finally:
            timer.cancel()
            event.cancel()

    def _perform(self, command: Start | Stop | GiveUp | Report) -> None:
        match command:
            case Start(child):
                self._spawn(self._live(self.state.children[child].spec))
            case Stop(child):
                if (running := self.running.get(child)) is not None:
                    seconds = self.state.children[child].spec.shutdown.total_seconds()
                    self._spawn(running.stop(seconds))
            case Report():
                self._record(self.state.spec.id, command)
            case GiveUp(reason):
                log.error("supervisor gives up", supervisor=self.state.spec.id, reason=reason)
                self.gave_up.set()
                for waiting in (*self._settled.values(), *self._gone.values()):
                    waiting.set()

    async def _live(self, spec: ChildSpec) -> None:
        """One life of a child: start it, tell, watch it, tell."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                running = await self._starter.start(spec)
        except Exception as error:
            exit_ = Exit(ExitReason.START_ERROR, _explain(error))
            self._events.put_nowait(Ended(spec.id, exit_))
            return
        if self.state.given_up:
            await running.stop(spec.shutdown.total_seconds())
            return
        self.running[spec.id] = running
        self._events.put_nowait(Started(spec.id))
        exit_ = await _watched(running)
        if self.running.get(spec.id) is running:
            del self.running[spec.id]
        self._events.put_nowait(Ended(spec.id, exit_, await self._progressed(spec)))

    async def _progressed(self, spec: ChildSpec) -> bool:
        try:
            return await self._starter.progressed(spec)
        except Exception as error:
            log.warning("progress is not known", child=spec.id, error=repr(error))
            return False

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _watched(running: Running) -> Exit:
    try:
        return await running.watch()
    except Exception as error:
        return Exit(ExitReason.CRASH, f"its watch failed: {_explain(error)}")


def _explain(error: Exception) -> str:
    if isinstance(error, AosError):
        return f"{error.code}: {error.detail}"
    return f"{type(error).__name__}: {error}"
