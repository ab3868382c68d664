"""A user's class as a process that a team keeps alive.

    class Clock:
        def __init__(self, tick_s: float) -> None: ...
        async def run(self) -> None: ...     # returning is a normal end, raising is a crash
        async def stop(self) -> None: ...    # optional: `run` shall return soon

The class lives in a thread and an event loop of its own. So whatever it does to its loop, this
process goes on answering whoever supervises it; only native code that keeps the interpreter to
itself can prevent that. Without `stop`, `run` is cancelled instead. What it is given as `args` are
keyword arguments.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, cast

from ..cluster.errors import Blame, SupervisionError
from ..cluster.exits import Exit, ExitReason
from ..cluster.memory import MIB, Rank, lift, limit, limited, take_rank
from ..cluster.settings import load
from ..cluster.telemetry import configure, logger
from .children import explain

CHECK = f"{__name__}:check"

_NICENESS = 5
_LONGEST_DETAIL = 300

log = logger(__name__)

LastWords = dict[str, str]
"""An `Exit.last_word`."""


class ServiceFailed(SupervisionError):
    """A service's class could not be imported or made."""

    code = "AOS-4126"
    title = "A service cannot be started."
    next_action = "Correct the class or its `args`; the text above is what it failed with."
    blame = Blame.CALLER


def check(payload: str) -> Iterator[str]:
    """For a task: whether the class at `service` can be made with `args`, both in a JSON object.
    Yields what is wrong; nothing if nothing is. Imports the class and does not make it.
    """
    wanted: dict[str, Any] = json.loads(payload)
    try:
        with limited(load().skill_memory_mb * MIB or None):
            service = find_class(wanted["service"])
            inspect.signature(service).bind(**wanted["args"])
    except TypeError as error:
        yield f"its constructor does not take these args: {error}"
    except ServiceFailed as error:
        yield error.detail


def find_class(path: str) -> Any:
    """The class at `package.module:Class`. Raises `ServiceFailed`, whatever its import raises."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except BaseException as error:  # importing runs foreign code, which may even call sys.exit
        raise ServiceFailed(f"{path} cannot be imported: {explain(error)}") from None
    if not inspect.isclass(found):
        raise ServiceFailed(f"{path} is not a class")
    if not inspect.iscoroutinefunction(getattr(found, "run", None)):
        raise ServiceFailed(f"{path} has no `async def run(self)`")
    return found


class ServiceActor:
    """The Ray actor. No method of it waits for what the service does but `watch` and `stop`."""

    def __init__(self) -> None:
        self._life: Life | None = None

    async def start(self, path: str, args: dict[str, Any], memory_bytes: int) -> dict[str, Any]:
        """Make the service and begin to run it. It may have so much memory, or, with 0, as much as
        a skill. Raises `ServiceFailed`.
        """
        if self._life is None:
            settings = load()
            logs = settings.home / "logs"
            logs.mkdir(parents=True, exist_ok=True)
            configure(settings.log_level, file=logs / "services.jsonl")
            os.nice(_NICENESS)  # user code never starves those who supervise it
            take_rank(Rank.SKILL)
            limit(memory_bytes or settings.skill_memory_mb * MIB or None)
            self._life = Life(path, args)
        await asyncio.wrap_future(self._life.made)
        return await self.report()

    async def ping(self) -> dict[str, Any]:
        """Whether this process answers, and for how many seconds the service's loop has not."""
        return {"pid": os.getpid(), "lag_s": self._life.lag() if self._life else 0.0}

    async def report(self) -> dict[str, Any]:
        """What the tree shows of it."""
        return {"pid": os.getpid(), "kind": "service"}

    async def watch(self, heard: bool = False) -> LastWords:
        """Return when the service has ended, with why. Who has `heard` that is never answered, and
        this process is not needed any more.
        """
        if heard:
            os._exit(0)
        if self._life is None:
            await asyncio.Event().wait()
        return await asyncio.wrap_future(cast("Life", self._life).ended)

    async def stop(self) -> None:
        """Ask the service to end. Returns when it has."""
        if self._life is not None:
            self._life.ask_to_stop()
            await asyncio.wrap_future(self._life.ended)


class Life:
    """A service in its thread, from its making to its end."""

    def __init__(self, path: str, args: Mapping[str, Any]) -> None:
        self.made: Future[None] = Future()
        self.ended: Future[LastWords] = Future()
        self._path, self._args = path, args
        self._loop = asyncio.new_event_loop()
        self._running: asyncio.Task[None] | None = None
        self._service: Any = None
        self._asked_at: float | None = None
        self._stopping = False
        self._stopper: asyncio.Task[None] | None = None
        threading.Thread(target=self._live, name="service", daemon=True).start()

    def lag(self) -> float:
        """Seconds since which the service's loop has not turned. Each call asks it again."""
        if self.ended.done():
            return 0.0
        asked = self._asked_at
        if asked is None:
            self._asked_at = time.monotonic()
            with suppress(RuntimeError):  # it has ended in this instant
                self._loop.call_soon_threadsafe(self._turned)
        return 0.0 if asked is None else time.monotonic() - asked

    def ask_to_stop(self) -> None:
        """Have the service's loop end it."""
        self._stopping = True
        if not self.ended.done():
            with suppress(RuntimeError):  # it has ended in this instant
                self._loop.call_soon_threadsafe(self._begin_to_stop)

    def _turned(self) -> None:
        self._asked_at = None

    def _begin_to_stop(self) -> None:
        self._stopper = self._stopper or self._loop.create_task(self._stop())

    def _live(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:  # sys.exit included: a service ends by returning
            self._crashed(error)
        else:
            self._end(ExitReason.NORMAL, "")
        finally:
            self._loop.close()

    def _end(self, reason: ExitReason, detail: str) -> None:
        self.ended.set_result(Exit(reason, detail[:_LONGEST_DETAIL]).last_word())

    def _crashed(self, error: BaseException) -> None:
        if self._stopping:
            self._end(ExitReason.NORMAL, "it was stopped")
            return
        full = isinstance(error, MemoryError)
        if full:
            lift()  # last words need memory
        log.warning("a service crashed", service=self._path, exc_info=error)
        if not self.made.done():
            self.made.set_exception(_failed(error))
        reason = ExitReason.OUT_OF_MEMORY if full else ExitReason.CRASH
        self._end(reason, explain(error))

    async def _serve(self) -> None:
        self._service = find_class(self._path)(**self._args)
        self._running = asyncio.current_task()
        self.made.set_result(None)
        await self._service.run()

    async def _stop(self) -> None:
        stop = getattr(self._service, "stop", None)
        try:
            if stop is not None:
                await stop()
                return
        except Exception as error:
            log.warning("a service's stop failed", service=self._path, error=repr(error))
        if self._running is not None:
            self._running.cancel()


def _failed(error: BaseException) -> ServiceFailed:
    return error if isinstance(error, ServiceFailed) else ServiceFailed(explain(error))
