"""Time, so that tests own it.

Pure code takes `now` as an argument. Shells ask a `Clock`; tests hand in a `VirtualClock`,
whose sleepers wake when the test advances it and never in real time.
"""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """What a shell may ask of time."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current instant, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Sleep in real time."""
        await asyncio.sleep(seconds)


class OffsetClock(SystemClock):
    """The machine's clock, corrected to agree with another one: timers go by the database's."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """The current instant of the clock that is followed, as well as is known."""
        return datetime.now(UTC) + self._offset

    def follow(self, instant: datetime) -> None:
        """The other clock has just shown this. Within a blink of what we think, nothing changes:
        reading it took time.
        """
        difference = instant - self.now()
        if abs(difference) > _BLINK:
            self._offset += difference


_BLINK = timedelta(milliseconds=20)


class VirtualClock:
    """A clock that stands still until `advance` is called."""

    def __init__(self, start: datetime | None = None) -> None:
        self._now = start or datetime(2026, 1, 1, tzinfo=UTC)
        self._order = count()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The instant that the test has advanced to."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return once the clock was advanced by `seconds`."""
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(
            self._sleepers, (self._now + timedelta(seconds=seconds), next(self._order), wake)
        )
        await wake

    async def advance(self, seconds: float) -> None:
        """Move time on, waking each sleeper at its own instant, in order."""
        target = self._now + timedelta(seconds=seconds)
        while self._sleepers and self._sleepers[0][0] <= target:
            self._now, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                wake.set_result(None)
            await asyncio.sleep(0)
        self._now = target
        await asyncio.sleep(0)
