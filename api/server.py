"""The HTTP front as a process: a plain class that the supervision tree runs as a Ray actor.

Its constructor does nothing that can fail, because Ray reports a failed constructor as a dead
actor and loses the reason; `start` answers with the reason. uvicorn serves in the actor's own event
loop and leaves signals alone: the process belongs to its supervisor.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import uvicorn

from ..cluster.postgres import Database, dsn_of
from ..cluster.settings import Settings, load
from ..cluster.telemetry import configure
from .app import create_app
from .bell import EngineDoorbell
from .doorbell import Doorbell
from .errors import PortTaken
from .follow import Follower

_CONNECTIONS = 8
_GRACE_SECONDS = 1


class HttpFront:
    """Serves the API until it is stopped or dies.

    By default settings and database are those of `$AOS_HOME`, supervisors are told of new runs
    through Ray, and logs go to `$AOS_HOME/logs/http.jsonl`.
    """

    def __init__(
        self,
        settings_json: str = "{}",
        dsn: str | None = None,
        doorbell: Doorbell | None = None,
        log_file: bool = True,
    ) -> None:
        self._settings_json = settings_json
        self._dsn = dsn
        self._doorbell = doorbell
        self._log_file = log_file
        self._server: _Server | None = None
        self._follower: Follower | None = None
        self._serving: asyncio.Task[None] | None = None
        self._url = ""

    async def start(self) -> dict[str, Any]:
        """Listen, and say where. Raises `PortTaken`; starting twice is fine."""
        if self._server is None:
            settings = load(**json.loads(self._settings_json))
            listener = _listen(settings.http_host, settings.http_port)
            if self._log_file:
                logs = settings.home / "logs"
                logs.mkdir(parents=True, exist_ok=True)
                configure(settings.log_level, file=logs / "http.jsonl")
            self._url = _url(settings.http_host, listener.getsockname()[1])
            await self._serve(settings, listener)
        return {"url": self._url, "pid": os.getpid(), "kind": "http"}

    async def watch(self) -> None:
        """Never returns: the supervisor's pending call, which fails when this process dies."""
        await asyncio.Event().wait()

    async def ping(self) -> dict[str, Any]:
        """Alive, and where."""
        return {"url": self._url, "pid": os.getpid()}

    async def report(self) -> dict[str, Any]:
        """What the supervision tree shows of it."""
        streams = self._follower.streams if self._follower else 0
        return {"url": self._url, "pid": os.getpid(), "streams": streams}

    async def stop(self) -> None:
        """End the event streams, finish the requests under way, and return when all is closed."""
        if self._server is None or self._serving is None or self._follower is None:
            return
        await self._follower.close()
        self._server.should_exit = True
        await self._serving
        self._server = self._serving = None

    async def _serve(self, settings: Settings, listener: socket.socket) -> None:
        database = Database(
            self._dsn or dsn_of(settings),
            max_connections=_CONNECTIONS,
            application_name="aos-http",
        )
        app = create_app(settings, database, doorbell=self._doorbell or EngineDoorbell())
        self._server = _Server(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                ws="none",
                lifespan="on",
                timeout_graceful_shutdown=_GRACE_SECONDS,
            )
        )
        self._follower = app.state.services.follower
        self._serving = asyncio.create_task(self._server.serve(sockets=[listener]))
        listening = asyncio.create_task(self._server.listening.wait())
        await asyncio.wait({self._serving, listening}, return_when=asyncio.FIRST_COMPLETED)
        if self._serving.done():
            listening.cancel()
            await self._serving


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers, and with an event for being up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the process's signals alone."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Come up, and say so."""
        await super().startup(sockets)
        self.listening.set()


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket. Raises `PortTaken`."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"something listens on port {port} of {host} already") from None
        raise
    listener.setblocking(False)
    return listener


def _url(host: str, port: int) -> str:
    """Where a client on this machine reaches it."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - not bound here
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
