"""Statements and transactions over a small pool, with errors that need no driver.

What callers may rely on:

- **Lazy.** Constructing a `Database` touches nothing; the pool belongs to the event loop that uses
  it first, and connects when a statement needs it. An idle connection is closed after a minute.
- **A restart of the server heals by itself.** A pooled connection that has died is found *before*
  anything is sent on it and replaced by a fresh one.
- **Nothing is silently repeated.** When a connection dies after a statement was sent and before the
  answer came, `DatabaseUnavailable` has `context["ambiguous"] = True`: the statement may have taken
  effect. Inside a transaction only COMMIT can be ambiguous: whatever was lost before it is undone.
- **A commit that returns was a commit.** A transaction whose statement failed cannot be committed
  by swallowing the error: leaving the block raises `QueryFailed`.
- **A deadline holds.** A call that is cancelled (`asyncio.timeout`) ends at most a second later,
  even if the server hangs; over TCP a server that vanished is noticed after half a minute.
- **json and jsonb are text.** Parameters and results are `str`, as they stand; canonical JSON must
  survive the trip unchanged, so nothing is parsed or re-serialised here.

Statements must not change the session (SET, LISTEN, session advisory locks, temporary tables):
connections go back to the pool as they are. `SET LOCAL` and `pg_advisory_xact_lock` are fine.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from itertools import chain, repeat
from typing import Any, Self, cast

import asyncpg

from ..settings import InvalidSettings
from .connection import (
    CLEAN_UP_SECONDS,
    Connection,
    Pool,
    Pooled,
    answers,
    commit,
    discard,
    make_pool,
    roll_back,
)
from .errors import DatabaseUnavailable
from .listening import listen
from .translate import DRIVER_ERRORS, is_lost, translated, was_sent

Row = Mapping[str, Any]
"""One row: values by column name, in the order of the columns."""

_CLOSE_SECONDS = 5.0


class Statements(ABC):
    """Four ways to run a statement: each by itself on a `Database`, together on a `Transaction`.

    Raises `DatabaseUnavailable`, `UniqueViolation`, `ConstraintViolation` or `QueryFailed`.
    Cancelling a call leaves the outcome of its statement unknown, like a lost connection.
    """

    @abstractmethod
    def _lease(self, query: str) -> AbstractAsyncContextManager[Pooled]: ...

    async def fetch(self, query: str, *args: Any) -> list[Row]:
        """All rows of a statement."""
        async with self._lease(query) as connection:
            return cast("list[Row]", await connection.fetch(query, *args))

    async def fetch_one(self, query: str, *args: Any) -> Row | None:
        """The first row, or None if there is none."""
        async with self._lease(query) as connection:
            return cast("Row | None", await connection.fetchrow(query, *args))

    async def fetch_value(self, query: str, *args: Any) -> Any:
        """The first column of the first row, or None if there is no row."""
        async with self._lease(query) as connection:
            return await connection.fetchval(query, *args)

    async def execute(self, query: str, *args: Any) -> str:
        """Run a statement and return its command tag, such as `UPDATE 1`.

        Without arguments the text may hold several statements, which then run as one transaction.
        """
        async with self._lease(query) as connection:
            return await connection.execute(query, *args)


class Transaction(Statements):
    """Statements that take effect together, when the block that made this object is left."""

    def __init__(self, connection: Pooled) -> None:
        self._connection = connection
        self._over = False

    def end(self) -> None:
        """Refuse further statements: the connection is about to belong to somebody else."""
        self._over = True

    @asynccontextmanager
    async def _lease(self, query: str) -> AsyncGenerator[Pooled]:
        if self._over:
            raise RuntimeError("this transaction is over")
        try:
            yield self._connection
        except DRIVER_ERRORS as error:
            # Never ambiguous: a server that loses its client before COMMIT undoes the transaction.
            raise translated(error, query) from None


class Database(Statements):
    """A Postgres database, by its DSN. One per process and event loop; `close` it at the end."""

    def __init__(
        self, dsn: str, *, max_connections: int = 1, application_name: str = "aos"
    ) -> None:
        self._dsn = dsn
        self._max_connections = max_connections
        self._application_name = application_name
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._in_transaction: set[asyncio.Task[Any] | None] = set()

    def __repr__(self) -> str:
        return f"<Database {self._application_name!r}, {self._max_connections} connections>"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Commit on leaving the block, roll back if it raises.

        Use only the yielded object inside: a call on the database itself would wait for a second
        connection, with one connection for ever, and is refused with RuntimeError.
        """
        connection = await self._begin()
        transaction = Transaction(connection)
        owner = asyncio.current_task()
        self._in_transaction.add(owner)
        try:
            try:
                yield transaction
            except BaseException:
                await roll_back(connection)
                raise
            await commit(connection)
        finally:
            transaction.end()
            self._in_transaction.discard(owner)
            await self._release(connection)

    async def listen(self, channel: str, hear: Callable[[str], None]) -> None:
        """Call `hear` with each notification's payload, for ever, on a connection of its own.
        Notifications are hints: those of an outage are lost.
        """
        await listen(self._dsn, channel, hear)

    async def wait_ready(self, timeout: float) -> None:
        """Return once a statement succeeds. Raises `DatabaseUnavailable` after `timeout` seconds;
        a refused login or an unknown database is a `QueryFailed` at once.
        """
        last = "no answer"
        try:
            async with asyncio.timeout(timeout):
                for pause in chain((0.01, 0.02, 0.05, 0.1, 0.2), repeat(0.5)):
                    try:
                        await self.fetch_value("SELECT 1")
                    except DatabaseUnavailable as error:
                        if self._closed:
                            raise
                        last = error.detail
                        await asyncio.sleep(pause)
                    else:
                        return
        except TimeoutError:
            raise DatabaseUnavailable(
                f"not ready after {timeout:g} s: {last}", ambiguous=False
            ) from None

    async def close(self) -> None:
        """Close the connections, waiting at most five seconds for statements under way.

        Afterwards every call raises `DatabaseUnavailable`. Closing twice is fine.
        """
        self._closed = True
        pool, self._pool = self._pool, None
        if pool is None:
            return
        with suppress(*DRIVER_ERRORS):  # on any error, the time-out included, asyncpg terminates
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.close()

    @asynccontextmanager
    async def _lease(self, query: str) -> AsyncGenerator[Pooled]:
        connection = await self._acquire()
        try:
            yield connection
        except DRIVER_ERRORS as error:
            if is_lost(error):
                discard(connection)
            raise translated(error, query, ambiguous=was_sent(error)) from None
        finally:
            await self._release(connection)

    async def _begin(self) -> Pooled:
        """A connection with an open transaction. Nothing of the caller's has been sent yet, so a
        connection that dies on BEGIN is replaced once.
        """
        may_retry = True
        while True:
            connection = await self._acquire()
            try:
                await connection.execute("BEGIN")
            except BaseException as error:
                discard(connection)
                await self._release(connection)
                if not isinstance(error, DRIVER_ERRORS):
                    raise
                if not (may_retry and is_lost(error)):
                    raise translated(error, "BEGIN") from None
                may_retry = False
            else:
                return connection

    async def _acquire(self) -> Pooled:
        """A connection that was alive a moment ago: a fresh one, one that was left in peace, or one
        that has just answered. Every round discards a dead connection, so rounds are bounded.
        """
        if asyncio.current_task() in self._in_transaction:
            raise RuntimeError("inside transaction(): use the transaction's own methods")
        pool = await self._open_pool()
        for _ in range(self._max_connections + 1):
            try:
                connection = await pool.acquire()
            except DRIVER_ERRORS as error:
                raise self._connect_error(error) from None
            except ValueError:  # from parsing the DSN: the message may quote it
                raise self._unusable_dsn() from None
            if cast("Connection", connection).is_silent() or await answers(connection):
                return connection
        raise DatabaseUnavailable("connections die as soon as they are made", ambiguous=False)

    async def _open_pool(self) -> Pool:
        loop = asyncio.get_running_loop()
        if self._closed:
            raise DatabaseUnavailable("this Database was closed", ambiguous=False)
        if self._pool is None:
            pool = make_pool(self._dsn, self._max_connections, self._application_name)
            # With min_size=0 this neither connects nor suspends, so there is never a second pool.
            await pool
            self._pool, self._loop = pool, loop
        if self._loop is not loop:
            raise RuntimeError("this Database belongs to another event loop; make one per loop")
        return self._pool

    async def _release(self, connection: Pooled) -> None:
        """Hand a connection back. The statement's outcome is known by now: errors do not count."""
        if self._pool is None:
            discard(connection)
            return
        with suppress(*DRIVER_ERRORS):
            await self._pool.release(connection, timeout=CLEAN_UP_SECONDS)

    def _connect_error(self, error: BaseException) -> Exception:
        if isinstance(error, asyncpg.ClientConfigurationError):
            return self._unusable_dsn()
        return translated(error)

    def _unusable_dsn(self) -> InvalidSettings:
        return InvalidSettings("database_url: not a PostgreSQL URL (postgresql://user:…@host/name)")
