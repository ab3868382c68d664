"""What retention asks of Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from ...cluster.postgres import Database, Queries, Row
from .archive import Written
from .policy import Part, Stock

QUERIES = Queries.load(Path(__file__).with_name("retention.sql"))

LOCK_MS = 30
"""How long `swap` may wait for its locks: so long, at most, everybody else waits behind it."""

_NOBODY = UUID(int=0)


@dataclass(frozen=True, slots=True)
class Removal:
    """A removal that has been begun: runs that ended before an instant leave a partition."""

    removal_id: int
    part: str
    ended_before: datetime
    state: str
    runs: int
    kept: int


class RetentionStore:
    """Each method is one statement or one transaction, and may be repeated after a crash."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def now(self) -> datetime:
        """Postgres's clock."""
        instant: datetime = await self._database.fetch_value(QUERIES.now)
        return instant

    async def parts(self) -> list[Part]:
        """All partitions, the oldest first, the default one last."""
        rows = await self._database.fetch(QUERIES.list_parts)
        return [Part(row["part"], row["begins"], row["until"], row["last"]) for row in rows]

    async def stock(self, part: Part, ended_before: datetime) -> Stock:
        """How many runs of a partition may go."""
        row = await self._database.fetch_one(QUERIES.count_part, part.name, ended_before)
        return Stock(part, row["removable"] if row else 0, row["runs"] if row else 0)

    async def under_way(self) -> list[Removal]:
        """Removals that have not come to their end, the oldest first."""
        return [Removal(**row) for row in await self._database.fetch(QUERIES.under_way)]

    async def begin(self, part: str, ended_before: datetime) -> None:
        """Decide who stays, unless a removal from this partition is under way."""
        await self._database.execute(QUERIES.begin, part, ended_before)

    async def abandon(self, removal: Removal) -> None:
        """Forget a removal from which nothing has gone."""
        await self._database.execute(QUERIES.abandon, removal.removal_id)

    async def stage(self, removal: Removal) -> None:
        """Copy what stays."""
        await self._database.execute(QUERIES.stage, removal.removal_id)

    async def swap(self, removal: Removal) -> str:
        """The short transaction: `detached`, `stage` or `over`. Raises `QueryFailed` with SQLSTATE
        55P03 when the locks cannot be had at once.
        """
        async with self._database.transaction() as transaction:
            await transaction.execute(QUERIES.wait_briefly, LOCK_MS)
            answer: str = await transaction.fetch_value(QUERIES.swap, removal.removal_id)
        return answer

    async def finish(self, removal: Removal) -> None:
        """Drop what nobody can see any more."""
        await self._database.execute(QUERIES.finish, removal.removal_id)

    async def tenants(self, removal: Removal) -> list[str]:
        """Whose runs go."""
        rows = await self._database.fetch(QUERIES.tenants_of, removal.removal_id)
        return [row["tenant_id"] for row in rows]

    async def doomed(
        self, removal: Removal, tenant: str, after: UUID | None, limit: int
    ) -> list[Row]:
        """The next runs of a tenant that go: `run_id`, and the row as JSON in `line`."""
        return await self._database.fetch(
            QUERIES.doomed_page, removal.removal_id, tenant, after or _NOBODY, limit
        )

    async def events(self, tenant: str, runs: Sequence[UUID]) -> list[Row]:
        """Whole journals of several runs, in order: `run_id`, and the row as JSON in `line`."""
        return await self._database.fetch(QUERIES.events_of, tenant, list(runs))

    async def blobs(self, tenant: str, runs: Sequence[UUID]) -> list[Row]:
        """Which large values these runs have: `run_id` and `hash`."""
        return await self._database.fetch(QUERIES.blobs_of, tenant, list(runs))

    async def blob(self, tenant: str, run_id: UUID, digest: str) -> bytes:
        """A large value."""
        content: bytes = await self._database.fetch_value(QUERIES.blob, tenant, run_id, digest)
        return content

    async def record(self, removal: Removal, tenant: str, written: Written) -> None:
        """A tenant's file is complete and in its place."""
        await self._database.execute(
            QUERIES.record_archive, removal.removal_id, tenant, str(written.path), written.runs,
            written.events, written.blobs, written.bytes, written.sha256,
        )  # fmt: skip

    async def written(self, removal: Removal) -> dict[str, tuple[Path, int]]:
        """Which tenants' files there are, and how large they were."""
        rows = await self._database.fetch(QUERIES.archives_written, removal.removal_id)
        return {row["tenant_id"]: (Path(row["path"]), row["bytes"]) for row in rows}

    async def release_keys(self, removal: Removal, after: UUID | None, limit: int) -> UUID | None:
        """Delete the idempotency keys of the next runs that go; where to go on, None at the end."""
        last: UUID | None = await self._database.fetch_value(
            QUERIES.release_keys, removal.removal_id, after or _NOBODY, limit
        )
        return last

    async def archives(self, tenant: str | None, before: int | None, limit: int) -> list[Row]:
        """A page of archives, newest first; of a tenant, or of everybody."""
        return await self._database.fetch(QUERIES.archives_page, tenant, before, limit)

    async def last_removals(self, limit: int) -> list[Row]:
        """What was removed last, newest first."""
        return await self._database.fetch(QUERIES.last_removals, limit)
