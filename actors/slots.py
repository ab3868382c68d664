"""How many processes an agent may use at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Slots:
    """A semaphore that tells those who hold a slot whenever somebody comes for one: who has no need
    of his process lets it go, so that no further one has to be made.
    """

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self._waiting = 0
        self._holders: set[Callable[[], None]] = set()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits."""
        return self._waiting > 0

    def tell(self, holder: Callable[[], None]) -> Callable[[], None]:
        """Call this when somebody comes. Returns how to undo that."""
        self._holders.add(holder)
        return lambda: self._holders.discard(holder)

    async def __aenter__(self) -> None:
        for holder in tuple(self._holders):
            holder()
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1

    async def __aexit__(self, *_: object) -> None:
        self._free.release()
