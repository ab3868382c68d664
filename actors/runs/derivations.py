"""Runs made from other runs, in the tables: one transaction for the run, its values, the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from ...cluster import faults
from ...cluster.errors import Blame, RunError
from ...cluster.ids import new_id, new_trace_id
from ...cluster.postgres import Database, Row
from .deriving import Birth, Change, derive, large_values
from .events import Derivation, Event
from .journal import QUERIES
from .operators import Deed, record, take_dead_letter
from .store import RunStore
from .submission import CODE_VERSION, Accepted, claim, insert_run
from .values import shrink


class RunNotOver(RunError):
    """The run still goes on by itself."""

    code = "AOS-3013"
    title = "The run is not over."
    next_action = "Wait for its end, or end it with `aos runs cancel`; a fork can be made now."
    blame = Blame.CALLER


@dataclass(frozen=True, slots=True)
class DerivedRequest:
    """Make a run of this one. `key` makes repeating the request harmless."""

    tenant: str
    source: UUID
    change: Change
    request_hash: str
    key: str | None = None


class Derivations:
    """Makes runs of runs."""

    def __init__(self, database: Database, blob_threshold: int) -> None:
        self._database = database
        self._runs = RunStore(database)
        self._threshold = blob_threshold

    async def make(self, request: DerivedRequest) -> tuple[Accepted, UUID]:
        """The new run, which cannot be lost any more, and its agent.

        Raises `RunNotFound`, `RunNotOver`, `NotADeadLetter`, `IdempotencyConflict`, and what
        `derive` raises.
        """
        tenant, change = request.tenant, request.change
        source = await self._runs.read(tenant, request.source)
        if change.how in (Derivation.RERUN, Derivation.REPAIR) and source["finished_at"] is None:
            raise RunNotOver(f"run {request.source} is {source['status']}")
        packed, large, contents = shrink(change.output, self._threshold)
        change = replace(change, output=packed, large=large)
        birth = Birth(new_id(), datetime.now(UTC), new_trace_id(), CODE_VERSION)
        history = await self._journal(tenant, request.source)
        accepted = await self._insert(request, source, birth, change, history, contents)
        if not accepted.replayed:
            faults.point("run.accepted")
        return accepted, source["agent_id"]

    async def _insert(
        self,
        request: DerivedRequest,
        source: Row,
        birth: Birth,
        change: Change,
        history: Sequence[Event],
        contents: dict[str, bytes],
    ) -> Accepted:
        tenant, run_id = request.tenant, birth.run_id
        deed = Deed(tenant, change.by, change.how.value, change.reason, request.source)
        async with self._database.transaction() as transaction:
            if (made := await claim(transaction, request, run_id)) is not None:
                return made
            if change.how is Derivation.REQUEUE:
                await take_dead_letter(transaction, tenant, request.source)
            # Judged only now: a repeated request is answered as the first one was.
            events = derive(request.source, history, change, birth)
            await insert_run(transaction, tenant, run_id, events, source["priority"])
            if kept := sorted(large_values(events) - contents.keys()):
                await transaction.execute(QUERIES.copy_blobs, run_id, tenant, request.source, kept)
            for digest, content in contents.items():
                await transaction.execute(QUERIES.keep_blob, run_id, digest, tenant, content)
            await record(
                transaction, deed, made=str(run_id), step=change.step_id,
                repeat_effects=int(change.repeat_effects),
            )  # fmt: skip
        return Accepted(run_id)

    async def _journal(self, tenant: str, run_id: UUID) -> list[Event]:
        events: list[Event] = []
        while page := await self._runs.events(tenant, run_id, len(events)):
            events.extend(recorded.event for recorded in page)
        return events
