"""How runs ended, read from their journals when all is over."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from uuid import UUID

from aos.actors.runs.chain import broken_at
from aos.actors.runs.fold import fold
from aos.actors.runs.store import RunStore
from aos.cluster.postgres import Database, DatabaseUnavailable
from tests.support.verdicts import End

_FINAL = "('completed', 'failed', 'partial', 'cancelled', 'quarantined')"


async def drained(database: Database, seconds: float) -> None:
    """Wait until no run is unfinished, children included, or time is up."""
    until = time.monotonic() + seconds
    query = f"SELECT count(*) FROM runs WHERE NOT status IN {_FINAL}"  # noqa: S608 - a constant
    left = -1
    while left and time.monotonic() < until:
        try:
            left = await database.fetch_value(query)
        except DatabaseUnavailable:
            left = -1
        await asyncio.sleep(0.5)


async def ends(database: Database) -> dict[UUID, End]:
    """How every run stands, by its journal, children included."""
    store = RunStore(database)
    rows = await database.fetch("SELECT run_id FROM runs ORDER BY run_id")
    return {row["run_id"]: await _end(store, row["run_id"]) for row in rows}


async def _end(store: RunStore, run_id: UUID) -> End:
    links = await store.links("default", run_id)
    events = [recorded.event for recorded in await store.events("default", run_id)]
    successes = Counter(e.step_id for e in events if e.kind == "step_settled" and e.outcome.ok)
    state = fold(run_id, events)
    finished = state.finished
    return End(
        status=state.status.value,
        code=finished.code if finished else None,
        answer=finished.answer if finished else None,
        message=finished.message if finished else "",
        broken_at=broken_at(run_id, links),
        twice=tuple(step for step, times in successes.items() if times > 1),
    )
