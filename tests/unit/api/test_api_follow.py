"""The one poll: it runs while somebody reads, asks little while nothing moves, and then ends."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import cast
from uuid import UUID

import pytest

from aos.actors.runs.events import RunFinished, RunStarted, RunStatus
from aos.actors.runs.store import Recorded, RunStore
from aos.api import follow
from aos.api.follow import Follower, Watch
from aos.cluster.postgres import DatabaseUnavailable

RUN = UUID(int=1)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = RunStarted(at=NOW, epoch=1)
FINISHED = RunFinished(at=NOW, status=RunStatus.COMPLETED, code="OK")


class Runs:
    """Journals in memory, that count how often they are asked."""

    def __init__(self) -> None:
        self.journal: list[Recorded] = []
        self.reads = 0
        self.polls = 0
        self.asked = asyncio.Event()
        self.error: Exception | None = None

    def append(self, event: RunStarted | RunFinished) -> None:
        self.journal.append(Recorded(len(self.journal) + 1, 1, event))

    async def events(self, tenant: str, run_id: UUID, after: int) -> list[Recorded]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return [recorded for recorded in self.journal if recorded.seq > after]

    async def heads(self, run_ids: Iterable[UUID]) -> dict[UUID, int]:
        self.polls += 1
        self.asked.set()
        if self.error is not None:
            raise self.error
        return {run_id: len(self.journal) for run_id in run_ids}

    async def polled(self, times: int) -> None:
        for _ in range(times):
            self.asked.clear()
            await self.asked.wait()


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    monkeypatch.setattr(follow, "FASTEST", 0.001)
    monkeypatch.setattr(follow, "SLOWEST", 0.002)
    return Runs()


def a_follower(runs: Runs) -> Follower:
    return Follower(cast(RunStore, runs))


async def test_an_idle_reader_costs_polls_and_no_reads(runs: Runs) -> None:
    runs.append(STARTED)
    follower = a_follower(runs)
    with follower.slot(RUN) as watch:
        async with aclosing(follower.pages(watch, "t", RUN, 0)) as reading:
            assert (await anext(reading)) == runs.journal[:1]
            waiting = asyncio.ensure_future(anext(reading))
            await runs.polled(10)
            # Once for the event, at most once more because the poll came between.
            assert runs.reads <= 2
            runs.append(FINISHED)
            assert await waiting == runs.journal[1:]
    await follower.close()


async def test_the_poll_ends_with_its_last_reader_and_begins_with_the_next(runs: Runs) -> None:
    follower = a_follower(runs)
    for _ in range(2):
        with follower.slot(RUN):
            await runs.polled(2)
        polls = [task for task in asyncio.all_tasks() if "_keep_polling" in repr(task)]
        if polls:
            await asyncio.wait(polls, timeout=5)
        asked = runs.polls
        assert all(task.done() for task in polls)
    assert runs.polls == asked


async def test_an_outage_is_told_once_and_nothing_is_lost(runs: Runs) -> None:
    runs.append(STARTED)
    follower = a_follower(runs)
    with follower.slot(RUN) as watch:
        async with aclosing(follower.pages(watch, "t", RUN, 0)) as reading:
            await anext(reading)
            runs.error = DatabaseUnavailable("away")
            assert await anext(reading) is None
            waiting = asyncio.ensure_future(anext(reading))
            await runs.polled(3)
            assert not waiting.done()
            runs.error = None
            runs.append(FINISHED)
            assert await waiting == runs.journal[1:]
    await follower.close()


async def test_a_poll_that_fails_for_another_reason_goes_on(runs: Runs) -> None:
    follower = a_follower(runs)
    runs.error = ValueError("a bug")
    with follower.slot(RUN) as watch:
        await runs.polled(3)
        runs.error = None
        runs.append(STARTED)
        await watch.woken.wait()
        assert watch.head == 1
    await follower.close()


async def test_closing_ends_readers_that_wait(runs: Runs) -> None:
    follower = a_follower(runs)
    with follower.slot(RUN) as watch:
        async with aclosing(follower.pages(watch, "t", RUN, 0)) as reading:
            waiting = asyncio.ensure_future(anext(reading, None))
            await runs.polled(1)
            await follower.close()
            assert await waiting is None


def test_a_head_only_grows() -> None:
    watch = Watch()
    assert watch.advance(3)
    assert not watch.advance(3)
    assert not watch.advance(2)
    assert watch.head == 3
