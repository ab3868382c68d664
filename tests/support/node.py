"""A whole AOS that may be struck in any way, and brought back with `aos up`; its processes by what
they do. Only what hangs on this node, or is its own Postgres, is ever signalled: by process object,
so that a pid that was used again is not taken for the one that was meant.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from aos.api.cli.lifecycle import running, start_node, stop_node
from aos.api.client import AosClient
from aos.api.client.errors import NoCredentials, NotRunning
from aos.cluster.postgres import Database, EmbeddedPostgres, dsn_of
from aos.cluster.settings import Settings, load
from tests.support.running import own_home

TITLES = {
    "agent": "ray::AgentActor",
    "skill": "ray::skill:",
    "supervisor": "ray::AgentSupervisor",
    "root": "ray::RootSupervisor",
    "front": "ray::HttpFront",
    "manager": "ray::HostManager",
}
"""How Ray calls the processes of each role."""


class Node:
    """One home's AOS."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._client: AosClient | None = None

    def up(self) -> float:
        """`aos up`; in how many seconds it was."""
        began = time.monotonic()
        for _ in start_node(self.settings):
            pass
        self.renew()
        return time.monotonic() - began

    @property
    def client(self) -> AosClient:
        """A client of whoever answers now. Raises `NotRunning`."""
        if self._client is None:
            try:
                self._client = AosClient()
            except NoCredentials as error:
                raise NotRunning(str(error)) from error
        return self._client

    def renew(self) -> None:
        """Look again where the door is."""
        if self._client is not None:
            self._client.close()
        self._client = None

    def database(self, connections: int = 2) -> Database:
        """A new pool of connections."""
        return Database(
            dsn_of(self.settings), max_connections=connections, application_name="chaos"
        )

    @property
    def process(self) -> psutil.Process | None:
        """The node's own process."""
        info = running(self.settings)
        return psutil.Process(info["pid"]) if info else None

    @property
    def postmaster(self) -> psutil.Process | None:
        """Its Postgres."""
        pid = EmbeddedPostgres(self.settings.home).status().pid
        return psutil.Process(pid) if pid else None

    def all(self) -> list[psutil.Process]:
        """The node and all that hangs on it."""
        node = self.process
        if node is None:
            return []
        with suppress(psutil.Error):
            return [node, *node.children(recursive=True)]
        return []

    def those(self, role: str) -> list[psutil.Process]:
        """The processes of a role."""
        return [process for process in self.all() if _title(process).startswith(TITLES[role])]

    def lose_everything(self, postgres: bool) -> None:
        """SIGKILL of every process at once, with or without its Postgres, and wait until they are
        gone: those that were made meanwhile die of their raylet's end.
        """
        doomed = self.all()
        if postgres and (server := self.postmaster) is not None:
            doomed += [server, *server.children(recursive=True)]
        for process in doomed:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(doomed, timeout=20)


@contextmanager
def node(**environment: str) -> Iterator[Node]:
    """A node in a home of its own. Its environment holds for this whole process meanwhile."""
    with own_home(**environment) as home:
        (Path(home) / "faults").mkdir()
        served = Node(load())
        try:
            served.up()
            yield served
        finally:
            served.renew()
            stop_node(served.settings)


def _title(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return next(iter(process.cmdline()), "")
    return ""
