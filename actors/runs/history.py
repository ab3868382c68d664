"""Reads what provenance is made of. Every statement names the tenant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from ...cluster.canonical import readable
from ...cluster.postgres import Database, Queries, Row
from .provenance import Entry, Supervised, Trail
from .provenance_records import Record
from .store import RunNotFound

QUERIES = Queries.load(Path(__file__).with_name("provenance.sql"))

_PAGE = 500


@dataclass(frozen=True, slots=True)
class _Run:
    """A run as of the moment that somebody asked about it."""

    tenant: str
    run_id: UUID
    last_seq: int


class HistoryStore:
    """Histories of runs, a page of the journal at a time."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def records(self, tenant: str, run_id: UUID) -> AsyncIterator[Record]:
        """What the run's journal says as of now. The run is looked up before this returns: raises
        `RunNotFound`; so does reading one that is removed meanwhile, rather than end as if it had
        been read.
        """
        row = await self._database.fetch_one(QUERIES.run_of_tenant, tenant, run_id)
        if row is None:
            raise RunNotFound(f"no run {run_id}")
        ends = await self._database.fetch(QUERIES.ends_of_agent, tenant, row["agent_id"], run_id)
        trail = Trail([Supervised(**each) for each in ends])
        return self._read(trail, _Run(tenant, run_id, row["last_seq"]))

    async def _read(self, trail: Trail, run: _Run) -> AsyncIterator[Record]:
        seen = 0
        while rows := await self._database.fetch(
            QUERIES.entries, run.tenant, run.run_id, seen, run.last_seq, _PAGE
        ):
            for row in rows:
                seen = row["seq"]
                for record in trail.read(_entry(row)):
                    yield record
        if seen < run.last_seq:
            raise RunNotFound(f"run {run.run_id} was removed while it was read")


def _entry(row: Row) -> Entry:
    body = readable(json.loads(row["body"]))
    fields = cast("dict[str, Any]", body) if isinstance(body, dict) else {}
    return Entry(row["seq"], row["epoch"], row["kind"], row["at"], fields)
