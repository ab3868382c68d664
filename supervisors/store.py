"""What supervisors write: activations, and the record of what they did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from ..actors.roster import AgentNotFound
from ..cluster.errors import StorageError, SupervisionError
from ..cluster.postgres import Database, DatabaseUnavailable, Queries, Row
from ..cluster.telemetry import logger
from ..skills.contracts import Dedicated
from .state import Report

QUERIES = Queries.load(Path(__file__).with_name("supervision.sql"))

AHEAD = timedelta(seconds=1)
"""So long before a run needs its agent's process it is there: making one may take half a second."""

_RECORD_PAUSE = 0.2
_TRIM_AT_ONCE = 10_000

log = logger(__name__)


class ActivationLost(SupervisionError):
    """Another supervisor process activated the agent, or this one has been deposed."""

    code = "AOS-4003"
    title = "The agent was activated by somebody else."
    next_action = "Nothing: the other activation goes on."
    retryable = True


@dataclass(frozen=True, slots=True)
class Activation:
    """An agent at an epoch, in a host process."""

    agent_id: UUID
    tenant: str
    epoch: int
    host: str
    since: datetime


@dataclass(frozen=True, slots=True)
class AgentFacts:
    """What must be known of an agent before it is activated; `epoch` is what the next activation is
    compared with.
    """

    tenant: str
    name: str
    epoch: int
    dedicated: Dedicated | None


class ActivationStore:
    """Decisions of one supervisor process about who is active. Each is fenced by its epoch."""

    def __init__(self, database: Database, supervisor: str) -> None:
        self._database = database
        self._supervisor = supervisor
        self._epoch = 0

    async def claim(self, pid: int) -> int:
        """Depose the supervisor process before this one, if any. The new supervisor epoch."""
        self._epoch = await self._database.fetch_value(
            QUERIES.claim_supervisor, self._supervisor, pid
        )
        return self._epoch

    async def facts(self, agent_id: UUID) -> AgentFacts:
        """What an activation needs to know. Raises `AgentNotFound`."""
        row = await self._database.fetch_one(QUERIES.agent_facts, agent_id)
        if row is None:
            raise AgentNotFound(f"no agent {agent_id}")
        dedicated = row["dedicated"] and Dedicated.model_validate_json(row["dedicated"])
        return AgentFacts(row["tenant_id"], row["name"], row["epoch"], dedicated or None)

    async def activate(
        self, agent_id: UUID, host: str, pid: int, node: str, *, seen: int
    ) -> Activation:
        """Raise the agent's epoch in favour of a host. Raises `ActivationLost` if it is not the one
        that was `seen`, or if this supervisor process has been deposed.
        """
        row = await self._database.fetch_one(
            QUERIES.activate, self._supervisor, self._epoch, agent_id, seen, host, pid, node
        )
        if row is None:
            raise ActivationLost(f"agent {agent_id} has moved on from epoch {seen}")
        return Activation(agent_id, row["tenant_id"], row["epoch"], host, row["activated_at"])

    async def is_current(self) -> bool:
        """Whether this process has not been deposed."""
        epoch = await self._database.fetch_value(QUERIES.supervisor_epoch, self._supervisor)
        return bool(epoch == self._epoch)

    async def active(self) -> list[Activation]:
        """All activations that the table believes in."""
        rows = await self._database.fetch(QUERIES.active_agents)
        return [
            Activation(r["agent_id"], r["tenant_id"], r["epoch"], r["host"], r["activated_at"])
            for r in rows
        ]

    async def passivate(self, agent_id: UUID, epoch: int) -> bool:
        """Take an idle agent's epoch away. False: it has something to do after all."""
        row = await self._database.fetch_one(QUERIES.passivate, agent_id, epoch, AHEAD)
        return row is not None

    async def quarantine(self, agent_id: UUID, until: datetime, times: int) -> None:
        """Show that nobody activates this agent before an instant, for the how manieth time."""
        await self._database.execute(
            QUERIES.quarantine, self._supervisor, self._epoch, agent_id, until, times
        )

    async def quarantined(self) -> list[tuple[UUID, datetime, int]]:
        """Who is quarantined now, until when, and for the how manieth time in a row."""
        rows = await self._database.fetch(QUERIES.quarantined_agents)
        return [(row["agent_id"], row["quarantined_until"], row["failures"]) for row in rows]

    async def progressed(self, agent_id: UUID, epoch: int) -> bool:
        """Whether an activation committed an outcome."""
        return bool(await self._database.fetch_value(QUERIES.progressed, agent_id, epoch))

    async def needy(self, overdue: timedelta) -> tuple[dict[UUID, bool], float | None]:
        """Agents with runs that need a process, or will within `AHEAD`; true where a run has waited
        longer than `overdue`. And in how many seconds there will be another one.
        """
        rows = await self._database.fetch(QUERIES.needy_agents, overdue, AHEAD)
        needy = {row["agent_id"]: row["overdue"] for row in rows if row["agent_id"] is not None}
        return needy, next((row["next_in"] for row in rows if row["agent_id"] is None), None)

    async def make_partitions(self) -> None:
        """Have the partitions of the weeks to come."""
        await self._database.execute(QUERIES.make_partitions)


