"""`/metrics`: counters as folds of the journal, exact across crashes and across fronts.

A scrape reads what was committed since the last one, adds it to what had been counted, and saves
sum and cursor in one compare-and-set. So every event is counted once: a front that dies between
reading and saving has counted nothing, and of two that read the same page only one saves it.

The cursor is a transaction id. Events are read only below the oldest transaction that is still
open: whatever has an id below it is committed and visible, or will never be. Rows that commit late
are therefore read late, and never skipped.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric

from ..actors.runs.events import decode
from ..actors.runs.tallies import FAMILIES, Origin, tallies_of
from ..cluster.postgres import Database, Queries, Row
from ..cluster.telemetry import logger
from ..cluster.telemetry.metrics import (
    Family,
    Tallies,
    counted,
    from_json,
    gauge,
    to_families,
    to_json,
    total,
)

QUERIES = Queries.load(Path(__file__).with_name("metrics.sql"))
RESTARTS = Family(
    "aos_restarts_total", "Restarts by supervisors: of agents, or of a named part.", ("kind",)
)

_FOLD = "metrics"
_PAGE = 5_000
_TRANSACTIONS = 100_000
_PAGES_AT_ONCE = 50
_WORTH_SAVING = 20_000

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Counted:
    """What had been counted, and up to where. `restarts` are those up to event id `event`."""

    tx: int = 0
    tallies: Tallies = field(default_factory=Tallies)
    event: int = 0
    restarts: Tallies = field(default_factory=Tallies)


@dataclass(frozen=True, slots=True)
class _Collected:
    """What `generate_latest` wants of a registry."""

    metrics: list[Metric] = field(default_factory=list[Metric])

    def collect(self) -> Iterator[Metric]:
        """The metrics of one scrape."""
        yield from self.metrics


class Scrape:
    """Answers scrapes from Postgres; keeps nothing of its own."""

    def __init__(self, database: Database, *, page: int = _PAGE) -> None:
        self._database = database
        self._page = page
        self._one_at_a_time = asyncio.Lock()

    async def text(self) -> bytes:
        """The exposition. Raises `DatabaseUnavailable`."""
        async with self._one_at_a_time:
            counted_so_far = await self._catch_up()
        recent = await self._database.fetch(QUERIES.recent_restarts, counted_so_far.event)
        restarts = total([RESTARTS], [counted_so_far.restarts, *map(_restarts, recent)])
        now = await self._database.fetch(QUERIES.runs_now)
        runs: dict[str, int] = {row["status"]: row["runs"] for row in now}
        queued = runs.pop("pending", 0)
        collected = _Collected(
            [
                *to_families(FAMILIES, counted_so_far.tallies),
                *to_families([RESTARTS], restarts),
                gauge("aos_runs_queued", "Accepted, and not begun.", queued),
                gauge("aos_runs_active", "Begun, and not finished.", sum(runs.values())),
            ]
        )
        return generate_latest(cast(CollectorRegistry, collected))

    async def _catch_up(self) -> Counted:
        """Count what is settled, page by page, as far as one scrape may take."""
        known = await self._read()
        for _ in range(_PAGES_AT_ONCE):
            horizon = await self._database.fetch_value(QUERIES.journal_horizon)
            further = await self._count(known, horizon)
            if further.tx == horizon and not _news(known, further):
                return known
            known = further if await self._save(known, further) else await self._read()
            if known.tx >= horizon:
                return known
        return known

    async def _count(self, known: Counted, horizon: int) -> Counted:
        """One page further than `known`: a number of rows or of transactions, whatever is less."""
        upper = min(horizon, known.tx + _TRANSACTIONS)
        rows = await self._database.fetch(QUERIES.journal_page, known.tx, upper, self._page)
        if len(rows) >= self._page:
            upper = rows[-1]["tx"] + 1
        parts = [part for row in rows for part in _share(row)]
        settled = await self._database.fetch(QUERIES.settled_restarts, known.event)
        return Counted(
            upper,
            total(FAMILIES, [known.tallies, *parts]) if parts else known.tallies,
            settled[0]["last"] if settled else known.event,
            total([RESTARTS], [known.restarts, *map(_restarts, settled)]),
        )

    async def _read(self) -> Counted:
        row = await self._database.fetch_one(QUERIES.read_fold, _FOLD)
        if row is None:
            await self._database.execute(QUERIES.begin_fold, _FOLD, "{}")
            return Counted()
        saved: dict[str, Any] = json.loads(row["state"])
        return Counted(
            row["tx"],
            from_json(saved.get("runs", {}), FAMILIES),
            saved.get("event", 0),
            from_json(saved.get("restarts", {}), [RESTARTS]),
        )

    async def _save(self, known: Counted, further: Counted) -> bool:
        """Whether nobody else has counted since; only then it counts."""
        state = {
            "runs": to_json(further.tallies),
            "event": further.event,
            "restarts": to_json(further.restarts),
        }
        saved = await self._database.fetch_value(
            QUERIES.save_fold, _FOLD, known.tx, further.tx, json.dumps(state)
        )
        return saved is not None


def _news(known: Counted, further: Counted) -> bool:
    """Whether there is something to save: a scrape of an idle system writes nothing."""
    return further.tx - known.tx >= _WORTH_SAVING or (
        (further.tallies, further.event) != (known.tallies, known.event)
    )


def _share(row: Row) -> Iterator[Tallies]:
    try:
        event = decode(row["kind"], row["version"], json.loads(row["body"]))
    except ValueError as error:  # one foreign row must not end all counting
        log.error("a journal row cannot be counted", kind=row["kind"], error=str(error))
        return
    yield from tallies_of(event, Origin(row["planner"], row["created_at"]))


def _restarts(row: Row) -> Tallies:
    return counted(RESTARTS, row["kind"], amount=row["restarts"])
