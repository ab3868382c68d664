"""Postgres: the truth of AOS, and the only place that knows its driver.

    database.py    statements and transactions over a small pool     errors.py   what goes wrong
    queries.py     named statements in .sql files                    migrate.py  numbered migrations
    embedded.py    the server that comes with the Python environment
    below them: connection.py translate.py (the driver), layout.py account.py binaries.py
    programs.py postmaster.py (the server: its files, its user, its programs, its process)

**How processes share the embedded server.** There is one server per home directory, reached over a
Unix socket in it, as the user `aos` with a password that only the OS user who made it can read.
Every process may call `start`: under a file lock, the first one launches the server as a daemon and
the others find it running. It belongs to none of them and runs until somebody calls `stop`.
Whether a server runs is decided by proof, never by a pid alone: the process in `postmaster.pid`
was started as `postgres` on exactly this directory; and the `alive` file stays locked as long as
any process of the server lives, so that no second server can touch the data while a part of the
first is at work, whatever the pid file says and in whichever container it runs.

**What each failure does.**

- The server is killed: statements under way raise `DatabaseUnavailable`, with `ambiguous` true if
  they had been sent and not been answered. The next `start` clears the remains (stale pid file,
  zombie, reused pid, dead socket), Postgres replays its log, and every committed row is there.
- The server restarts: the next statement gets a fresh connection; nobody has to reconnect.
- The process that started the server dies: nothing; the server is not its child.
- A process dies while it starts the server: the lock goes with it. A half-made data directory has
  another name and is made anew; a server that is already up is found.
- A process dies in a transaction: the server undoes it.
- A process dies during a migration: that migration is undone, its lock is released with it.
- The home is closed to the server's user, or another user's: `EmbeddedPostgresUnreachable` says
  which directory and what to do; modes are never opened.
- Postgres refuses to come up: `EmbeddedPostgresFailed` carries the last lines of its log.

Durability is never traded: fsync, full-page writes, synchronous commit and data checksums are on.
"""

from .database import Database, Row, Statements, Transaction
from .dsn import dsn_of
from .embedded import EmbeddedPostgres, ServerStatus
from .errors import (
    ConstraintViolation,
    DatabaseUnavailable,
    EmbeddedPostgresFailed,
    EmbeddedPostgresUnreachable,
    MigrationAltered,
    MigrationNumbering,
    QueryFailed,
    SchemaTooNew,
    UniqueViolation,
)
from .listening import listen
from .migrate import AppliedMigration, MigrationStatus, migrate, status
from .queries import InvalidQueryFile, Queries, UnknownQuery

__all__ = [
    "AppliedMigration",
    "ConstraintViolation",
    "Database",
    "DatabaseUnavailable",
    "EmbeddedPostgres",
    "EmbeddedPostgresFailed",
    "EmbeddedPostgresUnreachable",
    "InvalidQueryFile",
    "MigrationAltered",
    "MigrationNumbering",
    "MigrationStatus",
    "Queries",
    "QueryFailed",
    "Row",
    "SchemaTooNew",
    "ServerStatus",
    "Statements",
    "Transaction",
    "UniqueViolation",
    "UnknownQuery",
    "dsn_of",
    "listen",
    "migrate",
    "status",
]
