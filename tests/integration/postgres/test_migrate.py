from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import pytest

from aos.cluster.postgres import (
    Database,
    DatabaseUnavailable,
    MigrationAltered,
    MigrationNumbering,
    QueryFailed,
    SchemaTooNew,
    migrate,
    status,
)
from aos.cluster.postgres.migrate import FOLDER

IN_ANOTHER_PROCESS = """
import asyncio, sys
from pathlib import Path
from aos.cluster.postgres import Database, migrate

async def main():
    async with Database(sys.argv[1]) as database:
        print("ready", flush=True)
        sys.stdin.readline()
        print(*await migrate(database, Path(sys.argv[2])))

asyncio.run(main())
"""


@pytest.fixture
async def database(database: Database) -> Database:
    """Without what the template brought: these tests bring their own migrations."""
    await database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    return database


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three migrations; the second needs the first, and both are several statements."""
    write(tmp_path, "0001_ground", "CREATE TABLE a (id int); INSERT INTO a VALUES (1);")
    write(tmp_path, "0002_more", "ALTER TABLE a ADD b int DEFAULT 2; INSERT INTO a VALUES (2);")
    write(tmp_path, "0003_comment_only", "-- nothing to do\n")
    return tmp_path


NAMES = ("0001_ground", "0002_more", "0003_comment_only")


def write(folder: Path, name: str, sql: str) -> Path:
    path = folder / f"{name}.sql"
    path.write_text(sql)
    return path


async def rows(database: Database) -> list[tuple[int, int]]:
    return [(row["id"], row["b"]) for row in await database.fetch("SELECT * FROM a ORDER BY id")]


async def test_everything_is_applied_once_in_order(database: Database, folder: Path) -> None:
    before = await status(database, folder)
    assert (before.applied, before.pending) == ((), NAMES)
    assert await migrate(database, folder) == NAMES
    assert await migrate(database, folder) == ()
    after = await status(database, folder)
    assert [row.name for row in after.applied] == list(NAMES)
    assert [row.version for row in after.applied] == [1, 2, 3]
    assert all(re.fullmatch("[0-9a-f]{64}", row.checksum) for row in after.applied)
    assert after.applied[0].applied_at.tzinfo is not None
    assert after.pending == ()
    assert await rows(database) == [(1, 2), (2, 2)]


async def test_status_changes_nothing(database: Database, folder: Path) -> None:
    await status(database, folder)
    assert await database.fetch_value("SELECT to_regclass('schema_migrations')") is None


async def test_a_later_migration_is_added(database: Database, folder: Path) -> None:
    await migrate(database, folder)
    write(folder, "0004_later", "INSERT INTO a VALUES (3)")
    assert (await status(database, folder)).pending == ("0004_later",)
    assert await migrate(database, folder) == ("0004_later",)


async def test_a_failing_migration_leaves_nothing_of_itself(
    database: Database, folder: Path
) -> None:
    broken = write(folder, "0004_broken", "INSERT INTO a VALUES (9); SELECT 1/0;")
    with pytest.raises(QueryFailed) as caught:
        await migrate(database, folder)
    assert caught.value.context == {"sqlstate": "22012", "query": "migration_0004"}
    assert await rows(database) == [(1, 2), (2, 2)]
    assert (await status(database, folder)).pending == ("0004_broken",)
    broken.write_text("INSERT INTO a VALUES (4)")
    assert await migrate(database, folder) == ("0004_broken",)


async def test_an_altered_file_is_refused_before_anything_happens(
    database: Database, folder: Path
) -> None:
    await migrate(database, folder)
    write(folder, "0002_more", "ALTER TABLE a ADD b int DEFAULT 3; INSERT INTO a VALUES (2);")
    write(folder, "0004_later", "INSERT INTO a VALUES (3)")
    for act in (migrate, status):
        with pytest.raises(MigrationAltered, match="0002_more is not what was applied"):
            await act(database, folder)
    assert await rows(database) == [(1, 2), (2, 2)]


async def test_a_renamed_file_is_refused(database: Database, folder: Path) -> None:
    await migrate(database, folder)
    (folder / "0002_more.sql").rename(folder / "0002_less.sql")
    with pytest.raises(MigrationAltered, match=r"0002_more was applied, .* called 0002_less"):
        await migrate(database, folder)


async def test_a_newer_database_is_refused(database: Database, folder: Path) -> None:
    await migrate(database, folder)
    (folder / "0003_comment_only.sql").unlink()
    for act in (migrate, status):
        with pytest.raises(SchemaTooNew, match="at version 3, this AOS knows up to 2") as caught:
            await act(database, folder)
    assert caught.value.context == {"database_version": 3, "code_version": 2}
    assert "AOS_HOME" in caught.value.next_action


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("0005_gap", "0005_gap stands where number 0004 belongs"),
        ("0002_twice", "0002_twice stands where number 0003 belongs"),
        ("0000_zero", "0000_zero stands where number 0001 belongs"),
        ("4_short", r"4_short\.sql is not called NNNN_name\.sql"),
        ("0004-dash", r"0004-dash\.sql is not called"),
        ("0004_Big", r"0004_Big\.sql is not called"),
    ],
)
async def test_wrong_numbers_are_refused(
    database: Database, folder: Path, name: str, complaint: str
) -> None:
    write(folder, name, "SELECT 1")
    for act in (migrate, status):
        with pytest.raises(MigrationNumbering, match=complaint):
            await act(database, folder)
    assert await database.fetch_value("SELECT to_regclass('a')") is None


async def test_a_missing_folder_is_not_an_empty_schema(database: Database, folder: Path) -> None:
    with pytest.raises(MigrationNumbering, match="there is no folder"):
        await migrate(database, folder / "elsewhere")


async def test_four_tasks_at_once_apply_each_migration_once(
    database: Database, folder: Path
) -> None:
    done = await asyncio.gather(*(migrate(database, folder) for _ in range(4)))
    assert sorted(name for names in done for name in names) == list(NAMES)
    assert await rows(database) == [(1, 2), (2, 2)]


async def test_four_processes_at_once_apply_each_migration_once(
    database: Database, database_url: str, folder: Path
) -> None:
    arguments = (sys.executable, "-c", IN_ANOTHER_PROCESS, database_url, str(folder))
    pipes = {"stdin": asyncio.subprocess.PIPE, "stdout": asyncio.subprocess.PIPE}
    processes = [await asyncio.create_subprocess_exec(*arguments, **pipes) for _ in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    outputs = await asyncio.gather(*(process.communicate(b"go\n") for process in processes))
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert sorted(b" ".join(out for out, _ in outputs).split()) == [n.encode() for n in NAMES]
    assert await rows(database) == [(1, 2), (2, 2)]


async def test_a_migrator_that_dies_leaves_neither_its_work_nor_its_lock(
    database: Database, folder: Path
) -> None:
    asleep = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid <> $1"
    locked = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'"
    slow = write(folder, "0004_slow", "INSERT INTO a VALUES (3); SELECT pg_sleep(60);")
    dying = asyncio.create_task(migrate(database, folder))
    while (first := await database.fetch_value(asleep, 0)) is None:
        assert not dying.done()
    waiting = asyncio.create_task(migrate(database, folder))
    while await database.fetch_value(locked) is None:
        assert not waiting.done()
    await database.execute("SELECT pg_terminate_backend($1)", first)
    with pytest.raises(DatabaseUnavailable):
        await dying
    # The one that waited has the lock now, and does what the other had not done.
    while (second := await database.fetch_value(asleep, first)) is None:
        assert not waiting.done()
    await database.execute("SELECT pg_cancel_backend($1)", second)
    with pytest.raises(QueryFailed, match="57014"):
        await waiting
    assert await rows(database) == [(1, 2), (2, 2)]
    slow.write_text("INSERT INTO a VALUES (4)")
    assert await migrate(database, folder) == ("0004_slow",)


def test_our_own_migrations_are_where_they_are_looked_for() -> None:
    assert FOLDER.is_dir()
