"""What goes, what stays, and that nothing which stays is changed or missed on the way."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from tests.support.old_runs import insert_runs, make_week, week
from tests.support.retained import (
    Writers,
    append,
    begun,
    finish,
    nothing,
    retention,
    rows_of,
    submit,
    tables,
)

from aos.actors.retention.policy import DEFAULT_PART, Verdict
from aos.actors.retention.reading import read_archive
from aos.actors.retention.store import LOCK_MS, RetentionStore
from aos.cluster.ids import new_id
from aos.cluster.postgres import ConstraintViolation, Database, QueryFailed


@pytest.fixture
async def others(database_url: str) -> AsyncIterator[Database]:
    """Connections of somebody else."""
    async with Database(database_url, max_connections=6, application_name="others") as database:
        yield database


async def test_without_a_policy_nothing_goes(database: Database) -> None:
    old = await make_week(database, 60)
    runs = await insert_runs(database, old.monday, 10)
    before = await rows_of(database, runs)
    assert await retention(database, None).round() == 0
    assert await retention(database, None).survey() == []
    assert await rows_of(database, runs) == before


async def test_a_finished_week_goes_whole_and_its_keys_with_it(database: Database) -> None:
    old, young = await make_week(database, 10), await make_week(database, 2)
    gone = await insert_runs(database, old.monday, 500)
    stays = await insert_runs(database, young.monday, 20)
    before = await rows_of(database, stays)
    assert await retention(database).round() == 500
    assert nothing(await rows_of(database, gone))
    assert await rows_of(database, stays) == before
    assert not {name for name in await tables(database) if old.name in name}
    removals = await RetentionStore(database).last_removals(10)
    assert [(row["part"], row["state"], row["runs"], row["kept"]) for row in removals] == [
        (old.name, "removed", 500, 0)
    ]
    assert await retention(database).round() == 0


async def test_runs_that_wait_stay_as_they_are_and_go_on(database: Database) -> None:
    old = await make_week(database, 30)
    gone = await insert_runs(database, old.monday, 200)
    waiting = await insert_runs(database, old.monday, 3, finished=False, first=1_000)
    await append(database, waiting[0], 9)
    before = await rows_of(database, waiting)
    assert await retention(database).round() == 200
    assert nothing(await rows_of(database, gone))
    assert await rows_of(database, waiting) == before
    part = await database.fetch_value(
        "SELECT DISTINCT tableoid::regclass::text FROM journal WHERE run_id = $1", waiting[0]
    )
    assert part == f"journal_{old.name}"
    await append(database, waiting[0], 10)
    for statement in ("DELETE FROM journal", "UPDATE journal SET body = '[]'", "TRUNCATE journal"):
        with pytest.raises(ConstraintViolation):
            await database.execute(statement)
    assert await retention(database).round() == 0
    await finish(database, waiting[0])
    assert [judged.verdict for judged in await retention(database).survey()][:1] == [Verdict.LATER]
    await finish(database, waiting[1])
    await finish(database, waiting[2])
    assert await retention(database).round() == 3
    assert nothing(await rows_of(database, waiting))


async def test_what_is_written_while_a_partition_is_prepared_is_not_missed(
    database: Database,
) -> None:
    old = await make_week(database, 30)
    await insert_runs(database, old.monday, 50)
    first, second = await insert_runs(database, old.monday, 2, finished=False, first=1_000)
    store = RetentionStore(database)
    removal = await begun(database, old.name)
    await append(database, first, 9)
    await store.stage(removal)
    await append(database, first, 10)
    await append(database, second, 9)
    await finish(database, second)
    before = await rows_of(database, [first, second])
    assert await store.swap(removal) == "detached"
    await store.finish(removal)
    assert await rows_of(database, [first, second]) == before
    assert len(before["journal"]) == 10 + 9
    assert len(before["blobs"]) == 3


async def test_a_run_that_comes_while_nothing_was_to_stay_stays(database: Database) -> None:
    old = await make_week(database, 30)
    gone = await insert_runs(database, old.monday, 50)
    store = RetentionStore(database)
    removal = await begun(database, old.name)
    late = (await insert_runs(database, old.monday, 1, finished=False, first=1_000))[0]
    before = await rows_of(database, [late])
    assert await store.swap(removal) == "stage"
    assert not nothing(await rows_of(database, gone)), "nothing has gone yet"
    assert await retention(database).round() == 50
    assert await rows_of(database, [late]) == before
    assert nothing(await rows_of(database, gone))


async def test_old_runs_without_a_week_of_their_own_go_too(
    database: Database, others: Database
) -> None:
    ancient = week(40)
    gone = await insert_runs(database, ancient.monday, 100)
    waiting = await insert_runs(database, ancient.monday, 1, finished=False, first=1_000)
    future = UUID("7fffffff-0000-7000-8000-000000000001")
    await submit(database, future)
    removal = await begun(database, DEFAULT_PART)
    store = RetentionStore(database)
    await store.stage(removal)
    later = await submit(others, UUID("7fffffff-0000-7000-8000-000000000002"))
    assert await store.release_keys(removal, None, 1_000) == gone[-1]
    stays = [*waiting, future, later]
    before = await rows_of(database, stays)
    assert await store.swap(removal) == "detached"
    await store.finish(removal)
    assert await rows_of(database, stays) == before
    assert nothing(await rows_of(database, gone))
    await submit(database, UUID("7fffffff-0000-7000-8000-000000000003"))
    assert {"runs_default", "journal_default", "blobs_default"} <= await tables(database)
    assert await retention(database).round() == 0


async def test_a_tree_stays_as_long_as_its_root_or_a_parent_may_ask(database: Database) -> None:
    old, older = await make_week(database, 20), await make_week(database, 30)
    root = (await insert_runs(database, older.monday, 1, finished=False))[0]
    child, other = await insert_runs(database, old.monday, 2)
    await database.execute(
        "UPDATE runs SET root_run_id = $1, parent_run_id = $1 WHERE run_id = $2", root, child
    )
    assert await retention(database).round() == 1
    assert nothing(await rows_of(database, [other]))
    assert not nothing(await rows_of(database, [child]))
    await finish(database, root)
    assert await retention(database).round() == 2


async def test_runs_that_ended_lately_stay_however_old_their_ids(database: Database) -> None:
    old = await make_week(database, 30)
    lately, _ = await insert_runs(database, old.monday, 2)
    await finish(database, lately, "now() - interval '1 day'")
    assert await retention(database).round() == 1
    assert not nothing(await rows_of(database, [lately]))


async def test_a_reader_is_not_pushed_aside_and_nobody_queues_for_long(
    database: Database, others: Database
) -> None:
    old = await make_week(database, 30)
    gone = await insert_runs(database, old.monday, 50)
    removal = await begun(database, old.name)
    store = RetentionStore(database)
    loop = asyncio.get_running_loop()
    async with others.transaction() as reading:
        await reading.fetch("SELECT count(*) FROM runs")
        began = loop.time()
        trying = asyncio.create_task(store.swap(removal))
        await submit(database, new_id())  # it may have to wait behind the swap, and no longer
        with pytest.raises(QueryFailed) as busy:
            await trying
        assert busy.value.context["sqlstate"] == "55P03"
        assert loop.time() - began < 20 * LOCK_MS / 1000
    assert await retention(database).round() == 50
    assert nothing(await rows_of(database, gone))


async def test_a_round_waits_for_whoever_reads_and_then_goes_on(
    database: Database, others: Database
) -> None:
    old = await make_week(database, 30)
    await insert_runs(database, old.monday, 50)
    pauses: list[float] = []
    it = retention(database)
    async with others.transaction() as reading:
        await reading.fetch("SELECT count(*) FROM runs")
        second = asyncio.Event()

        async def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) >= 5:
                second.set()
            await asyncio.sleep(0)

        it._sleep = pause
        going = asyncio.create_task(it.round())
        await second.wait()
    assert await going == 50
    assert it.removed == 50


async def test_writers_go_on_while_weeks_go(database: Database, others: Database) -> None:
    gone: list[UUID] = []
    for weeks_ago in (30, 31, 32):
        old = await make_week(database, weeks_ago)
        gone += await insert_runs(database, old.monday, 2_000)
        await insert_runs(database, old.monday, 20, finished=False, first=5_000)
    writers = Writers(others)
    tasks = [asyncio.create_task(writers.write()) for _ in range(4)]
    assert await retention(database).round() == 6_000
    writers.stopped = True
    await asyncio.gather(*tasks)
    assert nothing(await rows_of(database, gone))
    assert len(writers.done) > 3
    found = await database.fetch(
        "SELECT run_id, max(seq) AS seq, count(*) AS events FROM journal "
        "WHERE run_id = ANY ($1) GROUP BY run_id", list(writers.done),
    )  # fmt: skip
    assert {row["run_id"]: row["seq"] for row in found} == writers.done
    assert all(row["events"] == row["seq"] for row in found)


async def test_a_longer_policy_calls_back_what_was_only_begun(database: Database) -> None:
    old = await make_week(database, 30)
    runs = await insert_runs(database, old.monday, 5)
    waiting = await insert_runs(database, old.monday, 1, finished=False, first=1_000)
    removal = await begun(database, old.name)
    await RetentionStore(database).stage(removal)
    before = await rows_of(database, [*runs, *waiting])
    assert await retention(database, 365).round() == 0
    assert await rows_of(database, [*runs, *waiting]) == before | {
        "idempotency_keys": before["idempotency_keys"]
    }
    assert await RetentionStore(database).under_way() == []
    assert not {name for name in await tables(database) if "kept" in name}


async def test_two_at_once_remove_it_once(
    database: Database, others: Database, tmp_path: Path
) -> None:
    old = await make_week(database, 30)
    gone = await insert_runs(database, old.monday, 300)
    waiting = await insert_runs(database, old.monday, 5, finished=False, first=1_000)
    before = await rows_of(database, waiting)
    rivals = [retention(each, archive=tmp_path) for each in (database, others)]
    await asyncio.gather(*(each.round() for each in rivals), return_exceptions=True)
    await rivals[0].round()
    assert nothing(await rows_of(database, gone))
    assert await rows_of(database, waiting) == before
    removals = await RetentionStore(database).last_removals(10)
    assert [(row["state"], row["runs"]) for row in removals] == [("removed", 300)]


async def test_the_journal_cannot_be_emptied_nor_any_part_of_it(database: Database) -> None:
    await make_week(database, 30)
    names = {name for name in await tables(database) if name.startswith("journal_")}
    weeks = await database.fetch_value("SELECT ensure_partitions(7)")
    assert weeks == 6, "two weeks of three tables"
    made = {name for name in await tables(database) if name.startswith("journal_")} - names
    for table in ("journal", *(names - {f"journal_{week(30).name}"}), *made):
        with pytest.raises(ConstraintViolation):
            await database.execute(f"TRUNCATE {table}")


async def test_a_week_that_the_default_partition_has_rows_of_does_not_stop_the_others(
    database: Database,
) -> None:
    ahead = await database.fetch_value("SELECT id_floor(now() + interval '42 days')")
    await submit(database, ahead)
    assert await database.fetch_value("SELECT ensure_partitions(8)") == 2 * 3
    assert await database.fetch_value("SELECT count(*) FROM runs_default") == 1


async def test_rows_come_back_from_an_archive_as_they_were(
    database: Database, tmp_path: Path
) -> None:
    old = await make_week(database, 20)
    (run,) = await insert_runs(database, old.monday, 1)
    await append(database, run, 10)
    await database.execute("UPDATE runs SET wake_at = 'infinity' WHERE run_id = $1", run)
    before = await rows_of(database, [run])
    assert await retention(database, archive=tmp_path).round() == 1
    (archive,) = await RetentionStore(database).archives(None, None, 1)
    lines = gzip.decompress(await asyncio.to_thread(Path(archive["path"]).read_bytes)).splitlines()
    for table, name in (("runs", "run"), ("journal", "event")):
        rows = [line.decode() for line in lines if line.startswith(b'{"' + name.encode())]
        await database.execute(
            f"INSERT INTO {table} SELECT r.* FROM unnest($1::text[]) line, "  # noqa: S608
            f"json_populate_record(NULL::{table}, line::json -> '{name}') r",
            rows,
        )
    (kept,) = read_archive(Path(archive["path"]))
    for digest, content in kept.blobs.items():
        await database.execute(
            "INSERT INTO blobs VALUES ($1, $2, 'default', $3)", run, digest, content
        )
    after = await rows_of(database, [run])
    assert after == before | {"idempotency_keys": []}
