"""Runs as the door sees them: submitted, read, listed, followed. Every query names the tenant."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ...cluster import faults
from ...cluster.canonical import canonical, readable
from ...cluster.errors import Blame, InputError
from ...cluster.ids import new_id, new_trace_id
from ...cluster.postgres import Database, Row, Transaction
from ...skills.contracts import AgentProfile, JsonValue
from .events import Event, RunSubmitted, decode, encode
from .fold import fold
from .journal import QUERIES
from .state import IllegalTransition, RunState

CODE_VERSION = "aos-0.1.0"
_PAGE = 1_000


class RunNotFound(InputError):
    """There is no such run in the caller's tenant."""

    code = "AOS-3002"
    title = "There is no run with this id."
    next_action = "List the runs with `aos runs ls`."


class IdempotencyConflict(InputError):
    """The key was used for another request."""

    code = "AOS-3003"
    title = "This idempotency key was used with another request."
    next_action = "Use a new key for a new request, or repeat the first request unchanged."
    blame = Blame.CALLER


@dataclass(frozen=True, slots=True)
class Submission:
    """A goal for an agent. `key` makes repeating the request harmless."""

    tenant: str
    agent_id: UUID
    profile: AgentProfile
    goal: str
    planner: str
    request_hash: str
    key: str | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run that cannot be lost any more. `replayed`: an earlier request made it."""

    run_id: UUID
    replayed: bool = False


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

    async def unfinished(
        self, tenant: str, agent_id: UUID, *, known: Iterable[UUID], limit: int
    ) -> dict[UUID, RunState | Exception]:
        """The agent's next unfinished runs that are not among `known`, each as its state or as the
        error that reading its journal gave: one broken journal does not hold up the others.
        """
        if limit <= 0:
            return {}
        rows = await self._database.fetch(
            QUERIES.unfinished_of_agent, agent_id, tenant, list(known), limit
        )
        wanted: dict[UUID, list[Row]] = {row["run_id"]: [] for row in rows}
        if not wanted:
            return {}
        for row in await self._database.fetch(QUERIES.journals_of, tenant, list(wanted)):
            wanted[row["run_id"]].append(row)
        return {run_id: _fold_rows(run_id, journal) for run_id, journal in wanted.items()}

    async def prepare(self) -> None:
        """Have the statements of `unfinished` ready on this connection."""
        nobody = UUID(int=0)
        await self._database.fetch(QUERIES.unfinished_of_agent, nobody, "", [], 1)
        await self._database.fetch(QUERIES.journals_of, "", [nobody])


async def submit_within(transaction: Transaction, submission: Submission) -> Accepted:
    """Make a run and its first event part of a transaction. Raises `IdempotencyConflict`."""
    run_id = new_id()
    if submission.key is not None:
        args = (submission.tenant, submission.key)
        claimed = await transaction.fetch_value(
            QUERIES.claim_key, *args, submission.request_hash, run_id
        )
        if claimed is None:
            taken = await transaction.fetch_one(QUERIES.read_key, *args)
            return _replayed(taken, submission)
    event = _first_event(submission, run_id)
    await transaction.execute(
        QUERIES.submit_run, run_id, submission.tenant, submission.agent_id,
        submission.goal, submission.planner, submission.priority, event.trace_id,
        event.code_version,
    )  # fmt: skip
    await transaction.execute(
        QUERIES.submit_event, run_id, submission.tenant, event.kind, event.version,
        event.at, canonical(encode(event)).decode(),
    )  # fmt: skip
    return Accepted(run_id)


def _first_event(submission: Submission, run_id: UUID) -> RunSubmitted:
    return RunSubmitted(
        at=datetime.now(UTC),
        agent_id=str(submission.agent_id),
        agent_name=submission.profile.name,
        goal=submission.goal,
        planner=submission.planner,
        profile=submission.profile,
        seed=run_id.int & (2**53 - 1),
        trace_id=new_trace_id(),
        code_version=CODE_VERSION,
    )


def _replayed(taken: Any, submission: Submission) -> Accepted:
    if taken is None or taken["request_hash"] != submission.request_hash:
        raise IdempotencyConflict(f"key {submission.key!r} stands for another request")
    return Accepted(taken["run_id"], replayed=True)


def _fold_rows(run_id: UUID, rows: Iterable[Row]) -> RunState | Exception:
    try:
        return fold(run_id, map(_decode, rows))
    except (IllegalTransition, ValueError) as error:
        return error


def _decode(row: Row) -> Event:
    return decode(row["kind"], row["version"], json.loads(row["body"]))
