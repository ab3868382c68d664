"""The driver's side of `database.py`: what a connection is, how it proves alive, how it commits."""

from __future__ import annotations

import asyncio
import select
import socket
from abc import ABCMeta
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from .errors import QueryFailed
from .translate import DRIVER_ERRORS, translated, was_sent

CLEAN_UP_SECONDS = 1.0
"""How long a caller that gave up may be kept by a server that does not answer its cancellation."""

_CONNECT_SECONDS = 10.0
_IDLE_SECONDS = 60.0

# A server whose machine vanishes says no goodbye: without these its clients would wait for ever.
_SILENCE_SECONDS = 30
_TCP_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _SILENCE_SECONDS // 2),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _SILENCE_SECONDS // 6),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
    (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _SILENCE_SECONDS * 1000),
)


class Record(asyncpg.Record):
    """asyncpg's record iterates over values; a mapping iterates over keys."""

    __slots__ = ()

    def __iter__(self) -> Iterator[Any]:
        return iter(self.keys())


cast("ABCMeta", Mapping).register(Record)


if TYPE_CHECKING:  # generic for the type checker only
    _DriverConnection = asyncpg.Connection[Record]
else:
    _DriverConnection = asyncpg.Connection


class Connection(_DriverConnection):
    """A connection that can tell, without sending anything, whether it was left in peace."""

    __slots__ = ()

    def is_silent(self) -> bool:
        """False if anything arrived while idle. A server that hangs up leaves its goodbye or an
        end-of-file in the socket, which the event loop may not have read yet.
        """
        sock = self.raw_socket()
        if sock is None or sock.fileno() < 0:
            return False
        poll = select.poll()
        poll.register(sock.fileno(), select.POLLIN | select.POLLHUP | select.POLLERR)
        return not poll.poll(0)

    def raw_socket(self) -> socket.socket | None:
        """The socket of a connection; None once it is closed."""
        transport = cast("asyncio.Transport | None", self._transport)
        if transport is None:
            return None
        return cast("socket.socket | None", transport.get_extra_info("socket"))


Pool: TypeAlias = "asyncpg.Pool[Record]"
Pooled: TypeAlias = "PoolConnectionProxy[Record]"


def make_pool(dsn: str, size: int, application_name: str) -> Pool:
    """A pool that has not connected; awaiting it does not connect either."""
    return asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=size,
        max_inactive_connection_lifetime=_IDLE_SECONDS,
        timeout=_CONNECT_SECONDS,
        init=_notice_silence,
        reset=_keep_session,
        connection_class=Connection,
        record_class=Record,
        server_settings={"application_name": application_name},
    )


async def _notice_silence(connection: _DriverConnection | Pooled) -> None:
    sock = cast("Connection", connection).raw_socket()
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        for option in _TCP_OPTIONS:
            sock.setsockopt(*option)


async def _keep_session(_: object) -> None:
    """The driver would send RESET ALL and more after every statement, which costs a round trip."""


def discard(connection: Pooled) -> None:
    """Hang up. The pool may have noticed before us that it is dead, and have taken it back."""
    with suppress(asyncpg.InterfaceError):
        connection.terminate()


async def answers(connection: Pooled) -> bool:
    """Whether a connection is alive, found by asking; a dead one is discarded."""
    try:
        await connection.execute("SELECT 1")
    except BaseException as error:
        discard(connection)
        if not isinstance(error, DRIVER_ERRORS):
            raise
        return False
    return True


async def commit(connection: Pooled) -> None:
    """Commit, or raise: a COMMIT that Postgres turned into a rollback is a `QueryFailed`."""
    try:
        tag = await connection.execute("COMMIT")
    except DRIVER_ERRORS as error:
        raise translated(error, "COMMIT", ambiguous=was_sent(error)) from None
    if tag != "COMMIT":  # Postgres answers ROLLBACK, without an error, if a statement had failed
        raise QueryFailed(
            "rolled back: a statement of the transaction had failed", sqlstate="25P02", query=None
        )


async def roll_back(connection: Pooled) -> None:
    """Undo, or hang up: the server undoes what its client did not commit."""
    try:
        await connection.execute("ROLLBACK", timeout=CLEAN_UP_SECONDS)
    except BaseException as error:
        discard(connection)
        if not isinstance(error, DRIVER_ERRORS):
            raise
