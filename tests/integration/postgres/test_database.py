from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Mapping
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest

from aos.cluster.errors import AosError
from aos.cluster.postgres import (
    ConstraintViolation,
    Database,
    DatabaseUnavailable,
    EmbeddedPostgres,
    QueryFailed,
    Statements,
    UniqueViolation,
)
from aos.cluster.postgres.connection import make_pool
from aos.cluster.settings import InvalidSettings

NOWHERE = "postgresql://aos:s3cret@/postgres?host=/nonexistent&port=5432"


@pytest.fixture
async def table(database: Database) -> None:
    await database.execute(
        "CREATE TABLE thing (id int PRIMARY KEY, size int NOT NULL CHECK (size > 0))"
    )
    return "thing"


async def backend_of(statements: Statements) -> int:
    pid = await statements.fetch_value("SELECT pg_backend_pid()")
    assert isinstance(pid, int)
    return pid


async def sleeping_backend(database: Database) -> int:
    """The backend that waits in pg_sleep, once there is one. Each look is a round trip."""
    query = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    while (pid := await database.fetch_value(query)) is None:
        pass
    assert isinstance(pid, int)
    return pid


def end_backend(pid: int) -> None:
    """End a backend while this event loop stands still, so that it cannot notice."""
    os.kill(pid, signal.SIGTERM)
    while psutil.pid_exists(pid):
        pass


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


# --- connections that die


async def test_a_statement_in_the_middle_of_which_the_connection_dies_is_ambiguous(
    database: Database,
) -> None:
    statement = asyncio.create_task(database.execute("SELECT pg_sleep(60)"))
    await database.execute("SELECT pg_terminate_backend($1)", await sleeping_backend(database))
    with pytest.raises(DatabaseUnavailable) as caught:
        await statement
    assert caught.value.context == {"ambiguous": True}
    assert caught.value.retryable
    assert await database.fetch_value("SELECT 1") == 1


@pytest.mark.usefixtures("table")
async def test_before_commit_nothing_is_ambiguous(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO thing VALUES (1, 1)")
            await transaction.execute("SELECT pg_sleep(60)")

    task = asyncio.create_task(work())
    await database.execute("SELECT pg_terminate_backend($1)", await sleeping_backend(database))
    with pytest.raises(DatabaseUnavailable) as caught:
        await task
    assert caught.value.context == {"ambiguous": False}
    assert await database.fetch_value("SELECT count(*) FROM thing") == 0


async def test_a_transaction_goes_on_failing_once_its_connection_died(database: Database) -> None:
    async def work() -> None:
        async with database.transaction() as transaction:
            end_backend(await backend_of(transaction))
            for _ in range(2):
                with pytest.raises(DatabaseUnavailable) as caught:
                    await transaction.execute("SELECT 1")
                assert caught.value.context == {"ambiguous": False}

    with pytest.raises(DatabaseUnavailable) as caught:
        await work()
    assert caught.value.context == {"ambiguous": False}  # COMMIT was not sent either
    assert await database.fetch_value("SELECT 1") == 1


@pytest.mark.usefixtures("table")
async def test_a_commit_in_the_middle_of_which_the_connection_dies_is_ambiguous(
    database: Database,
) -> None:
    await database.execute("""
        CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql
            AS 'BEGIN PERFORM pg_sleep(60); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER linger AFTER INSERT ON thing
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION linger()""")

    async def work() -> None:
        async with database.transaction() as transaction:
            await transaction.execute("INSERT INTO thing VALUES (1, 1)")

    task = asyncio.create_task(work())
    await database.execute("SELECT pg_terminate_backend($1)", await sleeping_backend(database))
    with pytest.raises(DatabaseUnavailable) as caught:
        await task
    assert caught.value.context == {"ambiguous": True}


async def test_a_deadline_holds_even_if_the_server_hangs(database_url: str) -> None:
    frozen: list[int] = []

    async def freeze(statements: Statements) -> None:
        frozen.append(await backend_of(statements))
        os.kill(frozen[-1], signal.SIGSTOP)

    async def give_up(work: Awaitable[object]) -> None:
        started = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(work, 0.01)
        assert time.monotonic() - started < 10

    async def in_a_transaction() -> None:
        async with database.transaction() as transaction:
            await freeze(transaction)
            await give_up(transaction.fetch_value("SELECT 1"))
            raise ZeroDivisionError

    async with Database(database_url) as database:
        await freeze(database)
        await give_up(database.fetch_value("SELECT 1"))
        assert await database.fetch_value("SELECT 1") == 1
        with pytest.raises(ZeroDivisionError):
            await in_a_transaction()
        assert await database.fetch_value("SELECT 1") == 1
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
async def tcp_url(database_url: str) -> AsyncIterator[str]:
    """The same database over TCP, through a relay."""
    parts = urlsplit(database_url)
    folder = parse_qs(parts.query)["host"][0]

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, there[1]))
            group.create_task(pump(there[0], writer))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        login = parts.netloc.removesuffix("@")
        yield f"postgresql://{login}@{host}:{port}{parts.path}?sslmode=disable"


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()
    await writer.wait_closed()


