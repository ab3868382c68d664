"""A real front on loopback over a real Postgres; journals written by the real writer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from tests.support.api_front import Front, Journal, Submit, journal_of, make_front

from aos.actors.roster import AgentStore
from aos.cluster.identity import DEFAULT_TENANT
from aos.cluster.postgres import Database
from aos.skills.contracts import AgentProfile


@pytest.fixture
async def front(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    front = await make_front(database, database_url, tmp_path)
    try:
        yield front
    finally:
        await front.close()


@pytest.fixture
async def http(front: Front) -> httpx.AsyncClient:
    """A client whose key may write."""
    return await front.client()


@pytest.fixture
async def agent(database: Database) -> UUID:
    profile = AgentProfile(name="researcher")
    return (await AgentStore(database).register(DEFAULT_TENANT, profile)).agent_id


@pytest.fixture
def submit(http: httpx.AsyncClient, database: Database, agent: UUID) -> Submit:
    """Submit a run over HTTP and become its agent's activation."""

    async def submit(goal: str = "do it") -> Journal:
        response = await http.post("/api/v1/runs", json={"agent": "researcher", "goal": goal})
        run_id = UUID(response.json()["id"])
        return await journal_of(database, run_id, agent, DEFAULT_TENANT)

    return submit
