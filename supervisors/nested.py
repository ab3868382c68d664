"""A supervisor as another supervisor's child, in the same process."""

from __future__ import annotations

import asyncio
from typing import Any

from ..cluster.exits import Exit, ExitReason
from .children import explain
from .supervisor import Supervisor


class NestedSupervisor:
    """Runs a supervisor and is its end when that ends."""

    def __init__(self, supervisor: Supervisor[Any]) -> None:
        self.supervisor = supervisor
        self._task = asyncio.create_task(supervisor.run())

    @classmethod
    async def start(cls, supervisor: Supervisor[Any]) -> NestedSupervisor:
        """Return when each static child has been started, or has failed to start once."""
        nested = cls(supervisor)
        booted = asyncio.ensure_future(supervisor.booted.wait())
        try:
            await asyncio.wait({booted, nested._task}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await supervisor.stop()
            raise
        finally:
            booted.cancel()
        return nested

    async def watch(self) -> Exit:
        """Return when the supervisor has ended."""
        await asyncio.wait({self._task})
        if self._task.cancelled():
            return Exit(ExitReason.SHUTDOWN, "stopped")
        if (error := self._task.exception()) is not None:
            return Exit(ExitReason.CRASH, explain(error))
        return self._task.result()

    async def stop(self, seconds: float | None) -> None:
        """Stop the children in their order. After `seconds` they are left to themselves."""
        try:
            await asyncio.wait_for(self.supervisor.stop(), seconds)
        except TimeoutError:
            self._task.cancel()

    async def describe(self) -> dict[str, Any]:
        """The children."""
        return {"kind": "supervisor", "children": await self.supervisor.describe()}
