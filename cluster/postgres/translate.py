"""From the driver's errors to ours: the only place that knows SQLSTATEs."""

from __future__ import annotations

import re

import asyncpg

from ..errors import AosError
from .errors import ConstraintViolation, DatabaseUnavailable, QueryFailed, UniqueViolation

DRIVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
"""Everything that the driver raises; `TimeoutError` is an `OSError`."""

# Class 08 (connection exceptions) and these mean that there is no connection: too many clients,
# idle-in-transaction and transaction timeouts (the server hangs up), shutdowns, starting up,
# database dropped, idle-session timeout.
_NO_CONNECTION = {"53300", "25P03", "25P04", "57P01", "57P02", "57P03", "57P04", "57P05"}

# These classes quote the offending value in their message.
_QUOTES_VALUES = {"22", "23"}

# What the driver says of a connection or pool that it knows to be closed.
# "cannot switch to state" is a connection whose server died under an earlier statement.
_GONE = (
    "connection is closed",
    "connection has been released",
    "pool is clos",
    "cannot switch to state",
)
_REFUSALS = (asyncpg.InterfaceError, asyncpg.InternalClientError)

_QUERY_NAME = re.compile(r"-- ([a-z][a-z0-9_]*)\n")
_ARGUMENT = re.compile(r"invalid input for query argument (\$\d+)")


def is_lost(error: BaseException) -> bool:
    """Whether an error of the driver means that there is no connection (any more)."""
    if isinstance(error, asyncpg.PostgresError):
        state = error.sqlstate or ""
        return state.startswith("08") or state in _NO_CONNECTION
    if isinstance(error, _REFUSALS):
        return any(words in str(error) for words in _GONE)
    return isinstance(error, OSError)


def was_sent(error: BaseException) -> bool:
    """Whether a lost connection leaves the outcome unknown: the driver's own refusals to use a
    connection that it knows to be closed come before anything is sent.
    """
    return is_lost(error) and not isinstance(error, _REFUSALS)


def translated(error: BaseException, query: str = "", *, ambiguous: bool = False) -> AosError:
    """Our error for one of the driver's. `ambiguous` says whether a lost statement had been sent.

    Raise the result `from None`: the driver's text and details quote values.
    """
    name = match[1] if (match := _QUERY_NAME.match(query)) else None
    if is_lost(error):
        return DatabaseUnavailable(_lost_text(error, ambiguous), ambiguous=ambiguous)
    if isinstance(error, asyncpg.IntegrityConstraintViolationError):
        return _violation(error, name)
    if isinstance(error, asyncpg.PostgresError) and not _ARGUMENT.search(str(error)):
        return QueryFailed(_refusal_text(error, name), sqlstate=error.sqlstate, query=name)
    return QueryFailed(_misuse_text(error, name), sqlstate=None, query=name)


def _lost_text(error: BaseException, ambiguous: bool) -> str:
    reason = str(error) or type(error).__name__
    if ambiguous:
        return f"the connection was lost before the answer came ({reason})"
    return f"no connection to Postgres ({reason})"


def _violation(error: asyncpg.IntegrityConstraintViolationError, name: str | None) -> AosError:
    table, column = error.table_name, error.column_name
    constraint = error.constraint_name or f"{table}_{column}_not_null"
    kind = UniqueViolation if error.sqlstate == "23505" else ConstraintViolation
    return kind(
        f"{constraint} refused a row of {table or error.data_type_name}",
        constraint=constraint,
        table=table,
        column=column,
        query=name,
    )


def _refusal_text(error: asyncpg.PostgresError, name: str | None) -> str:
    state = error.sqlstate or "?????"
    reason = (
        type(error).__name__.removesuffix("Error") if state[:2] in _QUOTES_VALUES else error.args[0]
    )
    return f"{_subject(name)}: {state} {reason}"


def _misuse_text(error: BaseException, name: str | None) -> str:
    if match := _ARGUMENT.search(str(error)):  # the rest of the text is the argument
        return f"{_subject(name)}: {match[1]} does not have the type that the statement needs"
    return f"{_subject(name)}: {error}"


def _subject(name: str | None) -> str:
    return f"query {name}" if name else "statement"
