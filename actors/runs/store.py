"""Runs as the door sees them: read, listed, followed. Every query names the tenant."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from ...cluster import faults
from ...cluster.canonical import readable
from ...cluster.errors import InputError
from ...cluster.postgres import Database, Row
from ...skills.contracts import JsonValue
from .chain import Row as Link
from .events import Event, decode
from .fold import fold
from .journal import QUERIES
from .state import RunState
from .submission import Accepted, Submission, submit_within

_PAGE = 1_000


class RunNotFound(InputError):
    """There is no such run in the caller's tenant."""

    code = "AOS-3002"
    title = "There is no run with this id."
    next_action = "List the runs with `aos runs ls`."


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event with its place in the journal."""

    seq: int
    epoch: int
    event: Event


class RunStore:
    """Reads and submissions. Appending is the journal writer's alone."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def submit(self, submission: Submission) -> Accepted:
        """Commit a run and its first event. Raises `IdempotencyConflict`."""
        if submission.key is None:
            accepted = await submit_within(self._database, submission)
        else:
            async with self._database.transaction() as transaction:
                accepted = await submit_within(transaction, submission)
        if not accepted.replayed:
            faults.point("run.accepted")
        return accepted

    async def read(self, tenant: str, run_id: UUID) -> Row:
        """The run's projection. Raises `RunNotFound`."""
        row = await self._database.fetch_one(QUERIES.read_run, tenant, run_id)
        if row is None:
            raise RunNotFound(f"no run {run_id}")
        return row

    async def page(
        self,
        tenant: str,
        *,
        before: UUID | None = None,
        status: str | None = None,
        agent_id: UUID | None = None,
        limit: int = 50,
    ) -> list[Row]:
        """Projections, newest first, older than `before`."""
        return await self._database.fetch(
            QUERIES.list_runs, tenant, before, status, agent_id, limit
        )

    async def counts(self, tenant: str) -> dict[str, int]:
        """Number of runs by status."""
        rows = await self._database.fetch(QUERIES.count_runs, tenant)
        return {row["status"]: row["runs"] for row in rows}

    async def events(self, tenant: str, run_id: UUID, after: int = 0) -> list[Recorded]:
        """The journal after sequence number `after`, at most a page of it."""
        rows = await self._database.fetch(QUERIES.read_journal, tenant, run_id, after, _PAGE)
        return [Recorded(row["seq"], row["epoch"], _decode(row)) for row in rows]

    async def state(self, tenant: str, run_id: UUID) -> RunState:
        """The fold over the whole journal. Raises `RunNotFound`."""
        events: list[Event] = []
        while page := await self.events(tenant, run_id, len(events)):
            events.extend(recorded.event for recorded in page)
        if not events:
            raise RunNotFound(f"no run {run_id}")
        return fold(run_id, events)

    async def blob(self, tenant: str, run_id: UUID, digest: str) -> JsonValue:
        """A large value by its content hash. Raises `RunNotFound` if the run has no such value."""
        content = await self._database.fetch_value(QUERIES.read_blob, tenant, run_id, digest)
        if content is None:
            raise RunNotFound(f"run {run_id} has no value {digest}")
        return readable(json.loads(content))

    async def heads(self, run_ids: Iterable[UUID]) -> dict[UUID, int]:
        """The last sequence number of each of these runs."""
        rows = await self._database.fetch(QUERIES.heads, list(run_ids))
        return {row["run_id"]: row["last_seq"] for row in rows}

    async def links(self, tenant: str, run_id: UUID) -> list[Link]:
        """The whole journal as its rows stand, for those who check it. Raises `RunNotFound`."""
        found: list[Link] = []
        while page := await self._database.fetch(
            QUERIES.read_journal, tenant, run_id, len(found), _PAGE
        ):
            found += [
                Link(r["seq"], r["kind"], r["version"], r["at"], r["body"], r["chain"] or b"")
                for r in page
            ]
        if not found:
            raise RunNotFound(f"no run {run_id}")
        return found


def _decode(row: Row) -> Event:
    return decode(row["kind"], row["version"], json.loads(row["body"]))
