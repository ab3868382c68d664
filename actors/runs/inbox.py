"""What is said to runs: signals, decisions, control. A message is a row until it is an event."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from ...cluster.canonical import canonical
from ...cluster.errors import InputError
from ...cluster.postgres import Database, UniqueViolation
from ...skills.contracts import JsonObject
from .journal import QUERIES


class KeyConflict(InputError):
    """The key of a message was used for another one."""

    code = "AOS-3004"
    title = "This key was used with another message to the same run."
    next_action = "Use a new key for a new message, or repeat the first one unchanged."


@dataclass(frozen=True, slots=True)
class Said:
    """A message that will be heard: its number in the run's inbox, and whose run it is."""

    number: int
    agent_id: UUID
    replayed: bool = False


class Inbox:
    """Says things to runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def say(
        self,
        tenant: str,
        run_id: UUID,
        kind: str,
        body: JsonObject,
        *,
        by: str,
        key: str | None = None,
    ) -> Said | None:
        """Commit a message to an unfinished run; None if there is no such run. With a key, saying
        it again is the same message. Raises `KeyConflict`.
        """
        text = canonical(body).decode()
        try:
            row = await self._database.fetch_one(QUERIES.say, tenant, run_id, kind, key, by, text)
        except UniqueViolation:
            row = await self._database.fetch_one(QUERIES.said_before, tenant, run_id, key)
            if row is None:
                return None  # the run has come to its end in between
            if (row["kind"], row["body"]) != (kind, text):
                raise KeyConflict(f"key {key!r} stands for another message") from None
            return Said(row["number"], row["agent_id"], replayed=True)
        return None if row is None else Said(row["number"], row["agent_id"])

    async def was_said(self, tenant: str, run_id: UUID, key: str) -> bool:
        """Whether the run still knows of a message with this key."""
        row = await self._database.fetch_one(QUERIES.said_before, tenant, run_id, key)
        return row is not None

    async def tell_parent(self, tenant: str, run_id: UUID) -> UUID | None:
        """A finished child says so to its parent, once. The parent's agent, if it still listens."""
        agent_id: UUID | None = await self._database.fetch_value(
            QUERIES.tell_parent, tenant, run_id
        )
        return agent_id

    async def tell_parents(self, limit: int) -> list[UUID]:
        """Do so for children whose process died in between. The agents of their parents."""
        rows = await self._database.fetch(QUERIES.untold_children, limit)
        told = [await self.tell_parent(row["tenant_id"], row["run_id"]) for row in rows]
        return [agent_id for agent_id in told if agent_id is not None]
