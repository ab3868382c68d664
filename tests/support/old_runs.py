"""Runs of long ago, in bulk: what retention has to do with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from aos.cluster.postgres import Database, Queries

QUERIES = Queries.load(Path(__file__).with_suffix(".sql"))

AGENT = UUID("01900000-0000-7000-8000-00000000a9e7")
TODAY = datetime.now(UTC)

_AT_ONCE = 10_000
_PARTITIONS = """
DO $$
DECLARE
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['runs', 'journal', 'blobs'] LOOP
        EXECUTE format('CREATE TABLE %%I PARTITION OF %%I FOR VALUES FROM (%%L) TO (%%L)',
            parent || '_%(day)s', parent, id_floor('%(day)s'), id_floor('%(day)s'::date + 7));
    END LOOP;
END $$
"""


@dataclass(frozen=True, slots=True)
class Week:
    """A week of long ago."""

    monday: datetime

    @property
    def name(self) -> str:
        """Its partition's."""
        return f"{self.monday:%Y%m%d}"


def week(weeks_ago: int) -> Week:
    """The week that began so many Mondays ago."""
    monday = TODAY - timedelta(days=TODAY.weekday(), weeks=weeks_ago)
    return Week(monday.replace(hour=0, minute=0, second=0, microsecond=0))


async def make_week(database: Database, weeks_ago: int) -> Week:
    """The same, and its partitions, which nobody makes for weeks that are over."""
    made = week(weeks_ago)
    await database.execute(_PARTITIONS % {"day": made.name})
    return made


async def insert_runs(
    database: Database,
    since: datetime,
    count: int,
    *,
    tenant: str = "default",
    finished: bool = True,
    first: int = 0,
) -> list[UUID]:
    """Runs of five steps, one a second from an instant on; `first` tells those of the same instants
    apart. Each has an idempotency key, `key-` and its id.
    """
    await database.execute(QUERIES.an_agent, AGENT)
    rows = await database.fetch(QUERIES.ids, since, count, first)
    ids: list[UUID] = [row["run_id"] for row in rows]
    for start in range(0, count, _AT_ONCE):
        some = ids[start : start + _AT_ONCE]
        await database.execute(QUERIES.runs, some, tenant, AGENT, finished)
        await database.execute(QUERIES.journals, some, tenant, finished)
        await database.execute(QUERIES.keys, some, tenant)
    return ids
