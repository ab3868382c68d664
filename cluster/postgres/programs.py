"""Running `initdb` and `pg_ctl` as the server's user, and the settings that the server gets."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .account import Account
from .layout import PORT, USER, Layout, sync_folder

_LAUNCH_SECONDS = 60

_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    # Durability is Postgres's default; said here so that no edit of postgresql.conf weakens it.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # Small statements on few cores: no helper processes, and no need for a large /dev/shm.
    "io_method": "sync",
    "max_parallel_workers_per_gather": "0",
    "max_parallel_maintenance_workers": "0",
    # A statement whose client is gone ends, also while it waits for a lock.
    "client_connection_check_interval": "5s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Errors of statements go to the client who made them; repeated here they would fill the disk.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_checkpoints": "off",
}


@dataclass(frozen=True, slots=True)
class Programs:
    """Postgres's programs for one launch. `alive` is the locked descriptor that they inherit."""

    binaries: Path
    layout: Layout
    account: Account
    alive: int

    def create_data(self) -> None:
        """Make the data directory beside its place and move it there: it is complete or absent."""
        layout = self.layout
        staging = layout.folder / "data.new"
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(mode=0o700)
        password_file = layout.password.with_name("password.initdb")
        password_file.unlink(missing_ok=True)
        descriptor = os.open(password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, layout.make_password().encode())
            if self.account.foreign:
                os.chown(staging, self.account.uid, self.account.gid)
                os.fchown(descriptor, self.account.uid, self.account.gid)
            self._run(
                "initdb",
                *("-D", str(staging), "-U", USER, f"--pwfile={password_file}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--data-checksums"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"),
                "--no-instructions",
            )
        finally:
            os.close(descriptor)
            password_file.unlink()
        staging.rename(layout.data)
        sync_folder(layout.folder)

    def launch(self) -> None:
        """Start the server, as a daemon in a session of its own, and wait until it says ready."""
        quoted = str(self.layout.run).replace('"', '""')
        settings = {**_SETTINGS, "unix_socket_directories": f'"{quoted}"'}
        options = ["-D", str(self.layout.data)]
        options += [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        # pg_ctl hands the server's command line to a shell, and would quote its own -D badly.
        wait = ("-w", "-t", str(_LAUNCH_SECONDS))
        self._run("pg_ctl", "start", "-s", *wait, "-o", shlex.join(options))

    def _run(self, program: str, *arguments: str) -> None:
        """Run a program as the server's user, its words going to the log.

        Nothing of the caller's environment reaches the server.
        """
        account = self.account
        with self.layout.log.open("ab") as log:
            os.fchmod(log.fileno(), 0o600)
            before = log.tell()
            try:
                done = subprocess.run(  # noqa: S603 - no shell
                    [str(self.binaries / program), *arguments],
                    check=False,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env={"PATH": os.defpath, "LC_ALL": "C", "PGDATA": str(self.layout.data)},
                    pass_fds=(self.alive,),
                    start_new_session=True,
                    umask=0o077,
                    user=account.uid if account.foreign else None,
                    group=account.gid if account.foreign else None,
                    extra_groups=[] if account.foreign else None,
                )
            except OSError as error:
                reason = f"{self.binaries / program} cannot be run ({error.strerror})"
                raise self.layout.failed(reason, before) from None
        if done.returncode != 0:
            raise self.layout.failed(f"{program} failed", before)
