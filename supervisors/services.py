"""Children that are not processes: asyncio services and supervisors inside their parent's process.

The tree needs few processes because of them, and the same rules keep them alive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ..cluster.exits import Exit, ExitReason
from .children import explain

Describe = Callable[[], dict[str, Any]]


def _nothing() -> dict[str, Any]:
    return {}


class Service:
    """A coroutine that is kept running. Its return is a normal end, an exception a crash."""

    def __init__(self, work: Callable[[], Awaitable[None]], describe: Describe = _nothing) -> None:
        self._task = asyncio.ensure_future(work())
        self._describe = describe

    async def watch(self) -> Exit:
        """Return when the coroutine has ended."""
        await asyncio.wait({self._task})
        if self._task.cancelled():
            return Exit(ExitReason.SHUTDOWN, "stopped")
        if (error := self._task.exception()) is not None:
            return Exit(ExitReason.CRASH, explain(error))
        return Exit(ExitReason.NORMAL, "it returned")

    async def stop(self, seconds: float | None) -> None:
        """Cancel it and wait for its last words."""
        self._task.cancel()
        await asyncio.wait({self._task}, timeout=seconds)

    async def describe(self) -> dict[str, Any]:
        """What it says of itself."""
        return {"kind": "service", **self._describe()}
