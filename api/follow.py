"""Live journals for many readers: one poll per process, whoever reads and however many.

While anybody follows a run, one task asks Postgres, in one statement, how far all followed runs
have got, and wakes the readers of those that moved. It asks every 15 ms while something moves and
ever more rarely, down to every 250 ms, while nothing does; when nobody follows, it ends. That a run
is over is told by Postgres at once, as a hint.

When Postgres is away the readers are told (None) and wait; the task keeps asking, and the first
answer wakes them all. Nothing is lost: a reader goes on from the sequence number it has seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager, suppress
from uuid import UUID

from ..actors.runs.events import RunFinished
from ..actors.runs.store import Recorded, RunStore
from ..cluster.postgres import DatabaseUnavailable
from ..cluster.telemetry import logger
from .errors import TooManyStreams

FASTEST, SLOWEST = 0.015, 0.25
STREAMS_AT_ONCE = 256

_SLOWING = 1.25
_ALL = 2**31
"""Further than any journal gets: there is more, however much was read."""

CHANNEL = "aos_over"
"""Where Postgres tells of runs that have ended."""

log = logger(__name__)


class Watch:
    """One reader's place: how far its run has got, and an event that is set when it gets further.

    Only the poll writes `head`, except that a reader lowers it to where the journal truly ended.
    """

    def __init__(self) -> None:
        self.head = 0
        self.woken = asyncio.Event()

    def advance(self, head: int) -> bool:
        """Note how far the run has got; whether that is news."""
        if head <= self.head:
            return False
        self.head = head
        self.woken.set()
        return True


class Follower:
    """Follows runs for all readers of this process."""

    def __init__(self, runs: RunStore, *, streams: int = STREAMS_AT_ONCE) -> None:
        self._runs = runs
        self._limit = streams
        self._watches: dict[UUID, set[Watch]] = {}
        self._count = 0
        self._poll: asyncio.Task[None] | None = None
        self._newcomer = asyncio.Event()
        self._reachable = asyncio.Event()
        self._reachable.set()
        self._closed = False

    @property
    def streams(self) -> int:
        """How many readers there are."""
        return self._count

    @contextmanager
    def slot(self, run_id: UUID) -> Generator[Watch]:
        """A place among the readers. Raises `TooManyStreams`."""
        if self._closed or self._count >= self._limit:
            raise TooManyStreams(
                f"{self._count} event streams are open, the limit is {self._limit}"
            )
        watch = Watch()
        self._count += 1
        self._watches.setdefault(run_id, set()).add(watch)
        self._newcomer.set()
        if self._poll is None:
            self._poll = asyncio.create_task(self._keep_polling())
        try:
            yield watch
        finally:
            self._count -= 1
            readers = self._watches[run_id]
            readers.discard(watch)
            if not readers:
                del self._watches[run_id]
                self._newcomer.set()  # so that a poll without readers ends at once

    async def pages(
        self, watch: Watch, tenant: str, run_id: UUID, after: int
    ) -> AsyncGenerator[Sequence[Recorded] | None]:
        """A run's events after a sequence number, as they come, to its last one or to `close`.

        None stands for: the database is away, the events will come.
        """
        while not self._closed:
            if not self._reachable.is_set():
                yield None
                await self._reachable.wait()
                continue
            try:
                page = await self._runs.events(tenant, run_id, after)
            except DatabaseUnavailable:
                self._reachable.clear()
                continue
            if page:
                after = page[-1].seq
                yield page
                if isinstance(page[-1].event, RunFinished):
                    return
            else:
                watch.head = min(watch.head, after)
            await self._beyond(watch, after)

    def over(self, run_id: str) -> None:
        """A run has come to its end: its readers need not wait for the poll."""
        with suppress(ValueError):
            for watch in self._watches.get(UUID(run_id), ()):
                watch.advance(_ALL)

    async def close(self) -> None:
        """End all readers, now."""
        self._closed = True
        self._reachable.set()
        self._wake_all()
        if self._poll is not None:
            self._poll.cancel()
            with suppress(asyncio.CancelledError):
                await self._poll

    async def _beyond(self, watch: Watch, seq: int) -> None:
        while watch.head <= seq and self._reachable.is_set() and not self._closed:
            watch.woken.clear()
            await watch.woken.wait()

    async def _keep_polling(self) -> None:
        pause = FASTEST
        try:
            while self._watches:
                moved = await self._look()
                pause = FASTEST if moved else min(pause * _SLOWING, SLOWEST)
                if await self._newcomer_within(pause):
                    pause = FASTEST
        finally:
            self._poll = None

    async def _look(self) -> bool:
        """Ask once for all runs; whether one of them has moved."""
        try:
            heads = await self._runs.heads(list(self._watches))
        except DatabaseUnavailable as error:
            if self._reachable.is_set():
                log.warning("followers wait for postgres", detail=error.detail)
            self._reachable.clear()
            self._wake_all()
            return False
        except Exception:
            log.exception("the poll of followed runs failed")
            return False
        self._reachable.set()
        moved = False
        for run_id, head in heads.items():
            for watch in self._watches.get(run_id, ()):
                moved |= watch.advance(head)
        return moved

    def _wake_all(self) -> None:
        for readers in self._watches.values():
            for watch in readers:
                watch.woken.set()

    async def _newcomer_within(self, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._newcomer.wait()
        came = self._newcomer.is_set()
        self._newcomer.clear()
        return came
