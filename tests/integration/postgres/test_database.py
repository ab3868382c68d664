from __future__ import annotations

import asyncio
import pickle
from collections.abc import Mapping
from decimal import Decimal

import pytest
from tests.integration.postgres.support import sleeping_backend

from aos.cluster.errors import AosError
from aos.cluster.postgres import (
    ConstraintViolation,
    Database,
    DatabaseUnavailable,
    QueryFailed,
    UniqueViolation,
)
from aos.cluster.settings import InvalidSettings

NOWHERE = "postgresql://aos:s3cret@/postgres?host=/nonexistent&port=5432"


# --- statements


async def test_rows_are_mappings_in_the_order_of_their_columns(database: Database) -> None:
    rows = await database.fetch("SELECT n AS b, n * 2 AS a FROM generate_series(1, $1) n", 2)
    assert [dict(row) for row in rows] == [{"b": 1, "a": 2}, {"b": 2, "a": 4}]
    assert list(rows[0]) == ["b", "a"]
    assert {**rows[0]} == dict(rows[0].items())
    assert isinstance(rows[0], Mapping)


async def test_nothing_found_is_none(database: Database) -> None:
    assert await database.fetch("SELECT 1 WHERE false") == []
    assert await database.fetch_one("SELECT 1 WHERE false") is None
    assert await database.fetch_value("SELECT 1 WHERE false") is None


@pytest.mark.usefixtures("table")
async def test_execute_returns_the_command_tag(database: Database) -> None:
    assert await database.execute("INSERT INTO thing VALUES ($1, $2)", 1, 1) == "INSERT 0 1"
    assert await database.execute("UPDATE thing SET size = 2 WHERE id = 9") == "UPDATE 0"


@pytest.mark.parametrize("kind", ["json", "jsonb"])
async def test_json_is_text_both_ways(database: Database, kind: str) -> None:
    assert await database.fetch_value(f"SELECT $1::{kind}", '{"a": 1}') == '{"a": 1}'


async def test_numeric_is_decimal(database: Database) -> None:
    assert await database.fetch_value("SELECT 0.10::numeric") == Decimal("0.10")


# --- errors


@pytest.mark.usefixtures("table")
async def test_a_duplicate_key_names_its_constraint(database: Database) -> None:
    insert = "-- add_thing\nINSERT INTO thing VALUES ($1, $2)"
    await database.execute(insert, 4711, 1)
    with pytest.raises(UniqueViolation) as caught:
        await database.execute(insert, 4711, 1)
    assert caught.value.context["constraint"] == "thing_pkey"
    assert caught.value.context["query"] == "add_thing"
    assert "4711" not in str(caught.value)
    assert caught.value.__suppress_context__  # a traceback would print Postgres's DETAIL


@pytest.mark.usefixtures("table")
@pytest.mark.parametrize(
    ("size", "constraint"), [(0, "thing_size_check"), (None, "thing_size_not_null")]
)
async def test_a_refused_row_names_its_constraint(
    database: Database, size: int | None, constraint: str
) -> None:
    with pytest.raises(ConstraintViolation) as caught:
        await database.execute("INSERT INTO thing VALUES (1, $1)", size)
    assert caught.value.context["constraint"] == constraint


@pytest.mark.usefixtures("table")
async def test_foreign_keys_and_exclusions_are_constraint_violations(database: Database) -> None:
    await database.execute(
        "CREATE TABLE part (thing int REFERENCES thing, during int4range,"
        " CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&))"
    )
    with pytest.raises(ConstraintViolation) as caught:
        await database.execute("INSERT INTO part VALUES (1, NULL)")
    assert caught.value.context["constraint"] == "part_thing_fkey"
    await database.execute("INSERT INTO part VALUES (NULL, '[1,5)')")
    with pytest.raises(ConstraintViolation) as caught:
        await database.execute("INSERT INTO part VALUES (NULL, '[2,3)')")
    assert caught.value.context["constraint"] == "no_overlap"


async def test_any_other_refusal_carries_its_sqlstate(database: Database) -> None:
    with pytest.raises(QueryFailed) as caught:
        await database.fetch("-- read_it\nSELECT * FROM missing")
    assert caught.value.context == {"sqlstate": "42P01", "query": "read_it"}
    assert str(caught.value) == 'AOS-5004: query read_it: 42P01 relation "missing" does not exist'


@pytest.mark.parametrize(
    ("query", "argument", "words"),
    [
        ("SELECT $1::text::int", "s3cret", "22P02 InvalidTextRepresentation"),
        ("SELECT $1::int", "s3cret", r"\$1 does not have the type"),
        ("SELECT 1", "s3cret", "expects 0 arguments"),
    ],
)
async def test_no_error_tells_the_value_of_an_argument(
    database: Database, query: str, argument: str, words: str
) -> None:
    with pytest.raises(QueryFailed, match=words) as caught:
        await database.fetch(query, argument)
    assert "s3cret" not in f"{caught.value!r} {caught.value.context}"
    assert caught.value.__suppress_context__


async def test_errors_cross_process_borders(database: Database) -> None:
    with pytest.raises(QueryFailed) as caught:
        await database.fetch("SELEKT")
    copy = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (str(copy), copy.context) == (str(caught.value), caught.value.context)


async def test_nobody_learns_the_password() -> None:
    database = Database(NOWHERE)
    with pytest.raises(DatabaseUnavailable) as caught:
        await database.fetch_value("SELECT 1")
    assert caught.value.context == {"ambiguous": False}
    assert "s3cret" not in f"{caught.value!r} {database!r}"


