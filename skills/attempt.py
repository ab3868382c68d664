"""One running skill: its task, its progress and its deadline.

The skill runs in a task of its own, so that a deadline, a cancellation from outside and a
`CancelledError` that the skill raised itself can be told apart.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

_BACKLOG = 1_000
"""Progress texts kept for a slow reader; older ones are dropped."""

_GRACE_S = 2.0
"""How long a cancelled skill may take to close its connections before it is left behind."""


@dataclass(frozen=True, slots=True)
class Returned:
    """The skill returned this."""

    value: Any


@dataclass(frozen=True, slots=True)
class Raised:
    """The skill raised this."""

    error: BaseException


@dataclass(frozen=True, slots=True)
class Expired:
    """The skill did not end before its deadline."""


Ending = Returned | Raised | Expired


class Attempt:
    """One execution of a skill within `timeout_s`; its iteration is the progress.

        async with attempt.running(body):
            async for text in attempt: ...
        attempt.ending

    Leaving the context while the skill still runs cancels it. A skill that blocks the event loop
    can be stopped by neither: that is what the process around it is for.
    """

    def __init__(self, timeout_s: float) -> None:
        self._body: Callable[[], Awaitable[Any]] | None = None
        self._timeout_s = timeout_s
        self._texts: deque[str] = deque(maxlen=_BACKLOG)
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._expired = False
        self._abandoned = False
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Ending] | None = None

    def progress(self, text: str) -> None:
        """Hand a text to the reader; from any thread."""
        self._texts.append(text)
        if threading.get_ident() == self._thread:
            self._changed.set()
        elif not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._changed.set)

    @property
    def ending(self) -> Ending:
        """How it ended. Only after the iteration is over."""
        if self._expired or self._task is None:
            return Expired()
        if self._task.cancelled():
            return Raised(asyncio.CancelledError("the skill cancelled itself"))
        return self._task.result()

    def running(self, body: Callable[[], Awaitable[Any]]) -> Self:
        """Enter the result to start `body`."""
        self._body = body
        return self

    async def __aenter__(self) -> Self:
        if self._body is None or self._task is not None:
            raise RuntimeError("an attempt runs once, and only through `running`")
        self._task = asyncio.create_task(_contained(self._body))
        self._task.add_done_callback(lambda _: self._changed.set())
        self._timer = self._loop.call_later(self._timeout_s, self._expire)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._task is not None and not self._task.done() and not self._abandoned:
            self._task.cancel()
            await asyncio.wait({self._task}, timeout=_GRACE_S)

    def __aiter__(self) -> AsyncIterator[str]:
        return self

    async def __anext__(self) -> str:
        while not self._texts:
            if self._abandoned or self._task is None or self._task.done():
                raise StopAsyncIteration
            # Writers set the event after they appended, so a text cannot slip in unseen here.
            self._changed.clear()
            await self._changed.wait()
        return self._texts.popleft()

    def _expire(self) -> None:
        if self._task is None or self._task.done():
            return
        self._expired = True
        self._task.cancel()
        self._timer = self._loop.call_later(_GRACE_S, self._abandon)

    def _abandon(self) -> None:
        self._abandoned = True
        self._changed.set()


async def _contained(body: Callable[[], Awaitable[Any]]) -> Ending:
    """SystemExit must not reach the event loop, which would stop for it; an interrupt must."""
    try:
        return Returned(await body())
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise
    except BaseException as error:
        return Raised(error)
