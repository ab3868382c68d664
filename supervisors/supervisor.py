"""The shell around `restart.decide`: turns what happens to children into events, and performs.

One task owns the state; everything else only puts events into its queue. Each life of a child is a
task of its own that starts it, watches it, and tells of its end exactly once; so a child that takes
long to start, or never does, does not keep its supervisor from answering.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Generic, TypeVar

from ..cluster.clock import Clock, SystemClock
from ..cluster.errors import Blame, SupervisionError
from ..cluster.exits import Exit, ExitReason
from ..cluster.telemetry import logger
from .children import NoCapacity, NotNeeded, Running, Starter, explain
from .order import is_first_start
from .restart import decide, next_due
from .spec import ChildSpec, ChildType, SupervisorSpec
from .state import (
    Child,
    Command,
    Due,
    Ended,
    Event,
    Finish,
    Ignored,
    Phase,
    Refused,
    Report,
    Request,
    Start,
    Started,
    State,
    Stop,
    StopAll,
)

START_SECONDS = 60.0
_CONFIRM_SECONDS = 10.0
"""A child that was stopped, or killed, and whose end nobody confirms does not hold up the rest."""
_CUT_SHORT = Exit(ExitReason.SHUTDOWN, "stopped before its start, or its end, was confirmed")
_CANCELLED = Exit(ExitReason.CRASH, "its start or its watch was cancelled, and not by us")

log = logger(__name__)


class RequestRefused(SupervisionError):
    """A supervisor does not do what was asked of it; `context["why"]` is OTP's word for it."""

    code = "AOS-4102"
    title = "The supervisor refuses."
    next_action = "Look with `aos tree` at how things stand, then ask for what can be done."
    blame = Blame.CALLER


R = TypeVar("R", bound=Running)

Recorder = Callable[[str, Report], None]
"""Takes the supervisor's id and a report; must not block."""


