"""What the tests of Postgres do with servers, backends and other processes."""

from __future__ import annotations

import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from aos.cluster.postgres import Database, EmbeddedPostgres, Statements

# Imports as whoever runs the tests: the interpreter may lie where other users cannot go.
START = """
import asyncio, os, sys
from pathlib import Path
from aos.cluster.postgres import EmbeddedPostgres

if len(sys.argv) > 2:
    asyncio.run(asyncio.to_thread(int))
    os.setgroups([])
    os.setgid(int(sys.argv[3]))
    os.setuid(int(sys.argv[2]))
server = EmbeddedPostgres(Path(sys.argv[1]))
asyncio.run(server.start())
print(server.status().pid, flush=True)
"""


def start_elsewhere(home: Path, user: str | None = None) -> subprocess.Popen[str]:
    """Start the server from another process, which prints the server's pid and ends."""
    entry = pwd.getpwnam(user) if user else None
    identity = [str(entry.pw_uid), str(entry.pw_gid)] if entry else []
    return subprocess.Popen(
        [sys.executable, "-c", START, str(home), *identity],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def running(server: EmbeddedPostgres) -> int:
    status = server.status()
    assert status.running
    assert status.pid is not None
    return status.pid


def is_empty(folder: Path) -> bool:
    return not list(folder.iterdir())


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    while not is_gone(pid):
        pass


def pid_file(home: Path) -> Path:
    return home / "postgres" / "data" / "postmaster.pid"


async def ask(server: EmbeddedPostgres, query: str, *args: object) -> object:
    async with Database(server.dsn) as database:
        return await database.fetch_value(query, *args)


async def works(server: EmbeddedPostgres) -> bool:
    return await ask(server, "SELECT 1") == 1


async def backend_of(statements: Statements) -> int:
    pid = await statements.fetch_value("SELECT pg_backend_pid()")
    assert isinstance(pid, int)
    return pid


async def sleeping_backend(database: Database) -> int:
    """The backend that waits in pg_sleep, once there is one. Each look is a round trip."""
    query = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    while (pid := await database.fetch_value(query)) is None:
        pass
    assert isinstance(pid, int)
    return pid


def end_backend(pid: int) -> None:
    """End a backend while this event loop stands still, so that it cannot notice."""
    os.kill(pid, signal.SIGTERM)
    while psutil.pid_exists(pid):
        pass
