"""The process behind `aos up`: it owns the machine's Ray, and keeps Postgres and the root alive.

Everything that AOS starts on a machine hangs on this process or is found by it: Ray's processes
end when it does, even by SIGKILL; the embedded Postgres does not, on purpose, and the next `aos up`
finds it. It is a plain driver without a runtime environment, so the detached root that it makes
carries none. It says what it does as JSON lines on standard output until it is ready; then nobody
listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..cluster import engine
from ..cluster.errors import AosError, EngineError
from ..cluster.identity import DEFAULT_TENANT, Role
from ..cluster.postgres import Database, EmbeddedPostgres, dsn_of, migrate
from ..cluster.settings import Settings, load
from ..cluster.telemetry import configure, logger
from ..supervisors.liveness import Patience, Pulse, felt
from ..supervisors.tree import ROOT, actor_name
from .auth import KeyInvalid, KeyStore
from .composition import FRONT
from .errors import PortTaken

ROOT_ACTOR = "aos.supervisors.root:RootSupervisor"

_DATABASE_SECONDS = 15.0
_ROOT_SECONDS = 40.0
_PING_SECONDS = 3.0
_READY_SECONDS = 30.0
_STOP_SECONDS = 6.0
_KEEP_INTERVAL = 0.5

log = logger(__name__)


class AlreadyUp(EngineError):
    """Another process holds this home."""

    code = "AOS-6110"
    title = "AOS is starting or running in this home already."
    next_action = "Look with `aos status`; stop it with `aos down`, or use another AOS_HOME."


class FrontFailed(EngineError):
    """The tree came up and the HTTP front does not answer."""

    code = "AOS-6111"
    title = "The HTTP front did not come up."
    next_action = "Read $AOS_HOME/logs/supervisors.jsonl: it says why the front ended."


def main() -> int:
    """Run the node until it is told to stop. The exit code is 0 for a clean stop."""
    try:
        settings = load()
        settings.home.mkdir(parents=True, exist_ok=True, mode=0o711)
        (settings.home / "logs").mkdir(exist_ok=True)
        configure(settings.log_level, file=settings.home / "logs" / "node.jsonl")
        with _single(settings.home):
            asyncio.run(_Node(_with_port(settings)).live())
    except AosError as error:
        _say(failed=error.code, detail=error.detail, next_action=error.next_action)
        return 1
    return 0


class _Node:
    """The order of things: Postgres, schema, key, Ray, root, front. Stopped in reverse."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told_to_stop = asyncio.Event()
        self._began = time.monotonic()
        self._info: dict[str, Any] = {}

    async def live(self) -> None:
        """Start everything, keep it, stop everything."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop.set)
        node_file = self._settings.home / "node.json"
        try:
            async with self._postgres(), self._ray():
                root = await self._tree()
                await self._front()
                _write_private(node_file, json.dumps(self._info))
                _say(ready=self._info, seconds=round(time.monotonic() - self._began, 2))
                _be_silent()
                await self._keep(root)
        finally:
            node_file.unlink(missing_ok=True)

    @contextlib.asynccontextmanager
    async def _postgres(self) -> AsyncGenerator[None]:
        settings = self._settings
        embedded = (
            EmbeddedPostgres(settings.home, os_user=settings.postgres_os_user)
            if settings.embedded
            else None
        )
        self._embedded = embedded
        _say(step="postgres", detail="embedded" if embedded else "DATABASE_URL")
        if embedded is not None:
            await embedded.start()
        try:
            database = Database(dsn_of(settings), application_name="aos-node")
            try:
                await database.wait_ready(_DATABASE_SECONDS)
                applied = await migrate(database)
                _say(step="schema", detail=f"{len(applied)} migrations applied")
                await _ensure_key(KeyStore(database), settings.home / "credentials")
            finally:
                await database.close()
            yield
        finally:
            if embedded is not None:
                await embedded.stop()

    @contextlib.asynccontextmanager
    async def _ray(self) -> AsyncGenerator[None]:
        settings = self._settings
        _say(step="ray", detail=settings.ray_address or "local")
        if settings.ray_address:
            cluster = await asyncio.to_thread(engine.connect, settings)
        else:
            cluster = engine.start(settings)
        self._info |= {
            "pid": os.getpid(),
            "instance": settings.instance,
            "ray_address": cluster.address,
            "dashboard_url": cluster.dashboard_url,
            "started_at": datetime.now(UTC).isoformat(),
        }
        try:
            yield
        finally:
            with contextlib.suppress(AosError):
                if (root := engine.find(actor_name(ROOT))) is not None:
                    await root.call("stop", timeout=_STOP_SECONDS)
            engine.shutdown()

    async def _tree(self) -> engine.ActorRef:
        _say(step="tree", detail="root supervisor")
        name = actor_name(ROOT)
        root = engine.find(name) or self._spawn_root()
        await root.call("start", timeout=_ROOT_SECONDS)
        return root

    def _spawn_root(self) -> engine.ActorRef:
        options = engine.ActorOptions(name=actor_name(ROOT), restarted_by_ray=True)
        return engine.spawn(ROOT_ACTOR, FRONT, options=options)

    async def _front(self) -> None:
        import httpx  # noqa: PLC0415 - once, and only here

        settings = self._settings
        url = f"http://{settings.http_host}:{settings.http_port}"
        _say(step="http", detail=url)
        deadline = time.monotonic() + _READY_SECONDS
        async with httpx.AsyncClient(trust_env=False, timeout=2.0) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{url}/ready")).is_success:
                        break
                if time.monotonic() > deadline:
                    raise FrontFailed(f"{url}/ready did not answer within {_READY_SECONDS:g} s")
                await asyncio.sleep(0.05)
        self._info["url"] = url

    async def _keep(self, root: engine.ActorRef) -> None:
        """Until told to stop: what nobody else watches is put back when it is gone, or hangs."""
        patience = Patience(answer_within=timedelta(seconds=_PING_SECONDS))
        pulse = Pulse()
        while not self._told_to_stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_stop.wait(), _KEEP_INTERVAL)
                return
            try:
                if self._embedded is not None and not self._embedded.status().running:
                    log.warning("postgres is gone, starting it")
                    await self._embedded.start()
                await root.call("ping", timeout=_PING_SECONDS)
                pulse = Pulse()
            except engine.ActorSilent:
                pulse = felt(pulse, None, patience)
                if pulse.hangs(patience):
                    log.warning("the root hangs, ending it", reason=pulse.reason)
                    root.kill()
            except engine.ActorGone as error:
                pulse = Pulse()
                log.warning("the root is gone, making a new one", detail=error.detail)
                with contextlib.suppress(ValueError):  # its name may be taken a moment longer
                    root = self._spawn_root()
            except Exception as error:  # whatever it is, this process must outlive it: it owns Ray
                log.warning("keeping", error=repr(error))


async def _ensure_key(keys: KeyStore, file: Path) -> None:
    """The key that this machine's command line uses: made once, kept readable by its owner only."""
    with contextlib.suppress(FileNotFoundError, KeyInvalid, ValueError, KeyError):
        await keys.authenticate(_read(file)["api_key"])
        return
    key = await keys.create(DEFAULT_TENANT, Role.ADMIN, f"aos up on {socket.gethostname()}")
    _write_private(file, json.dumps({"api_key": key}))
    _say(step="key", detail=str(file))


def _read(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(file.read_text())
    return content


def _write_private(file: Path, text: str) -> None:
    """Replace a file whole: a reader sees the old or the new text, and nobody else sees either."""
    fresh = file.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    fresh.replace(file)


@contextlib.contextmanager
def _single(home: Path) -> Generator[None]:
    """One node per home; the lock goes with the process."""
    with (home / "node.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyUp(f"another process is starting or running AOS in {home}") from None
        yield


def _with_port(settings: Settings) -> Settings:
    """The settings with a port that is free now. The environment tells it to the cluster."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.http_host, settings.http_port))
        except OSError as error:
            raise PortTaken(
                f"{settings.http_host}:{settings.http_port} cannot be used: {error.strerror}"
            ) from None
        port = probe.getsockname()[1]
    os.environ["AOS_HTTP_PORT"] = str(port)
    return settings.model_copy(update={"http_port": port})


def _say(**facts: Any) -> None:
    print(json.dumps(facts, default=str), flush=True)  # noqa: T201 - the parent reads it


def _be_silent() -> None:
    """The parent has what it waited for and goes: writing to its pipe would end us."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, sys.stdout.fileno())
    os.close(devnull)


if __name__ == "__main__":
    raise SystemExit(main())
