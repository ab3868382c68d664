"""Numbered SQL migrations: `migrations/NNNN_name.sql`, applied in order, each exactly once.

Each migration is one transaction that first takes an advisory lock and then reads again what has
been applied. So the lock needs no connection of its own, it goes with the transaction whatever
dies, and any number of processes may call `migrate` at once: one applies, the others find it done.
A connection lost during COMMIT is no trouble either: call `migrate` again.

A file is never changed once it was applied anywhere: its SHA-256 is kept and compared. A statement
that refuses to run in a transaction (CREATE INDEX CONCURRENTLY) cannot be a migration.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from .database import Database, Statements
from .errors import MigrationAltered, MigrationNumbering, SchemaTooNew

FOLDER = Path(__file__).parent / "migrations"

_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9]+(?:_[a-z0-9]+)*")
_LOCK = 0x616F735F6D696772  # "aos_migr"; advisory locks are per database

_CREATE_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    checksum   text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""
_TABLE_EXISTS = "SELECT to_regclass('schema_migrations') IS NOT NULL"
_READ = "SELECT version, name, checksum, applied_at FROM schema_migrations ORDER BY version"
_RECORD = "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)"


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """A row of `schema_migrations`; `checksum` is the SHA-256 of the file, in hex."""

    version: int
    name: str
    checksum: str
    applied_at: datetime


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where a database stands: what was applied, and the names still to come."""

    applied: tuple[AppliedMigration, ...]
    pending: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Migration:
    version: int
    name: str
    checksum: str
    sql: str


async def migrate(database: Database, folder: Path = FOLDER) -> tuple[str, ...]:
    """Apply what is missing, and return its names in order.

    Raises `MigrationAltered`, `SchemaTooNew` and `MigrationNumbering` before anything is changed,
    and what the database raises; migrations applied before a failing one stay.
    """
    migrations = _read_folder(folder)
    done: list[str] = []
    while (name := await _apply_next(database, migrations)) is not None:
        done.append(name)
    return tuple(done)


async def status(database: Database, folder: Path = FOLDER) -> MigrationStatus:
    """Where a database stands; changes nothing. Raises like `migrate`."""
    migrations = _read_folder(folder)
    applied = await _read_applied(database)
    return MigrationStatus(applied, tuple(m.name for m in _pending(migrations, applied)))


async def _apply_next(database: Database, migrations: tuple[_Migration, ...]) -> str | None:
    async with database.transaction() as transaction:
        await transaction.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
        # READ COMMITTED: this sees what the lock's former holder committed.
        applied = await _read_applied(transaction)
        pending = _pending(migrations, applied)
        if not pending:
            return None
        await transaction.execute(_CREATE_TABLE)
        migration = pending[0]
        # The driver cannot tell of a text without any statement: a file may be comments only.
        sql = f"-- migration_{migration.version:04}\n{migration.sql}\n;SELECT 1"
        await transaction.execute(sql)
        await transaction.execute(_RECORD, migration.version, migration.name, migration.checksum)
        return migration.name


async def _read_applied(database: Statements) -> tuple[AppliedMigration, ...]:
    if not await database.fetch_value(_TABLE_EXISTS):
        return ()
    return tuple(AppliedMigration(**row) for row in await database.fetch(_READ))


def _pending(
    migrations: tuple[_Migration, ...], applied: tuple[AppliedMigration, ...]
) -> tuple[_Migration, ...]:
    """What is still to come, once it is certain that the rest is what was applied."""
    current, latest = len(applied), len(migrations)
    if current > latest:
        raise SchemaTooNew(
            f"the database is at version {applied[-1].version}, this AOS knows up to {latest}",
            database_version=applied[-1].version,
            code_version=latest,
        )
    for row, migration in zip(applied, migrations, strict=False):
        if (row.version, row.name) != (migration.version, migration.name):
            raise MigrationAltered(
                f"{row.name} was applied, its file is now called {migration.name}", name=row.name
            )
        if row.checksum != migration.checksum:
            raise MigrationAltered(f"{row.name} is not what was applied", name=row.name)
    return migrations[current:]


def _read_folder(folder: Path) -> tuple[_Migration, ...]:
    if not folder.is_dir():  # a broken installation must not look like an empty schema
        raise MigrationNumbering(f"there is no folder {folder}")
    migrations = tuple(_read_file(path) for path in sorted(folder.glob("*.sql")))
    for expected, migration in enumerate(migrations, start=1):
        if migration.version != expected:
            raise MigrationNumbering(
                f"{migration.name} stands where number {expected:04} belongs", name=migration.name
            )
    return migrations


def _read_file(path: Path) -> _Migration:
    if (match := _FILE_NAME.fullmatch(path.stem)) is None:
        raise MigrationNumbering(f"{path.name} is not called NNNN_name.sql", name=path.stem)
    content = path.read_bytes()
    checksum = hashlib.sha256(content).hexdigest()
    return _Migration(int(match[1]), path.stem, checksum, content.decode())
