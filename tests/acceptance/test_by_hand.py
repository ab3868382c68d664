"""The same job by hand: `aos up` … `aos down`, as a newcomer types it, and as a Ray job."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.support.running import FRUGAL, own_home

from aos.api.demo.site import DemoSite
from aos.cluster.environment import ray_directory
from aos.cluster.postgres import Database, dsn_of
from aos.cluster.settings import load

pytestmark = pytest.mark.ray

SCRIPTS = Path(sys.executable).parent


def aos(*words: str, expect: int = 0, **more: str) -> str:
    """Run the command line; returns what it printed."""
    done = subprocess.run(
        [SCRIPTS / "aos", *words],
        capture_output=True, text=True, timeout=120, env={**os.environ, **more}, check=False,
    )  # fmt: skip
    assert done.returncode == expect, (words, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def site() -> Iterator[DemoSite]:
    with DemoSite() as site:
        yield site


@pytest.fixture(scope="module")
def home(site: DemoSite) -> Iterator[Path]:
    with own_home(AOS_PRIVATE_HOSTS_ALLOWED=f'["{site.address}"]', **FRUGAL) as home:
        try:
            yield home
        finally:
            aos("down")


@pytest.fixture(scope="module")
def node(home: Path) -> dict[str, str]:
    """AOS is up."""
    aos("up")
    node: dict[str, str] = json.loads((home / "node.json").read_text())
    return node


def test_without_anything_up_it_says_what_to_do(home: Path) -> None:
    printed = aos("run", "anything", "--agent", "nobody", expect=3)
    assert "AOS-6102" in printed
    assert "aos up" in printed
    aos("doctor")


def test_a_second_up_finds_the_first(node: dict[str, str]) -> None:
    assert "up already" in aos("up")
    assert json.loads(aos("up", "--json"))["pid"] == node["pid"]


def test_an_agent_is_made_and_used(node: dict[str, str], site: DemoSite) -> None:
    aos("agent", "create", "researcher")
    assert "researcher" in aos("agent", "ls")
    goal = f"Fetch {site.url('/')}, extract the headings and summarise them"
    printed = aos("run", goal, "--agent", "researcher", "--watch")
    assert "http_call@1.0.0" in printed
    assert "completed" in printed
    runs = json.loads(aos("runs", "ls", "--json"))["items"]
    assert [run["status"] for run in runs] == ["completed"]
    assert "Harbour Observatory" in aos("runs", "show", runs[0]["id"])
    assert "researcher" in aos("agent", "show", "researcher")


def test_status_and_doctor_tell_of_it(node: dict[str, str]) -> None:
    status = json.loads(aos("status", "--json"))
    assert [child["id"] for child in status["tree"]["children"]] == [
        "hosts",
        "agents",
        "janitor",
        "retention",
        "front",
    ]
    aos("doctor")


def test_errors_end_in_a_next_action(node: dict[str, str]) -> None:
    printed = aos("run", "anything", "--agent", "nobody", expect=4)
    assert "AOS-3101" in printed
    assert "aos agent" in printed
    wrong = aos("runs", "ls", expect=4, AOS_API_KEY="aos_12345678_" + "x" * 43)
    assert "AOS-2002" in wrong


def test_a_run_is_submitted_as_a_ray_job(node: dict[str, str], home: Path, site: DemoSite) -> None:
    goal = f"Fetch {site.url('/tides')}, extract the tables"
    done = subprocess.run(
        [
            SCRIPTS / "ray", "job", "submit", "--address", node["dashboard_url"],
            "--", "aos", "run", f"'{goal}'", "--agent", "researcher", "--watch",
        ],
        capture_output=True, text=True, timeout=120, check=False,
        env={
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(home / "ray-token"),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "html_extract@1.0.0" in done.stdout
    assert "completed" in done.stdout


def test_the_port_is_taken(node: dict[str, str]) -> None:
    port = node["url"].rpartition(":")[2]
    with own_home(AOS_HTTP_PORT=port):
        printed = aos("up", expect=1)
        aos("down")
    assert "AOS-6101" in printed
    assert port in printed


def test_postgres_cannot_be_reached(home: Path) -> None:
    with own_home(DATABASE_URL="postgresql://nobody:secret@127.0.0.1:9/none"):
        printed = aos("up", expect=1)
    assert "AOS-5001" in printed
    assert "secret" not in printed


def test_the_data_directory_is_of_a_newer_version(node: dict[str, str], home: Path) -> None:
    async def write(statement: str) -> None:
        async with Database(dsn_of(load())) as database:
            await database.execute(statement)

    future = "INSERT INTO schema_migrations (version, name, checksum) VALUES (9999, 'f', 'x')"
    asyncio.run(write(future))
    try:
        with own_home(DATABASE_URL=dsn_of(load()), **FRUGAL):
            printed = aos("up", expect=1)
    finally:
        asyncio.run(write("DELETE FROM schema_migrations WHERE version = 9999"))
    assert "AOS-5006" in printed


def test_down_leaves_nothing_and_up_finds_everything(node: dict[str, str], home: Path) -> None:
    aos("down")
    left = [
        process.info["cmdline"]
        for process in psutil.process_iter(["cmdline", "environ"])
        if str(home) in " ".join(process.info["cmdline"] or [])
        or (
            (process.info["environ"] or {}).get("AOS_HOME") == str(home)
            and process.pid != os.getpid()
        )
    ]
    assert not left
    aos("up")
    runs = json.loads(aos("runs", "ls", "--json"))["items"]
    assert {run["status"] for run in runs} == {"completed"}


def test_a_setting_that_does_not_exist_is_refused(home: Path) -> None:
    with own_home(**FRUGAL) as other:
        (other / "aos.toml").write_text("agent_warm_hots = 3\n")
        printed = aos("up", expect=2)
    assert "AOS-1001" in printed
    assert re.search(r"agent_warm_hots", printed)


def test_ray_cannot_start(home: Path) -> None:
    with own_home(**FRUGAL):
        in_the_way = ray_directory(load())
        in_the_way.write_text("a file where Ray wants its directory")
        try:
            printed = aos("up", expect=1)
        finally:
            in_the_way.unlink()
            aos("down")
    assert "AOS-6001" in printed
    assert "aos doctor" in printed


def test_a_ray_cluster_that_is_not_there(home: Path) -> None:
    with own_home(AOS_RAY_ADDRESS="127.0.0.1:9"):
        printed = aos("up", expect=1)
        aos("down")
    assert "AOS-6002" in printed
