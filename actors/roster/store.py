"""Registered agents: a million of them cost rows, not processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError

from ...cluster.errors import InputError, StorageError
from ...cluster.ids import new_id
from ...cluster.postgres import Database, Queries, Row
from ...skills.contracts import AgentProfile

QUERIES = Queries.load(Path(__file__).with_name("agents.sql"))


class AgentNotFound(InputError):
    """There is no such agent in the caller's tenant."""

    code = "AOS-3101"
    title = "There is no agent with this id or name."
    next_action = "List the agents with `aos agent ls`, or create one with `aos agent create`."


class AgentExists(InputError):
    """The name is taken."""

    code = "AOS-3102"
    title = "An agent of this name exists already."
    next_action = "Choose another name, or use the agent that exists: `aos agent show NAME`."


class AgentUnreadable(StorageError):
    """An agent's row holds a profile that is none: somebody has written it by hand."""

    code = "AOS-3103"
    title = "The agent's profile cannot be read."
    next_action = "Correct `profile` in its row of the table `agents`; its runs wait until then."


UNREADABLE = "unreadable"
"""The state that lists show of such an agent; all else about it is its row's, but the profile."""


@dataclass(frozen=True, slots=True)
class RegisteredAgent:
    """An agent and where it is active now, if it is."""

    agent_id: UUID
    tenant: str
    profile: AgentProfile
    created_at: datetime
    state: str = "passive"
    epoch: int = 0
    host: str | None = None
    pid: int | None = None
    activated_at: datetime | None = None
    quarantined_until: datetime | None = None


class AgentStore:
    """Registers and finds agents. Every query names the tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(self, tenant: str, profile: AgentProfile) -> RegisteredAgent:
        """Make an agent. Raises `AgentExists`."""
        agent_id = new_id()
        created_at = await self._database.fetch_value(
            QUERIES.register_agent, agent_id, tenant, profile.name, profile.model_dump_json()
        )
        if created_at is None:
            raise AgentExists(f"an agent named {profile.name!r} exists already")
        return RegisteredAgent(agent_id, tenant, profile, created_at)

    async def find(self, tenant: str, id_or_name: UUID | str) -> RegisteredAgent:
        """An agent by id or name. Raises `AgentNotFound`, `AgentUnreadable`."""
        agent_id = _as_id(id_or_name)
        name = None if agent_id else str(id_or_name)
        row = await self._database.fetch_one(QUERIES.read_agent, tenant, agent_id, name)
        if row is None:
            raise AgentNotFound(f"no agent {str(id_or_name)!r}")
        try:
            return _agent(row)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "profile"
            raise AgentUnreadable(f"agent {row['name']}: {where}: {first['msg']}") from None

    async def page(
        self, tenant: str, *, after: UUID | None = None, limit: int = 50
    ) -> list[RegisteredAgent]:
        """Agents in order of creation, after the one named by the cursor. One that cannot be read
        is among them, without its profile.
        """
        rows = await self._database.fetch(QUERIES.list_agents, tenant, after, limit)
        return [_shown(row) for row in rows]


def _as_id(id_or_name: UUID | str) -> UUID | None:
    if isinstance(id_or_name, UUID):
        return id_or_name
    try:
        return UUID(id_or_name)
    except ValueError:
        return None


def _shown(row: Row) -> RegisteredAgent:
    try:
        return _agent(row)
    except ValidationError:
        blank = AgentProfile.model_construct(name=row["name"])
        return replace(_with(row, blank), state=UNREADABLE)


def _agent(row: Row) -> RegisteredAgent:
    return _with(row, AgentProfile.model_validate_json(row["profile"]))


def _with(row: Row, profile: AgentProfile) -> RegisteredAgent:
    return RegisteredAgent(
        agent_id=row["agent_id"],
        tenant=row["tenant_id"],
        profile=profile,
        created_at=row["created_at"],
        state=row["state"],
        epoch=row["epoch"],
        host=row["host"],
        pid=row["pid"],
        activated_at=row["activated_at"],
        quarantined_until=row["quarantined_until"],
    )
