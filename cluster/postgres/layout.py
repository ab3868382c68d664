"""What lies where in `home/postgres`, and the few things that are done with it.

data        the data directory, owned by the server's user
run         the Unix socket; there is no TCP port
password    0600, readable by the caller only
lock        flocked while somebody starts or stops the server
alive       flocked by the server's own processes as long as one of them runs
log         what the server says; log.1 is what it said before
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import quote

from .account import Account
from .binaries import MAJOR_VERSION
from .errors import EmbeddedPostgresFailed, EmbeddedPostgresUnreachable

USER = "aos"
PORT = 5432  # only names the socket file

_SOCKET_BYTES = 107  # what fits into a Unix socket's address on Linux
_LOG_BYTES = 8 * 1024 * 1024
_LOG_LINES = 15
_TAIL_BYTES = 8192


class Layout:
    """The paths below `home/postgres`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.run = folder / "run"
        self.socket = self.run / f".s.PGSQL.{PORT}"
        self.password = folder / "password"
        self.lock = folder / "lock"
        self.alive = folder / "alive"
        self.log = folder / "log"

    @property
    def dsn(self) -> str:
        """The DSN of the database `postgres`; see `EmbeddedPostgres.dsn`."""
        try:
            password = self.password.read_text().strip()
        except OSError as error:
            raise EmbeddedPostgresUnreachable.at(
                self.password,
                f"cannot be read ({error.strerror})",
                "start the server first, as the same user",
            ) from None
        # Port and TLS are said so that PGPORT and PGSSLMODE in the environment change nothing.
        host = quote(str(self.run), safe="")
        return f"postgresql://{USER}:{password}@/postgres?host={host}&port={PORT}&sslmode=disable"

    def check_socket_path(self) -> None:
        """Raise `EmbeddedPostgresUnreachable` if no socket can have this path."""
        remedy = "set AOS_HOME to a shorter path, without commas"
        if len(os.fsencode(self.socket)) > _SOCKET_BYTES:
            reason = f"is longer than the {_SOCKET_BYTES} bytes that a Unix socket's path can have"
            raise EmbeddedPostgresUnreachable.at(self.socket, reason, remedy)
        if "," in str(self.socket):  # separates hosts in a DSN
            raise EmbeddedPostgresUnreachable.at(self.socket, "has a comma", remedy)

    def check_data(self) -> None:
        """Raise `EmbeddedPostgresFailed` unless the data directory is absent or ours to start."""
        if not self.data.exists():
            return
        try:
            found = (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            raise EmbeddedPostgresFailed(f"{self.data} is not a Postgres data directory") from None
        if found != MAJOR_VERSION:
            raise EmbeddedPostgresFailed(
                f"{self.data} is of Postgres {found}, this AOS brings Postgres {MAJOR_VERSION}: "
                "dump it with the AOS that made it, and restore into a new AOS_HOME"
            )
        if not self.password.exists():
            raise EmbeddedPostgresFailed(f"{self.password} is missing: restore it from a backup")

    def make_password(self) -> str:
        """The password on disk; a new one is on disk before anything depends on it."""
        if not self.password.exists():
            new = self.password.with_name("password.new")
            new.unlink(missing_ok=True)
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))
                file.flush()
                os.fsync(descriptor)
            new.rename(self.password)
            sync_folder(self.folder)
        return self.password.read_text().strip()

    def clear_leftovers(self, account: Account) -> None:
        """Remove what a former server left. Nothing of it runs any more: the caller holds `alive`.

        Postgres itself would refuse to start over a pid that is a zombie's or, reused, another's.
        """
        for leftover in (self.data / "postmaster.pid", self.socket, Path(f"{self.socket}.lock")):
            leftover.unlink(missing_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)
        if account.foreign:
            os.chown(self.run, account.uid, account.gid)
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_name("log.1"))

    def failed(self, what: str, since: int = 0) -> EmbeddedPostgresFailed:
        """An error with the last lines that the log has got after its byte `since`."""
        tail = ""
        if self.log.exists():
            with self.log.open("rb") as log:
                log.seek(max(since, self.log.stat().st_size - _TAIL_BYTES))
                tail = log.read().decode(errors="replace")
        lines = tail.splitlines()[-_LOG_LINES:]
        return EmbeddedPostgresFailed("\n  ".join([what, *lines]), log=str(self.log))


def sync_folder(folder: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
