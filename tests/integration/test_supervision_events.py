"""The record of what supervisors did: complete, unchangeable, and no older than it may become."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from aos.actors.roster import AgentStore
from aos.cluster.ids import new_id
from aos.cluster.postgres import ConstraintViolation, Database, Row, migrate
from aos.cluster.postgres.migrate import FOLDER
from aos.skills.contracts import AgentProfile
from aos.supervisors import store
from aos.supervisors.state import Report
from aos.supervisors.store import EventFilter, EventRecorder, events_page

EVERYTHING = EventFilter(tenant=None)


async def an_agent(database: Database, tenant: str = "default", epoch: int = 0) -> UUID:
    await database.execute(
        "INSERT INTO tenants (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING", tenant
    )
    agent = await AgentStore(database).register(tenant, AgentProfile(name="researcher"))
    if epoch:
        await database.execute(
            "INSERT INTO activations (agent_id, tenant_id, epoch, state)"
            " VALUES ($1, $2, $3, 'passive')",
            agent.agent_id, tenant, epoch,
        )  # fmt: skip
    return agent.agent_id


async def happened(database: Database, age: str, child: str = "front") -> int:
    return await database.fetch_value(
        "INSERT INTO supervision_events (at, recorded_at, supervisor, child, kind)"
        " VALUES (now() - $1::text::interval, now() - $1::text::interval, 'root', $2, 'started')"
        " RETURNING event_id",
        age, child,
    )  # fmt: skip


@asynccontextmanager
async def writing(recorder: EventRecorder) -> AsyncIterator[None]:
    task = asyncio.create_task(recorder.run())
    try:
        yield
    finally:
        task.cancel()


async def until_written(database: Database, count: int) -> list[Row]:
    """All events, oldest first, once there are so many."""
    async with asyncio.timeout(10):
        while True:
            rows = await events_page(database, EVERYTHING, 100)
            if len(rows) >= count:
                return rows[::-1]


async def test_an_agents_event_has_its_tenant_its_name_and_its_epoch(database: Database) -> None:
    theirs = await an_agent(database, "others", epoch=7)
    recorder = EventRecorder(database)
    recorder.record("agents", Report(str(theirs), "ended", "crash", "boom", timedelta(seconds=2)))
    recorder.record("agents", Report(str(theirs), "started"), epoch=8)
    recorder.record("root", Report("front", "started"))
    recorder.record("agents", Report(str(new_id()), "started"))
    recorder.record("team", Report("writers", "started"), tenant="others")
    async with writing(recorder):
        ended, started, front, unknown, team = await until_written(database, 5)
    names = ("tenant_id", "name", "epoch", "kind", "reason", "detail", "delay_ms")
    assert [ended[name] for name in names] == [
        "others", "researcher", 7, "ended", "crash", "boom", 2_000,
    ]  # fmt: skip
    assert (started["tenant_id"], started["epoch"]) == ("others", 8), "what is known, not looked up"
    for nobodys in (front, unknown):
        assert (nobodys["tenant_id"], nobodys["name"], nobodys["epoch"]) == (None, None, None)
    assert team["tenant_id"] == "others"


async def test_what_is_written_late_has_the_time_when_it_happened(database: Database) -> None:
    clock = iter([100.0, 3_700.0])
    recorder = EventRecorder(database, now=lambda: next(clock))
    recorder.record("root", Report("front", "ended"))
    async with writing(recorder):
        await until_written(database, 1)
    row = await database.fetch_one("SELECT recorded_at - at AS late FROM supervision_events")
    assert row is not None
    assert timedelta(minutes=59) < row["late"] < timedelta(minutes=61)


async def test_what_cannot_be_stored_is_no_end_of_the_record(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged = asyncio.Event()
    monkeypatch.setattr(store.log, "error", lambda *_, **__: logged.set())
    recorder = EventRecorder(database)
    async with writing(recorder):
        recorder.record("root", Report("front", "ended", "crash", "nul \0 and \ud800 in it"))
        first = await until_written(database, 1)
        recorder.record("root", Report("front", "quarantined", delay=timedelta(days=365)))
        async with asyncio.timeout(10):
            await logged.wait()
        recorder.record("root", Report("front", "started"))
        rows = await until_written(database, 2)
    assert first[0]["detail"] == "nul \ufffd and ? in it"
    assert [row["kind"] for row in rows] == ["ended", "started"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE supervision_events SET reason = 'normal'",
        "DELETE FROM supervision_events",
        "TRUNCATE supervision_events",
    ],
)
async def test_the_record_cannot_be_changed(database: Database, statement: str) -> None:
    await happened(database, "23 hours")
    with pytest.raises(ConstraintViolation):
        await database.execute(statement)
    assert len(await events_page(database, EVERYTHING, 10)) == 1


async def test_not_even_old_rows_can_be_changed(database: Database) -> None:
    await happened(database, "2 years")
    with pytest.raises(ConstraintViolation):
        await database.execute("UPDATE supervision_events SET reason = 'normal'")


async def test_trimming_removes_what_is_old_and_nothing_else(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aos.supervisors.store._TRIM_AT_ONCE", 2)
    for days in (40, 35, 33, 32, 31):
        await happened(database, f"{days} days")
    kept = [await happened(database, age) for age in ("29 days", "1 hour")]
    recorder = EventRecorder(database)
    assert await recorder.trim(timedelta(days=30)) == 5
    assert [row["event_id"] for row in await events_page(database, EVERYTHING, 10)] == kept[::-1]
    assert await recorder.trim(timedelta(days=30)) == 0


async def test_trimming_everything_keeps_the_last_day(database: Database) -> None:
    await happened(database, "25 hours")
    recorder = EventRecorder(database)
    assert await recorder.trim(timedelta(days=1)) == 1
    await happened(database, "1 hour")
    with pytest.raises(ConstraintViolation):
        await recorder.trim(timedelta(minutes=1))
    assert len(await events_page(database, EVERYTHING, 10)) == 1


async def test_pages_are_filtered_in_every_way(database: Database) -> None:
    ids = [await happened(database, age, child) for age, child in (
        ("3 hours", "front"), ("2 hours", "hosts"), ("1 hour", "front"),
    )]  # fmt: skip

    async def found(**wanted: Any) -> list[int]:
        page = await events_page(database, EventFilter(**{"tenant": None, **wanted}), 10)
        return [row["event_id"] for row in page]

    since = await database.fetch_value("SELECT now() - interval '150 minutes'")
    assert await found() == ids[::-1]
    assert await found(child="front") == [ids[2], ids[0]]
    assert await found(since=since) == [ids[2], ids[1]]
    assert await found(before=ids[2]) == [ids[1], ids[0]]
    assert await found(kind="ended") == []
    assert await found(tenant="default") == []


async def test_a_record_from_before_the_migration_is_kept(
    database: Database, tmp_path: Path
) -> None:
    await database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    shutil.copy(FOLDER / "0001_ground.sql", tmp_path)
    await migrate(database, tmp_path)
    await database.execute(
        "INSERT INTO supervision_events (at, supervisor, child, kind)"
        " VALUES (now() - interval '2 days', 'root', 'front', 'started')"
    )
    await migrate(database)
    row = await database.fetch_one("SELECT at, recorded_at FROM supervision_events")
    assert row is not None
    assert row["recorded_at"] == row["at"]
