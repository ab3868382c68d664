from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import psutil
import pytest
from tests.integration.postgres.support import (
    ask,
    is_gone,
    running,
    start_elsewhere,
    works,
)

from aos.cluster.postgres import (
    Database,
    EmbeddedPostgres,
    EmbeddedPostgresUnreachable,
    QueryFailed,
    ServerStatus,
)


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
