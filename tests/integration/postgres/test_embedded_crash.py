from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.integration.postgres.support import ask, kill, pid_file, running, works

from aos.cluster.postgres import Database, EmbeddedPostgres
from aos.cluster.postgres.account import Account


async def test_a_killed_server_comes_back_with_every_committed_row(
    crash_server: EmbeddedPostgres,
) -> None:
    async with Database(crash_server.dsn) as database:
        await database.execute("DROP TABLE IF EXISTS survivor; CREATE TABLE survivor (id int)")
        for number in range(50):
            await database.execute("INSERT INTO survivor VALUES ($1)", number)
        old = running(crash_server)
        kill(old)
        assert crash_server.status().running is False
        await crash_server.start()
        assert running(crash_server) != old
        assert await database.fetch_value("SELECT count(*) FROM survivor") == 50


async def test_a_reused_pid_is_neither_believed_nor_harmed(
    crash_server: EmbeddedPostgres, crash_home: Path
) -> None:
    kill(running(crash_server))
    owner = (crash_home / "postgres" / "data").stat().st_uid
    # Of the server's own user: Postgres itself would refuse to start over a pid that it can signal.
    user = owner if os.geteuid() == 0 else None
    innocent = await asyncio.create_subprocess_exec("sleep", "600", user=user)
    try:
        text = pid_file(crash_home).read_text()
        pid_file(crash_home).write_text(f"{innocent.pid}\n{text.partition(chr(10))[2]}")
        socket_lock = crash_home / "postgres" / "run" / ".s.PGSQL.5432.lock"
        socket_lock.write_text(f"{innocent.pid}\n")
        assert crash_server.status().running is False
        await crash_server.stop()
        assert innocent.returncode is None
        await crash_server.start()
        assert await works(crash_server)
        assert innocent.returncode is None
    finally:
        innocent.kill()
        assert await innocent.wait() == -signal.SIGKILL  # and nobody else had ended it


@pytest.fixture
def reaping() -> Iterator[None]:
    """Orphans become this process's children, as under a container's PID 1 that never reaps."""
    prctl, subreaper = ctypes.CDLL(None, use_errno=True).prctl, 36
    assert prctl(subreaper, 1, 0, 0, 0) == 0
    try:
        yield
    finally:
        prctl(subreaper, 0, 0, 0, 0)


def reap(pid: int) -> bool:
    return os.waitpid(pid, os.WNOHANG)[0] == pid


@pytest.mark.usefixtures("reaping")
async def test_a_zombie_is_not_a_server(crash_home: Path) -> None:
    server = EmbeddedPostgres(crash_home)
    await server.stop()
    await server.start()
    zombie = running(server)
    assert psutil.Process(zombie).ppid() == os.getpid()
    kill(zombie)
    assert psutil.Process(zombie).status() == psutil.STATUS_ZOMBIE
    assert server.status().running is False
    await server.start()
    assert await works(server)
    second = running(server)
    await server.stop()  # and returns, although the second one is a zombie now
    for pid in (zombie, second):
        assert reap(pid)


@pytest.mark.parametrize("content", ["", "garbage\n", "-7\n", "0\n", "999999999\n"])
async def test_a_pid_file_of_nonsense_is_recovered(
    crash_server: EmbeddedPostgres, crash_home: Path, content: str
) -> None:
    kill(running(crash_server))
    pid_file(crash_home).write_text(content)
    assert crash_server.status().running is False
    await crash_server.start()
    assert await works(crash_server)


async def test_leftovers_in_the_socket_directory_are_recovered(
    crash_server: EmbeddedPostgres, crash_home: Path
) -> None:
    await crash_server.stop()
    run = crash_home / "postgres" / "run"
    (run / ".s.PGSQL.5432").write_text("not a socket")
    (run / ".s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    await crash_server.start()
    assert await works(crash_server)
    await crash_server.stop()
    shutil.rmtree(run)
    await crash_server.start()
    assert await works(crash_server)


async def test_no_second_server_starts_while_a_part_of_the_first_is_at_work(
    crash_server: EmbeddedPostgres, crash_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, refused, launch = asyncio.get_running_loop(), asyncio.Event(), EmbeddedPostgres._launch

    def watched(server: EmbeddedPostgres, account: Account) -> bool:
        launched = launch(server, account)
        if not launched:
            loop.call_soon_threadsafe(refused.set)
        return launched

    monkeypatch.setattr(EmbeddedPostgres, "_launch", watched)
    busy = Database(crash_server.dsn)  # computes without waiting for anything: does not notice
    pid = await busy.fetch_value("SELECT pg_backend_pid()")
    work = asyncio.create_task(busy.fetch_value("SELECT count(*) FROM generate_series(1, 1e12)"))
    state = "SELECT state FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%1e12%'"
    while await ask(crash_server, state, pid) != "active":
        assert not work.done()
    kill(running(crash_server))
    pid_file(crash_home).unlink()  # the worst case: nothing names the first one any more
    starting = asyncio.create_task(crash_server.start())
    await refused.wait()
    assert not starting.done()
    kill(pid)
    await starting
    assert await works(crash_server)
    with pytest.raises(Exception, match="lost"):
        await work
    await busy.close()


async def test_a_server_that_is_going_down_is_awaited_and_followed_by_another(
    crash_server: EmbeddedPostgres,
) -> None:
    old = running(crash_server)
    psutil.Process(old).send_signal(signal.SIGINT)
    await crash_server.start()
    assert await works(crash_server)


async def test_a_server_that_ignores_a_fast_shutdown_is_ended_at_once(
    crash_server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aos.cluster.postgres.postmaster._FAST_SECONDS", 0.0)
    await crash_server.stop()
    assert crash_server.status().running is False
    await crash_server.start()
    assert await works(crash_server)
