"""The one writer: fence and append in one statement, appends of concurrent runs in one commit.

`append` returns when the events are on disk, or raises `LeaseLost` when another activation has
taken the agent over; after that nothing this process does can reach a journal. While a commit is
under way further appends queue up and go together in the next one, so a busy agent commits in
groups and an idle one at once. When Postgres is away the writer waits for it, says so, and goes on:
the events are in memory, nobody else can be writing, and if the epoch has moved meanwhile the first
statement after the outage says it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from ...cluster import faults
from ...cluster.clock import Clock, SystemClock
from ...cluster.errors import Blame, SupervisionError
from ...cluster.postgres import Database, DatabaseUnavailable, Queries
from ...cluster.telemetry import logger
from .chain import Row
from .state import RunState

QUERIES = Queries.load(Path(__file__).with_name("runs.sql"))

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0

log = logger(__name__)


class LeaseLost(SupervisionError):
    """Another activation took this agent over while it was executing."""

    code = "AOS-4001"
    title = "Another activation has taken this agent over."
    next_action = "Nothing: the other activation goes on; this process ends itself."
    blame = Blame.PLATFORM


@dataclass(frozen=True, slots=True)
class Append:
    """The next rows of one run's journal, and the state that they lead to."""

    state: RunState
    rows: tuple[Row, ...]
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])


class JournalWriter:
    """Appends to the journals of one activation's runs."""

    def __init__(
        self,
        database: Database,
        agent_id: UUID,
        tenant: str,
        epoch: int,
        clock: Clock | None = None,
    ) -> None:
        self._database = database
        self._fence = (agent_id, epoch, tenant)
        self._clock = clock or SystemClock()
        self._queue: list[tuple[Append, asyncio.Future[None]]] = []
        self._flusher: asyncio.Task[None] | None = None
        self.commits = 0
        self.halted: str | None = None
        """Why an emergency stop is in force, as of the last commit or `look`."""

    async def append(self, batch: Append) -> None:
        """Return once the batch is committed. Raises `LeaseLost`."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((batch, done))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush())
        await done

    async def look(self) -> str | None:
        """Ask now why an emergency stop is in force, if one is. Waits while Postgres is away."""
        pause = _FIRST_PAUSE
        while True:
            try:
                self.halted = await self._database.fetch_value(QUERIES.halted, self._fence[2])
            except DatabaseUnavailable as error:
                log.warning("waiting for postgres", detail=error.detail, retry_in_s=pause)
                await self._clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return self.halted

    async def _flush(self) -> None:
        try:
            while self._queue:
                group, self._queue = self._queue, []
                await self._commit_group(group)
        finally:
            self._flusher = None

    async def _commit_group(self, group: list[tuple[Append, asyncio.Future[None]]]) -> None:
        try:
            await self._commit([batch for batch, _ in group])
        except Exception as error:
            for _, done in group:
                if not done.done():
                    done.set_exception(error)
        else:
            for _, done in group:
                if not done.done():
                    done.set_result(None)

    async def _commit(self, batches: Sequence[Append]) -> None:
        faults.point("journal.appending")
        pause = _FIRST_PAUSE
        ambiguous = False
        while True:
            try:
                if ambiguous:
                    batches = await self._missing(batches)
                if batches:
                    await self._write(batches)
                break
            except DatabaseUnavailable as error:
                ambiguous = ambiguous or bool(error.context.get("ambiguous"))
                log.warning("waiting for postgres", detail=error.detail, retry_in_s=pause)
                await self._clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        self.commits += 1
        faults.point("journal.appended")

    async def _write(self, batches: Sequence[Append]) -> None:
        rows = await self._database.fetch(QUERIES.append_journal, *self._fence, *_columns(batches))
        if not rows:
            raise LeaseLost(f"epoch {self._fence[1]} of agent {self._fence[0]} has passed")
        self.halted = rows[0]["halted"]

    async def _missing(self, batches: Sequence[Append]) -> list[Append]:
        """What a commit without an answer did not write. Only we write under our epoch, and a
        statement commits whole, so a batch's last sequence number tells for all of it.
        """
        runs = [batch.state.run_id for batch in batches]
        rows = await self._database.fetch(QUERIES.landed_sequences, runs, self._fence[1])
        landed: dict[UUID, int] = {row["run_id"]: row["seq"] for row in rows}
        return [batch for batch in batches if landed.get(batch.state.run_id, 0) < batch.state.seq]


def _columns(batches: Sequence[Append]) -> tuple[list[Any], ...]:
    """The parallel arrays of `append_journal`, from $4 on."""
    rows = [
        (batch.state.run_id, row.seq, row.kind, row.version, row.at, row.body, row.chain)
        for batch in batches
        for row in batch.rows
    ]
    blobs = [
        (batch.state.run_id, digest, content)
        for batch in batches
        for digest, content in batch.blobs.items()
    ]
    latest = {batch.state.run_id: batch.state for batch in batches}
    projections = [_projection(state) for state in latest.values()]
    over = [state.run_id for state in latest.values() if state.finished is not None]
    return (*_transpose(rows, 7), *_transpose(blobs, 3), *_transpose(projections, 16), over)


def _projection(state: RunState) -> tuple[Any, ...]:
    """The run's row: computed, never incremented, so that writing it twice is harmless."""
    finished = state.finished
    return (
        state.run_id,
        state.status.value,
        state.seq,
        state.progress_epoch,
        sum(not step.plans for step in state.steps.values()),
        state.totals.attempts,
        state.totals.cost_microusd,
        state.totals.input_tokens,
        state.totals.output_tokens,
        finished.code if finished else None,
        finished.message.replace("\x00", "\ufffd") if finished else None,
        state.started_at,
        finished.at if finished else None,
        state.heard,
        state.parked.reason.replace("\x00", "\ufffd") if state.parked else None,
        _wake_at(state),
    )


def _wake_at(state: RunState) -> datetime:
    """When the run next needs a process. asyncpg takes the extremes for the infinities."""
    if state.parked is None:
        return datetime.min  # noqa: DTZ901 - stands for -infinity
    return state.parked.until or datetime.max  # noqa: DTZ901 - stands for infinity


def _transpose(rows: Sequence[tuple[Any, ...]], width: int) -> tuple[list[Any], ...]:
    return tuple([row[column] for row in rows] for column in range(width))