class Supervisor(Generic[R]):
    """Keeps children alive by one specification."""

    def __init__(
        self,
        spec: SupervisorSpec,
        starter: Starter[R],
        record: Recorder,
        clock: Clock | None = None,
    ) -> None:
        self.state = State.of(spec)
        self.running: dict[str, R] = {}
        self.booted = asyncio.Event()
        self._starter = starter
        self._record = record
        self._clock = clock or SystemClock()
        self._events: asyncio.Queue[tuple[Event, asyncio.Future[None] | None]] = asyncio.Queue()
        self._lives: dict[tuple[str, int], asyncio.Task[Ended | Ignored]] = {}
        self._stops: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.Task[None] | None = None
        self._alarm_at: datetime | None = None
        self._exit: Exit | None = None
        self._over = asyncio.Event()

    async def run(self) -> Exit:
        """Start the static children, and serve until the supervisor ends; with what it ended.
        Cancel to leave the children alone.
        """
        self.tell(Due())
        try:
            while self._exit is None:
                self._handle(*await self._events.get())
                self._set_alarm()
            return self._exit
        finally:
            self._over.set()
            self._refuse_the_rest()
            for task in (*self._lives.values(), *self._stops, self._alarm):
                if task is not None:
                    task.cancel()

    def tell(self, event: Event) -> None:
        """Put an event, or a request whose refusal nobody needs to know of. Whoever has ended hears
        nothing.
        """
        if not self._over.is_set():
            self._events.put_nowait((event, None))

    async def request(self, request: Request) -> None:
        """Ask for something. Returns when it is granted, which is before it is done. Raises
        `RequestRefused`.
        """
        if self._over.is_set():
            raise RequestRefused(f"{self.state.spec.id} has ended", why="shutdown")
        answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._events.put_nowait((request, answer))
        await answer

    async def stop(self, exit_: Exit | None = None) -> None:
        """Stop all children in their order, and return when they have ended."""
        self.tell(StopAll(exit_ or Exit(ExitReason.SHUTDOWN)))
        await self._over.wait()

    def is_up(self, child_id: str) -> bool:
        """Whether a child runs and is not being stopped."""
        child = self.state.children.get(child_id)
        return child is not None and child.phase is Phase.RUNNING and child.fate is None

    async def describe(self) -> list[dict[str, Any]]:
        """The children as a tree view shows them, in start order."""
        children = list(self.state.children.values())
        return list(await asyncio.gather(*(self._describe(child) for child in children)))

    async def _describe(self, child: Child) -> dict[str, Any]:
        running = self.running.get(child.spec.id)
        about = {
            "id": child.spec.id,
            "state": child.phase.value,
            "type": child.spec.type.value,
            "restart": child.spec.restart.value,
            "restarts": child.restarts,
        }
        if child.running_since is not None:
            about["since"] = child.running_since.isoformat()
        if child.until is not None:
            about["until"] = child.until.isoformat()
        if child.waits_for:
            about["waits_for"] = child.waits_for
        return {**about, **(await running.describe() if running is not None else {})}

    def _handle(self, event: Event, asker: asyncio.Future[None] | None) -> None:
        self.state, commands = decide(self.state, event, self._clock.now())
        if not self.booted.is_set() and not any(map(is_first_start, self.state.children.values())):
            self.booted.set()
        refusal: Refused | None = None
        for command in commands:
            if isinstance(command, Refused):
                refusal = command
            else:
                self._perform(command)
        if asker is not None and not asker.done():
            if refusal is None:
                asker.set_result(None)
            else:
                detail = f"{refusal.why}: {refusal.detail}"
                asker.set_exception(RequestRefused(detail, why=refusal.why))

    def _set_alarm(self) -> None:
        due = next_due(self.state)
        if due == self._alarm_at:
            return
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm_at = due
        self._alarm = None if due is None else asyncio.create_task(self._ring(due))

    async def _ring(self, due: datetime) -> None:
        await self._clock.sleep(max(0.0, (due - self._clock.now()).total_seconds()))
        self._alarm_at = None  # should it have been early, it is set again
        self.tell(Due())

    def _perform(self, command: Command) -> None:
        match command:
            case Start(child, life):
                self._begin(self.state.children[child].spec, life)
            case Stop(child, life, patience):
                self._end(child, life, None if patience is None else patience.total_seconds())
            case Report():
                self._record(self.state.spec.id, command)
            case Finish(exit_):
                self._exit = exit_
            case Refused():
                pass  # told to who asked

    def _begin(self, spec: ChildSpec, life: int) -> None:
        """One life of a child, told of exactly once, however its task ends."""
        key = (spec.id, life)
        task = asyncio.create_task(self._lived(spec, life))
        self._lives[key] = task

        def tell(ended: asyncio.Task[Ended | Ignored]) -> None:
            del self._lives[key]
            if not ended.cancelled():
                self.tell(ended.result())
            else:  # by us, unless nobody asked for it
                self.tell(Ended(*key, _CUT_SHORT if ended.cancelling() else _CANCELLED))

        task.add_done_callback(tell)

    def _end(self, child: str, life: int, seconds: float | None) -> None:
        if child in self.running:
            stopping = asyncio.create_task(self._stop(self.running[child], (child, life), seconds))
            self._stops.add(stopping)
            stopping.add_done_callback(self._stops.discard)
        elif (starting := self._lives.get((child, life))) is not None:
            starting.cancel()  # a starter that is cancelled leaves nothing behind
        # Else its end is told already, and not heard yet.

    async def _stop(self, running: R, key: tuple[str, int], seconds: float | None) -> None:
        bound = None if seconds is None else seconds + _CONFIRM_SECONDS
        try:
            async with asyncio.timeout(bound):
                await running.stop(seconds)
        except Exception as error:  # its watch tells what became of it
            log.warning("a stop failed", child=key[0], error=explain(error))
        if (life := self._lives.get(key)) is not None:
            _, pending = await asyncio.wait({life}, timeout=_CONFIRM_SECONDS)
            for unconfirmed in pending:
                unconfirmed.cancel()

    async def _lived(self, spec: ChildSpec, life: int) -> Ended | Ignored:
        bound = asyncio.timeout(START_SECONDS if spec.type is ChildType.WORKER else None)
        try:
            async with bound:
                running = await self._starter.start(spec)
        except NotNeeded:
            return Ignored(spec.id, life)
        except NoCapacity as error:
            return Ended(spec.id, life, Exit(ExitReason.NO_CAPACITY, str(error)))
        except Exception as error:
            late = f"not started within {START_SECONDS:g} s" if bound.expired() else explain(error)
            return Ended(spec.id, life, Exit(ExitReason.START_ERROR, late))
        self.running[spec.id] = running
        self.tell(Started(spec.id, life))
        try:
            exit_ = await _watched(running)
        finally:
            del self.running[spec.id]
        return Ended(spec.id, life, exit_, await self._progressed(spec))

    async def _progressed(self, spec: ChildSpec) -> bool:
        try:
            return await self._starter.progressed(spec)
        except Exception as error:
            log.warning("progress is not known", child=spec.id, error=repr(error))
            return False

    def _refuse_the_rest(self) -> None:
        while not self._events.empty():
            _, asker = self._events.get_nowait()
            if asker is not None and not asker.done():
                detail = f"{self.state.spec.id} has ended"
                asker.set_exception(RequestRefused(detail, why="shutdown"))


async def _watched(running: Running) -> Exit:
    try:
        return await running.watch()
    except Exception as error:
        return Exit(ExitReason.CRASH, f"its watch failed: {explain(error)}")
