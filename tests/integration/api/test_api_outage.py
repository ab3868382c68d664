"""Postgres goes away under an open front: it says so, nothing is lost, and it goes on."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from tests.support.api_front import Front, journal_of, make_front

from aos.actors.roster import AgentStore
from aos.cluster.identity import DEFAULT_TENANT
from aos.cluster.postgres import Database, EmbeddedPostgres, migrate
from aos.skills.contracts import AgentProfile


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A server of this test's own."""
    # A short path (a socket lies in it) that the server's user can enter; pytest's own are 0700.
    home = Path(tempfile.mkdtemp(prefix="aos-", dir="/tmp"))
    home.chmod(0o711)
    server = EmbeddedPostgres(home)
    try:
        asyncio.run(server.start())
        yield server
    finally:
        asyncio.run(server.stop())
        shutil.rmtree(home)


@pytest.fixture
async def front(server: EmbeddedPostgres, tmp_path: Path) -> AsyncIterator[Front]:
    async with Database(server.dsn, max_connections=2) as database:
        await migrate(database)
        front = await make_front(database, server.dsn, tmp_path)
        try:
            yield front
        finally:
            await front.close()


async def test_an_open_stream_survives_a_restart_of_postgres(
    front: Front, server: EmbeddedPostgres
) -> None:
    database = front.database
    agent = await AgentStore(database).register(DEFAULT_TENANT, AgentProfile(name="researcher"))
    http = await front.client()
    body = {"agent": "researcher", "goal": "x"}
    submitted = await http.post("/api/v1/runs", json=body)
    run_id = UUID(submitted.json()["id"])
    async with (
        asyncio.timeout(60),
        http.stream("GET", f"/api/v1/runs/{run_id}/events") as response,
        aclosing(response.aiter_lines()) as lines,
    ):
        assert await line_with(lines, "id:") == "id: 1"
        await server.stop()
        # The reader is idle, and is told all the same; the stream stays open.
        assert "waiting for the database" in await line_with(lines, ":")
        await refuses(front, http, body)
        await server.start()
        journal = await journal_of(database, run_id, agent.agent_id, DEFAULT_TENANT)
        await journal.started()
        assert await line_with(lines, "id:") == "id: 2"
        await journal.planned()
        await journal.finished()
        assert await line_with(lines, "id:") == "id: 3"
        assert await line_with(lines, "id:") == "id: 4"
    assert (await http.get("/ready")).status_code == 200


async def refuses(front: Front, http: httpx.AsyncClient, body: dict[str, str]) -> None:
    """While the database is away: alive, not ready, and every request a 503 with a way out."""
    assert (await http.get("/health")).status_code == 200
    unready = await http.get("/ready")
    assert (unready.status_code, unready.json()["code"]) == (503, "AOS-6103")
    refused = await http.post("/api/v1/runs", json=body)
    assert (refused.status_code, refused.json()["code"]) == (503, "AOS-5001")
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["retryable"] is True


async def line_with(lines: AsyncIterator[str], start: str) -> str:
    """The next line that starts so."""
    async for line in lines:
        if line.startswith(start):
            return line
    raise AssertionError(f"the stream ended before a line with {start!r}")
