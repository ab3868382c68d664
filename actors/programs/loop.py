"""A deterministic event loop: asyncio without a clock, threads, files or sockets.

It has one queue, first in, first out, and is driven by hand: `run_until_quiet` runs callbacks until
none is left. Everything in asyncio that is made of tasks, futures and callbacks works as ever
(gather, create_task, TaskGroup, wait, shield, Event, Lock, Queue, sleep(0)) and does the same in
every process: tasks and futures hash by their number, not by their address, so the sets of them in
asyncio (`wait`, `TaskGroup`) have the same order everywhere. Everything that would ask the world is
refused with what to use instead. Two things of asyncio are left out: `as_completed` over coroutines
(it puts them into a set before they are tasks: make them tasks first), and the future that
`asyncio.gather` returns as a member of a set.

A refusal is remembered, whatever the program does with the exception: the turn ends with it.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager, suppress
from contextvars import Context
from typing import Any, NoReturn
from weakref import WeakSet

from .errors import NondeterministicProgram
from .identity import ROOT
from .refusals import CLOCK, REFUSED, refusal
from .scribe import Scribe
from .tasks import ProgramFuture, ProgramTask

MOST_CALLBACKS = 200_000
"""In one turn. A program that does more without awaiting anything polls instead of waiting."""
_STUBBORN = 100


class ProgramPolls(Exception):
    """The program kept itself busy for a whole turn, and would for ever."""


class ProgramLoop(asyncio.AbstractEventLoop):
    """`own` is the program's file, for messages; `scribe` gets what asyncio would log."""

    def __init__(self, own: str, scribe: Scribe) -> None:
        self.own = own
        self.refusal: NondeterministicProgram | None = None
        self._scribe = scribe
        self._ready: deque[asyncio.Handle] = deque()
        # Strong: a task that waits for what only it knows would be collected in its middle.
        self._tasks: list[ProgramTask] = []
        self._generators: WeakSet[Any] = WeakSet()
        self._children_of_nobody = 0
        self._numbers = 0
        self._running = False
        self._closed = False

    # What asyncio's own parts need.

    def call_soon(
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback when everything that is ready now has run."""
        handle = asyncio.Handle(callback, args, self, context)
        if not self._closed:
            self._ready.append(handle)
        return handle

    def create_future(self) -> asyncio.Future[Any]:
        """A future of this loop."""
        return ProgramFuture(self.number(), loop=self)

    def create_task(
        self,
        coro: Any,
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> ProgramTask:
        """A child of the task that is running; see `identity` for its name."""
        if _comes_from_a_set_of_coroutines():
            coro.close()
            self.refuse("asyncio.as_completed", "asyncio.create_task for each of them before")
        parent = asyncio.current_task(self)
        if isinstance(parent, ProgramTask):
            path = (*parent.path, parent.next_slot())
        else:  # made by a callback, which belongs to no task
            self._children_of_nobody += 1
            path = (*ROOT, 0, self._children_of_nobody)
        return self.begin(coro, path, name=name, context=context)

    def begin(
        self,
        coro: Coroutine[Any, Any, Any],
        path: tuple[int, ...],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> ProgramTask:
        """A task with a path. One that is made by code on its way out never begins."""
        if self._closed:
            coro.close()
        task = ProgramTask(self.number(), path, coro, loop=self, name=name, context=context)
        self._tasks.append(task)
        return task

    def number(self) -> int:
        """A number for a task or future: the order in which they were made."""
        self._numbers += 1
        return self._numbers

    def get_debug(self) -> bool:
        """Never: asyncio's debug mode measures time."""
        return False

    def is_running(self) -> bool:
        """Whether a turn is running."""
        return self._running

    def is_closed(self) -> bool:
        """Whether the execution was dropped."""
        return self._closed

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """What nobody awaited, such as the exception of a task that was forgotten."""
        if not self._closed:
            error = context.get("exception")
            self._scribe.log(f"{context.get('message', '')}: {error!r}")

    # Driving.

    @contextmanager
    def running(self) -> Generator[None]:
        """The thread runs this loop, in the place of whichever it ran before."""
        before = asyncio._get_running_loop()  # pyright: ignore[reportPrivateUsage] - documented for loops
        hooks = sys.get_asyncgen_hooks()
        asyncio._set_running_loop(self)
        # A generator that was left half-way is closed by nobody: when it is collected would
        # decide when its code runs.
        sys.set_asyncgen_hooks(self._generators.add, lambda _: None)
        self._running = True
        try:
            yield
        finally:
            self._running = False
            sys.set_asyncgen_hooks(*hooks)
            asyncio._set_running_loop(before)

    def run_until_quiet(self, over: Callable[[], bool], budget: int) -> int:
        """Run what is ready until nothing is, or the program is over; the budget that is left.

        Raises `ProgramPolls` when the budget of callbacks is used up.
        """
        while self._ready and self.refusal is None and not over():
            handle = self._ready.popleft()
            if handle.cancelled():
                continue
            if not budget:
                raise ProgramPolls
            budget -= 1
            with suppress(SystemExit):  # its task keeps it: whoever awaits the task is told
                handle._run()  # pyright: ignore[reportPrivateUsage] - how every loop runs a handle
        self._let_go()
        return budget

    def waiting(self) -> list[ProgramTask]:
        """Tasks that have not ended, in the order in which they were made."""
        return [task for task in self._tasks if not task.done()]

    def _let_go(self) -> None:
        ended, self._tasks = self._tasks, self.waiting()
        if self._scribe.replaying:  # when it is collected must not decide who hears of it again
            for task in ended:
                if task.done():
                    task.hush()

    def forget(self) -> None:
        """From now on nothing has an effect. Nothing of the program is executed."""
        self._closed = True

    def close(self) -> None:
        """Drop everything quietly. Nothing that a program does on its way out has an effect."""
        if self._closed:
            return
        self._closed = True
        self._ready.clear()
        with self.running():
            for task in reversed(self._tasks):
                if not task.done():
                    _dispose(task.get_coro())
        self._tasks.clear()
        self.refusal = None

    # Refusing.

    def refuse(self, what: str, instead: str) -> NoReturn:
        """Raise, and remember, that a program used what could not be repeated."""
        error = refusal(what, instead, self.own)
        if not self._closed:
            self.refusal = self.refusal or error
        try:
            raise error
        finally:
            del error  # else the frame and its exception hold each other, and what called it

    def time(self) -> float:
        """Refused: what asyncio's timeouts begin with."""
        self.refuse("the event loop's clock (asyncio.timeout, wait_for, loop.time)", CLOCK)


def _refusing(name: str, instead: str) -> Callable[..., NoReturn]:
    def method(self: ProgramLoop, *_: object, **__: object) -> NoReturn:
        self.refuse(f"loop.{name}", instead)

    method.__name__ = name
    method.__doc__ = f"Refused: use {instead}."
    return method


for _name, _instead in REFUSED.items():
    setattr(ProgramLoop, _name, _refusing(_name, _instead))


def _comes_from_a_set_of_coroutines() -> bool:
    """Whether `asyncio.as_completed` is making the task: which first is decided by addresses."""
    frame = sys._getframe(2)  # pyright: ignore[reportPrivateUsage] - no other way to know
    for _ in range(4):
        if frame is None:
            return False
        code = frame.f_code
        if code.co_qualname.startswith(("as_completed", "_AsCompletedIterator")):
            return code.co_filename == asyncio.tasks.__file__
        frame = frame.f_back
    return False


class _Dropped(BaseException):
    """The execution was dropped. Unlike GeneratorExit it reaches the innermost await, however often
    the code on its way out awaits again.
    """


def _dispose(coroutine: Any) -> None:
    """Bring a coroutine to its end, unless it is very stubborn."""
    for _ in range(_STUBBORN):
        try:
            coroutine.throw(_Dropped())
        except BaseException:
            return