async def test_over_tcp_a_server_that_vanishes_will_be_noticed(tcp_url: str) -> None:
    pool = make_pool(tcp_url, 1, "tcp")
    async with pool, pool.acquire() as connection:
        sock = connection.raw_socket()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
    async with Database(tcp_url) as database:
        assert await database.fetch_value("SELECT 1") == 1


async def test_an_idle_connection_that_died_unnoticed_is_replaced(database_url: str) -> None:
    async with Database(database_url) as database:
        for _ in range(3):
            end_backend(await backend_of(database))
            assert await database.fetch_value("SELECT 1") == 1
            end_backend(await backend_of(database))
            async with database.transaction() as transaction:
                assert await transaction.fetch_value("SELECT 1") == 1


async def test_a_connection_left_in_peace_is_kept(database_url: str) -> None:
    async with Database(database_url) as database:
        assert await backend_of(database) == await backend_of(database)


async def test_a_connection_that_only_was_spoken_to_is_kept(database_url: str) -> None:
    async with Database(database_url) as database, Database(database_url) as other:
        await database.execute("LISTEN news")
        before = await backend_of(database)
        await other.execute("NOTIFY news")
        assert await backend_of(database) == before


async def test_a_restart_of_the_server_heals_by_itself(crash_server: EmbeddedPostgres) -> None:
    async with Database(crash_server.dsn, max_connections=3) as database:
        await asyncio.gather(*(database.fetch_value("SELECT 1") for _ in range(3)))
        await crash_server.stop()
        with pytest.raises(DatabaseUnavailable) as caught:
            await database.fetch_value("SELECT 1")
        assert caught.value.context == {"ambiguous": False}
        with pytest.raises(DatabaseUnavailable):
            async with database.transaction():
                pass
        with pytest.raises(DatabaseUnavailable, match=r"not ready after 0\.1 s"):
            await database.wait_ready(0.1)
        ready = asyncio.create_task(database.wait_ready(60))
        await crash_server.start()
        await ready
        values = [database.fetch_value("SELECT $1::int", n) for n in range(6)]
        assert await asyncio.gather(*values) == list(range(6))


async def test_a_restart_between_two_statements_goes_unnoticed(
    crash_server: EmbeddedPostgres,
) -> None:
    async with Database(crash_server.dsn, max_connections=3) as database:
        await asyncio.gather(*(database.fetch_value("SELECT 1") for _ in range(3)))
        await crash_server.stop()
        await crash_server.start()
        values = [database.fetch_value("SELECT $1::int", n) for n in range(6)]
        assert await asyncio.gather(*values) == list(range(6))


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
