"""The service that removes: silent without a policy, steady with one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from aos.cluster.postgres import Database
from aos.cluster.settings import load
from aos.supervisors.retention import RetentionService


class Closed:
    """Where a Postgres should be, somebody hangs up; who came is noted."""

    def __init__(self) -> None:
        self.came: asyncio.Queue[None] = asyncio.Queue()
        self.url = ""

    async def hang_up(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.put_nowait(None)
        writer.close()


@pytest.fixture
async def closed() -> AsyncIterator[Closed]:
    closed = Closed()
    async with await asyncio.start_server(closed.hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        closed.url = f"postgresql://aos@127.0.0.1:{port}/aos?sslmode=disable"
        yield closed


@pytest.fixture
async def database(closed: Closed) -> AsyncIterator[Database]:
    async with Database(closed.url) as database:
        yield database


async def test_without_a_policy_there_is_not_one_statement(
    closed: Closed, database: Database
) -> None:
    it = RetentionService(database, load(retention_interval=0.001))
    running = asyncio.create_task(it.run())
    assert it.ask() is False
    done, _ = await asyncio.wait({running}, timeout=0.05)
    assert not done
    assert closed.came.empty()
    running.cancel()


async def test_rounds_follow_each_other_through_an_outage(
    closed: Closed, database: Database
) -> None:
    it = RetentionService(database, load(retention_days=1, retention_interval=0.001))
    running = asyncio.create_task(it.run())
    for _ in range(3):
        await closed.came.get()
    running.cancel()


async def test_whoever_asks_need_not_wait_for_the_hour(closed: Closed, database: Database) -> None:
    it = RetentionService(database, load(retention_days=1, retention_interval=1e9))
    running = asyncio.create_task(it.run())
    assert it.describe() == {"removed": 0, "at_work": False}
    for _ in range(3):
        assert it.ask() is True
        await closed.came.get()
    running.cancel()
