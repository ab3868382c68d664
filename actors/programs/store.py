"""Sources of durable programs, by content: a run always goes on with the code it began with."""

from __future__ import annotations

from pathlib import Path

from ...cluster.canonical import bytes_hash
from ...cluster.postgres import Database, Queries
from ..runs.events import ProgramRef

QUERIES = Queries.load(Path(__file__).with_name("programs.sql"))


class ProgramStore:
    """Keeps programs of a tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, tenant: str, name: str, entry: str, source: str) -> ProgramRef:
        """Keep a source. Keeping it again changes nothing."""
        digest = bytes_hash(source.encode())
        await self._database.execute(QUERIES.keep_program, tenant, digest, name, entry, source)
        return ProgramRef(name=name, hash=digest, entry=entry)

    async def named(self, tenant: str, name: str) -> ProgramRef | None:
        """The newest program of a name."""
        row = await self._database.fetch_one(QUERIES.newest_program, tenant, name)
        if row is None:
            return None
        return ProgramRef(name=row["name"], hash=row["hash"], entry=row["entry"])

    async def source(self, tenant: str, program: ProgramRef) -> str | None:
        """The source of a program, or None if it is gone."""
        found: str | None = await self._database.fetch_value(
            QUERIES.program_source, tenant, program.hash, program.entry
        )
        return found
