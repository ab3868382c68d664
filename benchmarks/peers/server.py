"""The one Postgres server of all systems: AOS's embedded one, as AOS configures it.

fsync, full-page writes and synchronous commit are on, for everybody.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from urllib.parse import urlsplit, urlunsplit

from aos.cluster.postgres import Database, EmbeddedPostgres

# Commits are counted in the write-ahead log itself: exactly, at once, and only those that had to
# reach the disk. `pg_stat_database` counts the read-only ones too, and learns of them late.
_WAL = """
SELECT coalesce(sum(count) FILTER (WHERE kind = 'Transaction/COMMIT'), 0)::bigint AS commits,
       coalesce(sum(record_size), 0)::bigint AS record_bytes,
       coalesce(sum(fpi_size), 0)::bigint AS page_bytes
FROM (SELECT "resource_manager/record_type" AS kind, count, record_size, fpi_size
      FROM pg_get_wal_stats($1::text::pg_lsn, $2::text::pg_lsn, true)) AS records
"""
_TABLE_BYTES = """
SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm') AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
"""
_TRANSACTIONS = (
    "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
)
_STATISTICS_SECONDS = 11.0
"""An idle backend tells the statistics what it did after ten seconds."""


@dataclass(frozen=True, slots=True)
class Written:
    """What a phase wrote. `page_bytes` are full-page images: they depend on when the last
    checkpoint was, so they are told apart.
    """

    commits: int
    record_bytes: int
    page_bytes: int


class Server:
    """A running server with databases that come and go."""

    def __init__(self, embedded: EmbeddedPostgres) -> None:
        self._embedded = embedded
        self.dsn = embedded.dsn

    @property
    def pid(self) -> int:
        """Of the postmaster."""
        pid = self._embedded.status().pid
        assert pid is not None, "the server runs"
        return pid

    @contextmanager
    def database(self, name: str) -> Iterator[str]:
        """The DSN of a fresh database, which is dropped in the end."""
        self._run(f'CREATE DATABASE "{name}"')
        try:
            yield with_database(self.dsn, name)
        finally:
            self._run(f'DROP DATABASE "{name}" WITH (FORCE)')

    def start_again(self) -> None:
        """After it was killed: what was committed is there when this returns."""
        asyncio.run(self._embedded.start())

    def checkpoint(self) -> None:
        """Begin a phase like all others: with nothing left to write back."""
        self._run("CHECKPOINT")

    def position(self) -> str:
        """Where the write-ahead log ends now."""
        return str(self._value(self.dsn, "SELECT pg_current_wal_flush_lsn()::text"))

    def written(self, since: str) -> Written:
        """What was written between a position and now."""
        until = self.position()
        if until == since:
            return Written(0, 0, 0)
        return asyncio.run(self._written(since, until))

    def table_bytes(self, dsn: str) -> int:
        """Tables and indexes of a database."""
        return int(self._value(dsn, _TABLE_BYTES))

    def transactions(self, dsn: str) -> int:
        """Of a database so far, those that wrote nothing included. Waits until all are counted."""
        asyncio.run(asyncio.sleep(_STATISTICS_SECONDS))
        return int(self._value(dsn, _TRANSACTIONS))

    async def _written(self, since: str, until: str) -> Written:
        async with Database(self.dsn, application_name="bench") as database:
            row = await database.fetch_one(_WAL, since, until)
        assert row is not None
        return Written(**dict(row))

    def _run(self, statement: str) -> None:
        async def run() -> None:
            async with Database(self.dsn, application_name="bench") as database:
                await database.execute(statement)

        asyncio.run(run())

    @staticmethod
    def _value(dsn: str, query: str) -> object:
        async def fetch() -> object:
            async with Database(dsn, application_name="bench") as database:
                return await database.fetch_value(query)

        return asyncio.run(fetch())


@contextmanager
def running_server() -> Iterator[Server]:
    """A server in a home of its own, from start to stop."""
    home = Path(tempfile.mkdtemp(prefix="aos-peers-", dir="/tmp"))
    home.chmod(0o711)
    embedded = EmbeddedPostgres(home)
    try:
        asyncio.run(embedded.start())
        server = Server(embedded)
        # What was written is read back from the log: a checkpoint must not recycle it meanwhile.
        server._run("ALTER SYSTEM SET wal_keep_size = '4GB'")
        server._run("SELECT pg_reload_conf()")
        server._run("CREATE EXTENSION pg_walinspect")
        yield server
    finally:
        asyncio.run(embedded.stop())
        rmtree(home, ignore_errors=True)


def with_database(dsn: str, name: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))