@pytest.mark.parametrize(
    "dsn", ["mysql://aos:s3cret@host/db", "postgresql://aos@host:s3cret/db", "postgresql://?s3cret"]
)
async def test_a_dsn_that_is_none_is_a_setting_to_correct(dsn: str) -> None:
    with pytest.raises(InvalidSettings, match="database_url") as caught:
        await Database(dsn).fetch_value("SELECT 1")
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("old", "new", "sqlstate"), [("/test_", "/lost_", "3D000"), ("aos:", "aos:x", "28P01")]
)
async def test_a_refused_login_is_said_at_once(
    database_url: str, old: str, new: str, sqlstate: str
) -> None:
    async with Database(database_url.replace(old, new, 1)) as database:
        with pytest.raises(QueryFailed) as caught:
            await database.wait_ready(60)
    assert caught.value.context["sqlstate"] == sqlstate


# --- transactions


@pytest.mark.usefixtures("table")
async def test_a_transaction_commits_as_a_whole(database: Database) -> None:
    async with database.transaction() as transaction:
        await transaction.execute("INSERT INTO thing VALUES (1, 1), (2, 2)")
        assert await transaction.fetch_value("SELECT count(*) FROM thing") == 2
        assert len(await transaction.fetch("SELECT * FROM thing")) == 2
        assert await transaction.fetch_one("SELECT size FROM thing WHERE id = 2") is not None
    assert await database.fetch_value("SELECT count(*) FROM thing") == 2


@pytest.mark.usefixtures("table")
async def test_an_error_undoes_a_transaction(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO thing VALUES (1, 1)")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await work()
    assert await database.fetch_value("SELECT count(*) FROM thing") == 0


@pytest.mark.usefixtures("table")
async def test_cancellation_undoes_a_transaction(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO thing VALUES (1, 1)")
            await transaction.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(work())
    await sleeping_backend(database)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await database.fetch_value("SELECT count(*) FROM thing") == 0


@pytest.mark.usefixtures("table")
async def test_a_swallowed_error_cannot_be_committed(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO thing VALUES (1, 1)")
            with pytest.raises(UniqueViolation):
                await transaction.execute("INSERT INTO thing VALUES (1, 1)")

    with pytest.raises(QueryFailed, match="rolled back") as caught:
        await work()
    assert caught.value.context["sqlstate"] == "25P02"
    assert await database.fetch_value("SELECT count(*) FROM thing") == 0


async def test_a_deferred_constraint_refuses_the_commit(database: Database) -> None:
    await database.execute("CREATE TABLE late (id int CONSTRAINT late_id UNIQUE DEFERRABLE)")

    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("SET CONSTRAINTS ALL DEFERRED")
            await transaction.execute("INSERT INTO late VALUES (1), (1)")

    with pytest.raises(UniqueViolation) as caught:
        await work()
    assert caught.value.context["constraint"] == "late_id"
    assert await database.fetch_value("SELECT count(*) FROM late") == 0


async def test_the_database_itself_is_refused_inside_a_transaction(database: Database) -> None:
    async with database.transaction() as transaction:
        with pytest.raises(RuntimeError, match="use the transaction's own methods"):
            await database.fetch_value("SELECT 1")
        async with asyncio.TaskGroup() as group:  # another task is another matter
            other = group.create_task(database.fetch_value("SELECT 2"))
        assert await transaction.fetch_value("SELECT 1") == 1
    assert other.result() == 2
    with pytest.raises(RuntimeError, match="is over"):
        await transaction.fetch_value("SELECT 1")


# --- its own life


async def test_it_connects_when_needed_and_not_more_often_than_allowed(database_url: str) -> None:
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'few'"
    async with (
        Database(database_url, max_connections=2, application_name="few") as database,
        Database(database_url) as observer,
    ):
        assert await observer.fetch_value(count) == 0
        await asyncio.gather(*(database.fetch_value("SELECT 1") for _ in range(10)))
        assert await observer.fetch_value(count) == 2


async def test_after_close_every_call_is_refused(database_url: str) -> None:
    database = Database(database_url)
    await database.fetch_value("SELECT 1")
    await database.close()
    await database.close()
    for call in (database.fetch_value("SELECT 1"), database.wait_ready(60)):
        with pytest.raises(DatabaseUnavailable, match="was closed"):
            await call


async def test_close_lets_a_transaction_finish(database_url: str) -> None:
    database = Database(database_url)
    async with database.transaction() as transaction:
        await transaction.execute("CREATE TABLE kept (id int)")
        closing = asyncio.create_task(database.close())
        await asyncio.wait([closing], timeout=0)
        await transaction.execute("INSERT INTO kept VALUES (1)")
    await closing
    async with Database(database_url) as again:
        assert await again.fetch_value("SELECT count(*) FROM kept") == 1


async def test_it_belongs_to_the_loop_that_used_it_first(database: Database) -> None:
    await database.fetch_value("SELECT 1")

    def elsewhere() -> None:
        asyncio.run(database.fetch_value("SELECT 1"))

    with pytest.raises(RuntimeError, match="another event loop"):
        await asyncio.to_thread(elsewhere)


def test_all_errors_are_storage_errors_with_an_own_code() -> None:
    for error in (DatabaseUnavailable, UniqueViolation, ConstraintViolation, QueryFailed):
        assert issubclass(error, AosError)
        assert error.code.startswith("AOS-50")
