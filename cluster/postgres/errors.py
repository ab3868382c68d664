"""What can go wrong with Postgres, as classes that need no driver to be caught.

    StorageError
    ├── DatabaseUnavailable          AOS-5001   not reachable, or lost on the way; try again
    ├── UniqueViolation              AOS-5002   the row is there already
    ├── ConstraintViolation          AOS-5003   check, not-null, foreign key or exclusion
    ├── QueryFailed                  AOS-5004   everything else that Postgres refuses
    ├── MigrationAltered             AOS-5005   an applied migration file was edited
    ├── SchemaTooNew                 AOS-5006   the database knows more migrations than this code
    ├── MigrationNumbering           AOS-5007   the migration files are not 1, 2, 3, …
    ├── EmbeddedPostgresUnreachable  AOS-5008   where the server lives cannot be entered or written
    └── EmbeddedPostgresFailed       AOS-5009   the server did not start or did not stop

No message, context or chained exception carries a DSN, a password or the value of an argument.
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from ..errors import Blame, StorageError


class DatabaseUnavailable(StorageError):
    """No connection could be made, or the connection was lost.

    `context["ambiguous"]` is true when a statement had been sent and no answer came: it may have
    taken effect or not. Whoever repeats it must know that it is safe to repeat. When it is false,
    nothing took effect.
    """

    code = "AOS-5001"
    title = "Postgres cannot be reached."
    next_action = "Check that Postgres runs and that DATABASE_URL names it, then try again."
    retryable = True


class UniqueViolation(StorageError):
    """A row with the same key exists. `context["constraint"]` names the key's constraint."""

    code = "AOS-5002"
    title = "A row with this key exists already."
    next_action = "Read the existing row, or use another key."
    blame = Blame.PLATFORM


class ConstraintViolation(StorageError):
    """A check, not-null, foreign-key or exclusion constraint refused a row.

    `context["constraint"]` names it; for not-null it is `<table>_<column>_not_null`.
    """

    code = "AOS-5003"
    title = "A constraint of the schema refused a row."
    next_action = "Correct the value that the named constraint is about."
    blame = Blame.PLATFORM


class QueryFailed(StorageError):
    """Postgres, or the driver before it, refused a statement or a login.

    `context["sqlstate"]` is the five-character code, or None if the driver refused;
    `context["query"]` is the statement's name where it came from a query file.
    """

    code = "AOS-5004"
    title = "Postgres refused a statement."
    next_action = "Look at the SQLSTATE: 40001 and 40P01 may be tried again, 28xxx is the login."
    blame = Blame.PLATFORM


class MigrationAltered(StorageError):
    """A migration that this database has applied no longer is what was applied."""

    code = "AOS-5005"
    title = "An applied migration was altered."
    next_action = "Restore the file as it was applied, and put the change into a new migration."


class SchemaTooNew(StorageError):
    """The database was migrated by a newer AOS than this one."""

    code = "AOS-5006"
    title = "The database is newer than this AOS."
    next_action = "Upgrade AOS, or point AOS_HOME (or DATABASE_URL) at another database."


class MigrationNumbering(StorageError):
    """Migration files are not numbered 0001, 0002, … without gap or repetition."""

    code = "AOS-5007"
    title = "The migration files are not numbered 1, 2, 3, …"
    next_action = "Name the files NNNN_lower_case_words.sql, without gap or repetition."
    blame = Blame.PLATFORM


class EmbeddedPostgresUnreachable(StorageError):
    """A path that the caller or the server's user needs cannot be entered, written or used.

    `context["path"]` is the path, `context["remedy"]` what to do about it.
    """

    code = "AOS-5008"
    title = "The embedded Postgres cannot live in this directory."
    next_action = "Follow the remedy in the message, or set AOS_HOME to another directory."

    @classmethod
    def at(cls, path: Path, reason: str, remedy: str) -> Self:
        """`reason` continues a sentence that begins with the path."""
        return cls(f"{path} {reason}: {remedy}", path=str(path), remedy=remedy)


class EmbeddedPostgresFailed(StorageError):
    """The embedded server did not start, did not become ready, or did not stop."""

    code = "AOS-5009"
    title = "The embedded Postgres failed."
    next_action = "Read the log lines in the message, correct their cause and start again."