@dataclass(frozen=True, slots=True)
class _Taken:
    """A report that waits to be written; `at` is of the monotonic clock."""

    at: float
    supervisor: str
    report: Report
    tenant: str | None
    epoch: int | None


class EventRecorder:
    """Writes reports to `supervision_events` in the background: deciding never waits for Postgres,
    and what happened while it was away is written when it is back.
    """

    def __init__(self, database: Database, *, now: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._now = now
        self._queue: asyncio.Queue[_Taken] = asyncio.Queue()

    def record(
        self,
        supervisor: str,
        report: Report,
        *,
        tenant: str | None = None,
        epoch: int | None = None,
    ) -> None:
        """Take a report. Never blocks. If the child is an agent's id, its tenant is looked up; so
        is its epoch as of the writing, if it is not given.
        """
        log.info(
            report.kind, supervisor=supervisor, child=report.child, reason=report.reason,
            detail=report.detail, delay_s=report.delay.total_seconds(),
        )  # fmt: skip
        self._queue.put_nowait(_Taken(self._now(), supervisor, report, tenant, epoch))

    async def run(self) -> None:
        """Write for ever."""
        while True:
            batch = [await self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get_nowait())
            await self._write(batch)

    async def trim(self, older_than: timedelta) -> int:
        """Remove events that are older, at least a day; how many there were."""
        removed = 0
        while True:
            trimmed = await self._database.fetch_value(
                QUERIES.trim_events, older_than, _TRIM_AT_ONCE
            )
            removed += trimmed
            if trimmed < _TRIM_AT_ONCE:
                return removed

    async def _write(self, batch: list[_Taken]) -> None:
        while True:
            try:
                await self._database.execute(QUERIES.record_events, *_columns(batch, self._now()))
                return
            except DatabaseUnavailable as error:
                # An answer that was lost may have been a commit: better one row short than twice.
                if error.context.get("ambiguous"):
                    return
                await asyncio.sleep(_RECORD_PAUSE)
            except StorageError as error:  # the log has them; those to come must be written
                log.error("events are not recorded", events=len(batch), detail=error.detail)
                return


def _columns(batch: list[_Taken], now: float) -> tuple[list[Any], ...]:
    reports = [taken.report for taken in batch]
    return (
        [now - taken.at for taken in batch],
        [taken.tenant for taken in batch],
        [taken.supervisor for taken in batch],
        [report.child for report in reports],
        [taken.epoch for taken in batch],
        [report.kind for report in reports],
        [report.reason for report in reports],
        [_storable(report.detail) for report in reports],
        [round(report.delay.total_seconds() * 1000) for report in reports],
    )


def _storable(text: str) -> str:
    """Details may quote anything, and Postgres takes neither NUL nor lone surrogates."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: of one tenant's agents (None: all there are), of one child, of one kind, since
    an instant, before an event.
    """

    tenant: str | None
    child: str | None = None
    kind: str | None = None
    since: datetime | None = None
    before: int | None = None


async def events_page(database: Database, wanted: EventFilter, limit: int) -> list[Row]:
    """Supervision events, the newest first, with the names of the agents that they are about."""
    return await database.fetch(
        QUERIES.events_page,
        wanted.tenant, wanted.child, wanted.kind, wanted.since, wanted.before, limit,
    )  # fmt: skip
