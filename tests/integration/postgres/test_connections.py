from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable
from urllib.parse import parse_qs, urlsplit

import pytest
from tests.integration.postgres.support import backend_of, end_backend, sleeping_backend

from aos.cluster.postgres import (
    Database,
    DatabaseUnavailable,
    EmbeddedPostgres,
    Statements,
)
from aos.cluster.postgres.connection import make_pool


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
