"""A real AOS for tests: embedded Postgres, Ray, tree, HTTP front, in a home of its own."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aos.api.cli.lifecycle import running, start_node, stop_node
from aos.api.client import AosClient
from aos.api.client.errors import NotRunning
from aos.api.client.models import RunEvent
from aos.api.demo.site import DemoSite
from aos.cluster.environment import ray_directory
from aos.cluster.postgres import Database, dsn_of
from aos.cluster.settings import InvalidSettings, Settings, load

FRUGAL = {"AOS_AGENT_WARM_HOSTS": "1", "AOS_SKILL_SPARE_WORKERS": "1"}
"""For an AOS that does little: each process kept ready costs a second of the machine."""


@dataclass
class RunningAos:
    """Its settings, a client, a web site that its agents may fetch, and where faults are armed."""

    settings: Settings
    client: AosClient
    site: DemoSite
    faults: Path
    info: dict[str, Any]

    def database(self) -> Database:
        """A new connection to its database."""
        return Database(dsn_of(self.settings), application_name="test")

    def pid_of(self, *path: str) -> int:
        """The process of a member of the tree: `pid_of("front")`, `pid_of("agents")`, `pid_of()`
        for the root.
        """
        tree = self.client.status().tree
        assert tree is not None, "the root supervisor does not answer"
        for name in path:
            tree = next(child for child in tree["children"] if child["id"] == name)
        return int(tree.get("pid", 0))  # 0: it is being started

    def is_reachable(self) -> bool:
        """Whether the HTTP front answers; while it is being replaced nothing listens."""
        try:
            self.client.status()
        except NotRunning:
            return False
        return True

    @property
    def manager(self) -> dict[str, Any]:
        """The host manager of this machine, as the tree shows it; empty while it is started."""
        tree = self.client.status().tree
        assert tree is not None, "the root supervisor does not answer"
        hosts = next(child for child in tree["children"] if child["id"] == "hosts")
        return next((c for c in hosts.get("children", []) if c["id"].startswith("hosts:")), {})

    def follow(self, run_id: Any, until: Callable[[RunEvent], bool]) -> RunEvent:
        """The first event of a run that is wanted, as it happens."""
        for event in self.client.runs.events(run_id, timeout=60):
            if until(event):
                return event
        raise AssertionError("the run ended without that event")


@contextmanager
def own_home(**environment: str) -> Iterator[Path]:
    """A home under /tmp (socket paths are short) that Postgres's user can enter, in the
    environment of this process and of all that it starts.
    """
    home = Path(tempfile.mkdtemp(prefix="aos-", dir="/tmp"))
    home.chmod(0o711)
    try:
        with _in_home(home, environment):
            yield home
    finally:
        with _in_home(home, environment), suppress(InvalidSettings):  # some tests break them
            shutil.rmtree(ray_directory(load()), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def _in_home(home: Path, environment: dict[str, str]) -> Iterator[None]:
    foreign = ("AOS_URL", "AOS_API_KEY", "DATABASE_URL", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL")
    ours = {
        "AOS_HOME": str(home),
        "AOS_HTTP_PORT": "0",
        "AOS_RAY_DASHBOARD_PORT": "0",
        **environment,
    }
    with patch.dict(os.environ):
        for name in foreign:
            os.environ.pop(name, None)
        os.environ.update(ours)
        yield


@contextmanager
def running_aos(site: DemoSite, **environment: str) -> Iterator[RunningAos]:
    """AOS from start to stop. The environment is its own: tests that run meanwhile keep theirs."""
    home = Path(tempfile.mkdtemp(prefix="aos-", dir="/tmp"))
    home.chmod(0o711)
    faults = home / "faults"
    faults.mkdir()
    given = {
        "AOS_PRIVATE_HOSTS_ALLOWED": f'["{site.address}"]',
        "AOS_FAULTS_DIR": str(faults),
        **environment,
    }
    with _in_home(home, given):
        settings = load()
    try:
        with _in_home(home, given):
            for _ in start_node(settings):
                pass
            info = running(settings)
            assert info is not None
            client = AosClient()
        with client:
            yield RunningAos(settings, client, site, faults, info)
    finally:
        stop_node(settings)
        shutil.rmtree(ray_directory(settings), ignore_errors=True)
        shutil.rmtree(home, ignore_errors=True)


def kill(pid: int) -> None:
    """SIGKILL one process, by id."""
    assert pid > 1, "zero is the caller's own process group"
    os.kill(pid, signal.SIGKILL)


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for a state of the outside world that nothing announces."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.02)
