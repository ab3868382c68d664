"""The Postgres that comes with the Python environment: one server per home, for all processes.

`start` is idempotent and heals whatever a crash left behind; `layout.py` draws the directory. The
server is a daemon in a session of its own: it outlives the process that started it, until somebody
calls `stop`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import postmaster
from .account import Account, check_reachable, make_folders, server_account
from .binaries import reachable_binaries
from .database import Database
from .errors import DatabaseUnavailable, EmbeddedPostgresFailed, QueryFailed
from .layout import Layout
from .programs import Programs

_READY_SECONDS = 120.0
_LOCK_SECONDS = 180.0
_ALIVE_SECONDS = 1.0
_PATIENCE_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class ServerStatus:
    """Whether the server runs, and as which process."""

    running: bool
    pid: int | None


class EmbeddedPostgres:
    """The server of a home directory. Objects are cheap and hold nothing open."""

    def __init__(self, home: Path, *, os_user: str | None = None) -> None:
        # Resolved, because a running server is recognised by the path it was started with.
        self._layout = Layout(home.expanduser().resolve() / "postgres")
        self._os_user = os_user

    async def start(self) -> str:
        """Make sure that the server runs and accepts connections; returns its DSN.

        Raises `EmbeddedPostgresUnreachable` if it cannot live there, `EmbeddedPostgresFailed` with
        the end of its log if it does not come up.
        """
        return await asyncio.to_thread(self._start)

    async def stop(self) -> None:
        """Shut the server down and return when it is gone; nothing to do if it does not run.

        Connections are cut and open transactions undone. Raises `EmbeddedPostgresFailed` if it is
        still there after 45 s, or if it runs where this process cannot see it (another container);
        `EmbeddedPostgresUnreachable` if it is another user's.
        """
        await asyncio.to_thread(self._stop)

    def status(self) -> ServerStatus:
        """Whether a server runs on this data directory now. Waits for nobody.

        Raises `EmbeddedPostgresUnreachable` if the directory is another user's.
        """
        process = postmaster.find(self._layout.data)
        return ServerStatus(process is not None, process.pid if process else None)

    @property
    def dsn(self) -> str:
        """The DSN of the database `postgres`, password included: never log it.

        Raises `EmbeddedPostgresUnreachable` before the first start, and for another user.
        """
        return self._layout.dsn

    def _start(self) -> str:
        layout = self._layout
        layout.check_socket_path()
        account = server_account(layout.data, self._os_user)
        check_reachable(layout.data, account)
        make_folders(layout.folder, account)
        with self._locked():
            # Again, under the lock: another process may have made the data directory meanwhile.
            account = server_account(layout.data, self._os_user)
            deadline = time.monotonic() + _READY_SECONDS
            patience = _PATIENCE_SECONDS
            while True:
                # A server that is just going down is awaited, and then followed by another. Each
                # round is more patient: this machine may be slow rather than that server dying.
                launched = postmaster.find(layout.data) is not None or self._launch(account)
                trouble = self._connection_trouble(patience)
                if trouble is None:
                    return layout.dsn
                patience = min(2 * patience, 5.0)
                if time.monotonic() > deadline:
                    reason = trouble if launched else f"others use the data directory, {trouble}"
                    raise layout.failed(f"the server accepts no connection: {reason}")

    def _launch(self, account: Account) -> bool:
        """Start a server where none runs; False if processes of a former one are still at work.

        Those may be about to end, or be a server after all: one whose starter was killed before the
        pid file was written, or one in another container. The caller holds the lock.
        """
        layout = self._layout
        with postmaster.held(layout.alive, _ALIVE_SECONDS) as alive:
            if alive is None:
                return False
            layout.clear_leftovers(account)
            layout.check_data()
            binaries = reachable_binaries(layout.folder, account)
            programs = Programs(binaries, layout, account, alive)
            if not layout.data.exists():
                programs.create_data()
            programs.launch()
            return True

    def _stop(self) -> None:
        layout = self._layout
        if postmaster.find(layout.data) is None and not layout.lock.exists():
            return
        with self._locked():
            if (process := postmaster.find(layout.data)) is not None:
                postmaster.end(process)
            with postmaster.held(layout.alive, _ALIVE_SECONDS) as alive:
                if alive is None:
                    raise layout.failed("processes that this one cannot see use the data directory")

    @contextmanager
    def _locked(self) -> Generator[None]:
        with postmaster.held(self._layout.lock, _LOCK_SECONDS) as lock:
            if lock is None:
                raise EmbeddedPostgresFailed(
                    f"another process has held {self._layout.lock} for {_LOCK_SECONDS:g} s"
                )
            try:
                yield
            except OSError as error:  # a full disk, a file system that is read-only, …
                raise EmbeddedPostgresFailed(f"{error.strerror}: {error.filename}") from error

    def _connection_trouble(self, seconds: float) -> str | None:
        """Why the server accepts no connection within `seconds`; None if it does."""
        layout = self._layout

        async def connect() -> None:
            async with Database(layout.dsn, application_name="aos-start") as database:
                await database.wait_ready(seconds)

        try:
            asyncio.run(connect())
        except DatabaseUnavailable as error:
            return error.detail
        except QueryFailed as error:
            reason = f"{layout.password} does not fit the server: {error.detail}"
            raise layout.failed(reason) from None
        return None
