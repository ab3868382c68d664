"""The one writer: what is committed together, in which order, and what an outage changes."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import cast
from uuid import UUID, uuid4

import pytest
from tests.support.journal_table import JournalTable
from tests.support.runs import START, History, ok, permanent, step

from aos.actors.runs.chain import chained, genesis
from aos.actors.runs.events import RunStatus
from aos.actors.runs.fold import fold
from aos.actors.runs.journal import Append, JournalWriter, LeaseLost
from aos.cluster.clock import VirtualClock
from aos.cluster.postgres import Database, DatabaseUnavailable

AGENT = uuid4()
EPOCH = 7
ONE, OTHER = UUID(int=1), UUID(int=2)


def away(*, ambiguous: bool = False) -> DatabaseUnavailable:
    return DatabaseUnavailable("connection refused", ambiguous=ambiguous)


@pytest.fixture
async def postgres() -> JournalTable:
    return JournalTable(EPOCH)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def writer(postgres: JournalTable, clock: VirtualClock) -> JournalWriter:
    return JournalWriter(cast("Database", postgres), AGENT, "acme", EPOCH, clock)


def batch(run_id: UUID, first: int, last: int, **blobs: bytes) -> Append:
    """Events `first` to `last` of a run, and the state they lead to."""
    history = History().started().planned(step("a"), step("b")).succeeded("a").succeeded("b")
    events = history.events
    rows = chained(genesis(run_id), 1, events)
    return Append(fold(run_id, events[:last]), rows[first - 1 : last], dict(blobs))


def rows(run_id: UUID, first: int, last: int) -> list[tuple[UUID, int]]:
    return [(run_id, seq) for seq in range(first, last + 1)]


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_lone_append_is_committed_at_once(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    await writer.append(batch(ONE, 1, 3))
    assert postgres.groups == [rows(ONE, 1, 3)]
    assert writer.commits == 1


async def test_what_comes_while_a_commit_is_under_way_goes_together_in_the_next(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    postgres.gate.clear()
    waiting = [asyncio.create_task(writer.append(batch(ONE, 1, 2)))]
    await settled()
    waiting += [
        asyncio.create_task(writer.append(batch(OTHER, 1, 1))),
        asyncio.create_task(writer.append(batch(ONE, 3, 4))),
        asyncio.create_task(writer.append(batch(OTHER, 2, 2))),
    ]
    await settled()
    assert not any(task.done() for task in waiting)
    postgres.gate.set()
    await asyncio.gather(*waiting)
    assert postgres.groups == [
        rows(ONE, 1, 2),
        [*rows(OTHER, 1, 1), *rows(ONE, 3, 4), *rows(OTHER, 2, 2)],
    ]
    assert writer.commits == 2


async def test_nobody_hears_of_a_commit_before_it_is_one(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    postgres.gate.clear()
    first = asyncio.create_task(writer.append(batch(ONE, 1, 1)))
    await settled()
    second = asyncio.create_task(writer.append(batch(OTHER, 1, 1)))
    postgres.troubles = [None, away()]
    postgres.gate.set()
    await settled()
    assert (first.done(), second.done()) == (True, False)
    second.cancel()


async def test_after_a_pause_the_writer_goes_on(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    await writer.append(batch(ONE, 1, 1))
    await settled()
    await writer.append(batch(ONE, 2, 2))
    assert postgres.groups == [rows(ONE, 1, 1), rows(ONE, 2, 2)]


async def test_rows_carry_the_fence_the_tenant_and_the_bodies_as_they_are_read_back(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    wanted = batch(ONE, 1, 4)
    await writer.append(wanted)
    assert postgres.arguments[0][:3] == (AGENT, EPOCH, "acme")
    assert [(row["kind"], row["version"], row["at"]) for row in postgres.rows] == [
        (each.kind, 1, each.at) for each in wanted.rows
    ]
    assert [row["chain"] for row in postgres.rows] == [each.chain for each in wanted.rows]
    assert json.loads(postgres.rows[1]["body"]) == {"at": "2026-01-01T00:00:00Z", "epoch": 1}


async def test_large_values_and_the_projection_are_in_the_same_statement(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    history = History().started().planned(step("a"), step("b")).succeeded("a")
    history.settled("b", permanent(cost_microusd=9)).finished(RunStatus.FAILED)
    links = chained(genesis(ONE), 1, history.events)
    appended = Append(fold(ONE, history.events), links, {"sha256:0": b"[1]"})
    await writer.append(appended)
    runs, digests, contents, *projection = postgres.arguments[0][10:]
    assert (runs, digests, contents) == ([ONE], ["sha256:0"], [b"[1]"])
    assert projection == [
        [ONE], ["failed"], [6], [1], [2], [3], [9], [0], [0], ["OK"], [""], [START], [START], [0],
        [None], [datetime.min], [ONE],  # noqa: DTZ901 - the driver's -infinity
    ]  # fmt: skip


async def test_a_run_that_is_twice_in_a_group_is_projected_as_it_stands_at_the_end(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    postgres.gate.clear()
    waiting = [asyncio.create_task(writer.append(batch(ONE, seq, seq))) for seq in (1, 2, 3)]
    await settled()
    postgres.gate.set()
    await asyncio.gather(*waiting)
    run_ids, _, sequences = postgres.arguments[-1][13:16]
    assert (run_ids, sequences) == ([ONE], [3])


async def test_a_message_that_postgres_cannot_hold_is_held_all_the_same(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    history = History().started().settled("plan", ok()).finished()
    history.events[-1] = history.events[-1].model_copy(update={"message": "a\x00b"})
    links = chained(genesis(ONE), 1, history.events)
    await writer.append(Append(fold(ONE, history.events), links))
    assert postgres.arguments[0][23] == ["a\ufffdb"]


# being fenced off


async def test_who_is_fenced_off_writes_nothing_and_hears_of_it(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    postgres.fenced = True
    with pytest.raises(LeaseLost, match=f"epoch {EPOCH} of agent {AGENT} has passed"):
        await writer.append(batch(ONE, 1, 1))
    assert (postgres.rows, writer.commits) == ([], 0)


async def test_everybody_who_waits_hears_of_it(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    postgres.gate.clear()
    waiting = [asyncio.create_task(writer.append(batch(ONE, 1, 1)))]
    await settled()
    waiting += [
        asyncio.create_task(writer.append(batch(run, 1, 1))) for run in (OTHER, UUID(int=3))
    ]
    await settled()
    postgres.fenced = True
    postgres.gate.set()
    heard = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in heard] == [LeaseLost] * 3
    assert postgres.rows == []


async def test_after_that_nothing_reaches_a_journal(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    postgres.fenced = True
    for _ in range(2):
        with pytest.raises(LeaseLost):
            await writer.append(batch(ONE, 1, 1))


async def test_an_append_that_was_cancelled_does_not_stop_the_others(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    postgres.gate.clear()
    first = asyncio.create_task(writer.append(batch(ONE, 1, 1)))
    second = asyncio.create_task(writer.append(batch(OTHER, 1, 1)))
    await settled()
    first.cancel()
    await settled()
    postgres.gate.set()
    await second
    assert postgres.groups == [[*rows(ONE, 1, 1), *rows(OTHER, 1, 1)]]


# outages


async def test_while_postgres_is_away_the_writer_waits_in_growing_pauses(
    writer: JournalWriter, postgres: JournalTable, clock: VirtualClock
) -> None:
    postgres.troubles = [away() for _ in range(9)]
    waiting = asyncio.create_task(writer.append(batch(ONE, 1, 1)))
    await settled()
    for pause in (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0, 2.0):
        left = len(postgres.troubles)
        await clock.advance(pause - 0.001)
        await settled()
        assert len(postgres.troubles) == left, f"it does not try before {pause} s"
        await clock.advance(0.001)
        await settled()
        assert len(postgres.troubles) == max(0, left - 1)
    await waiting
    assert postgres.groups == [rows(ONE, 1, 1)]
    assert postgres.lookups == 0, "nothing was sent, so there is nothing to look up"


async def test_what_was_queued_during_an_outage_follows_in_order(
    writer: JournalWriter, postgres: JournalTable, clock: VirtualClock
) -> None:
    postgres.troubles = [away()]
    waiting = [asyncio.create_task(writer.append(batch(ONE, 1, 2)))]
    await settled()
    waiting.append(asyncio.create_task(writer.append(batch(ONE, 3, 4))))
    await clock.advance(0.05)
    await asyncio.gather(*waiting)
    assert postgres.groups == [rows(ONE, 1, 2), rows(ONE, 3, 4)]


@pytest.mark.parametrize("landed", [True, False])
async def test_a_commit_whose_answer_was_lost_is_looked_up_and_never_written_twice(
    writer: JournalWriter, postgres: JournalTable, clock: VirtualClock, landed: bool
) -> None:
    lost = away(ambiguous=True)
    postgres.troubles, postgres.landing = [lost], [lost] if landed else []
    waiting = asyncio.create_task(writer.append(batch(ONE, 1, 2)))
    await settled()
    assert not waiting.done()
    await clock.advance(0.05)
    await waiting
    assert (postgres.groups, postgres.lookups) == ([rows(ONE, 1, 2)], 1)


async def test_a_lookup_that_fails_is_made_again(
    writer: JournalWriter, postgres: JournalTable, clock: VirtualClock
) -> None:
    lost = away(ambiguous=True)
    postgres.troubles, postgres.landing = [lost, away()], [lost]
    waiting = asyncio.create_task(writer.append(batch(ONE, 1, 2)))
    await settled()
    for _ in range(2):
        await clock.advance(0.1)
        await settled()
    await waiting
    assert (postgres.groups, postgres.lookups) == ([rows(ONE, 1, 2)], 1)


async def test_a_commit_after_a_landed_one_is_not_taken_for_it(
    writer: JournalWriter, postgres: JournalTable, clock: VirtualClock
) -> None:
    await writer.append(batch(ONE, 1, 2))
    postgres.troubles = [away(ambiguous=True)]
    waiting = asyncio.create_task(writer.append(batch(ONE, 3, 4)))
    await settled()
    await clock.advance(0.05)
    await waiting
    assert postgres.groups == [rows(ONE, 1, 2), rows(ONE, 3, 4)]


async def test_who_was_deposed_during_the_outage_is_told_so(
    writer: JournalWriter, postgres: JournalTable, clock: VirtualClock
) -> None:
    postgres.troubles = [away(ambiguous=True)]
    waiting = asyncio.create_task(writer.append(batch(ONE, 1, 2)))
    await settled()
    postgres.fenced = True
    await clock.advance(0.05)
    with pytest.raises(LeaseLost):
        await waiting


async def test_another_error_is_told_and_the_writer_goes_on(
    writer: JournalWriter, postgres: JournalTable
) -> None:
    postgres.troubles = [RuntimeError("a bug")]
    with pytest.raises(RuntimeError, match="a bug"):
        await writer.append(batch(ONE, 1, 1))
    await settled()
    await writer.append(batch(ONE, 1, 1))
    assert postgres.groups == [rows(ONE, 1, 1)]
