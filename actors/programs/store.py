"""Sources of durable programs, by content: a run always goes on with the code it began with."""

from __future__ import annotations

from pathlib import Path

from ...cluster.canonical import bytes_hash
from ...cluster.errors import InputError
from ...cluster.postgres import Database, Queries
from ..runs.events import ProgramRef

QUERIES = Queries.load(Path(__file__).with_name("programs.sql"))


class ProgramNotFound(InputError):
    """There is no such program in the caller's tenant."""

    code = "AOS-3017"
    title = "There is no program of this name or hash."
    next_action = "Upload it: `aos run --program FILE:FUNCTION` does, and runs it."


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

    async def find(self, tenant: str, name_or_hash: str) -> ProgramRef:
        """A program by what it is called, or by content. Raises `ProgramNotFound`."""
        query = QUERIES.newest_program
        if name_or_hash.startswith("sha256:"):
            query = QUERIES.program_by_hash
        row = await self._database.fetch_one(query, tenant, name_or_hash)
        if row is None:
            raise ProgramNotFound(f"no program {name_or_hash!r}")
        return ProgramRef(name=row["name"], hash=row["hash"], entry=row["entry"])

    async def page(self, tenant: str, limit: int) -> list[ProgramRef]:
        """What each name stands for now."""
        rows = await self._database.fetch(QUERIES.list_programs, tenant, limit)
        return [ProgramRef(name=r["name"], hash=r["hash"], entry=r["entry"]) for r in rows]

    async def source(self, tenant: str, program: ProgramRef) -> str | None:
        """The source of a program, or None if it is gone."""
        found: str | None = await self._database.fetch_value(
            QUERIES.program_source, tenant, program.hash, program.entry
        )
        return found
