"""Tasks and futures that are the same in every process: they hash by number, not by address."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from .identity import Path, name_of


class ProgramFuture(asyncio.Future[Any]):
    """A future with a number."""

    def __init__(self, number: int, *, loop: asyncio.AbstractEventLoop) -> None:
        self._number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._number


class ProgramTask(asyncio.Task[Any]):
    """A task with a number, a path, and a count of what it began. See `identity`."""

    def __init__(
        self,
        number: int,
        path: Path,
        coro: Coroutine[Any, Any, Any],
        *,
        loop: asyncio.AbstractEventLoop,
        name: str | None = None,
        context: Context | None = None,
    ) -> None:
        self._number = number  # before all else: asyncio registers the task by its hash
        self._slots = 0
        self.path = path
        super().__init__(coro, loop=loop, name=name or name_of(path), context=context)
        # A program that is dropped leaves tasks that have not ended, and that is meant.
        self._log_destroy_pending = False

    def __hash__(self) -> int:
        return self._number

    def hush(self) -> None:
        """Asyncio need not complain that nobody asked for its exception."""
        self._log_traceback = False

    def next_slot(self) -> int:
        """The number of the next request or child task."""
        self._slots += 1
        return self._slots
