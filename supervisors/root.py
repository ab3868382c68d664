"""The root supervisor: the one actor that Ray brings back, because nobody stands above it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ..cluster.engine import call_self
from ..cluster.exits import Exit, ExitReason
from ..cluster.postgres import Database, dsn_of
from ..cluster.priority import come_first
from ..cluster.settings import Settings, load
from ..cluster.telemetry import configure, logger
from .actor_child import ActorStarter
from .children import Running
from .heartbeat import patience
from .hosts.nodes import watch_nodes
from .hosts.store import HostStore
from .janitor import Janitor
from .nested import NestedSupervisor
from .retention import RetentionService
from .services import Service
from .spec import ChildSpec, ChildType
from .store import EventRecorder
from .supervisor import Supervisor
from .tree import AGENTS, FRONT, HOSTS, JANITOR, NODES, RETENTION, ROOT, hosts, root

SERVED_SECONDS = 5.0

_EXIT_GAVE_UP = 72

log = logger(__name__)


class RootStarter:
    """Starts the root's children and those of `hosts`: actors, services, a nested supervisor."""

    def __init__(
        self,
        settings: Settings,
        recorder: EventRecorder,
        database: Database,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._recorder = recorder
        self._actors = ActorStarter(patience(settings))
        kept = timedelta(days=settings.supervision_events_days)
        self._janitor = Janitor(HostStore(database), settings, partial(recorder.trim, kept))
        self._hosts: Supervisor[Any] | None = None
        self._now = now
        self._up: dict[str, float] = {}
        self._settings = settings
        self._retention: RetentionService | None = None

    def retain(self) -> bool:
        """Have old runs removed now. False: there is no policy."""
        return self._retention is not None and self._retention.ask()

    async def start(self, spec: ChildSpec) -> Running:
        """Start the child, or adopt the actor that lives."""
        running = await self._start(spec)
        self._up[spec.id] = self._now()
        return running

    async def progressed(self, spec: ChildSpec) -> bool:
        """Whether the member that just ended had served: who came up and lived for some seconds was
        of use, so its next start need not wait. How often that may happen is bounded by the root's
        intensity; machines' managers, which nothing bounds together, keep their history.
        """
        since = self._up.pop(spec.id, None)
        bounded = spec.id in (HOSTS, AGENTS, JANITOR, RETENTION, FRONT)
        return bounded and since is not None and self._now() - since >= SERVED_SECONDS

    async def _start(self, spec: ChildSpec) -> Running:
        match spec.id:
            case child if child == HOSTS:
                self._hosts = Supervisor(hosts(), self, self._recorder.record)
                return await NestedSupervisor.start(self._hosts)
            case child if child == NODES and self._hosts is not None:
                supervisor = self._hosts
                return Service(lambda: watch_nodes(supervisor))
            case child if child == JANITOR:
                janitor = self._janitor
                return Service(janitor.run, lambda: {"swept": janitor.swept})
            case child if child == RETENTION:
                # A connection of its own: what it copies must not hold up what is recorded.
                removing = Database(dsn_of(self._settings), application_name="aos-retention")
                self._retention = RetentionService(removing, self._settings)
                return Service(self._retention.run, self._retention.describe)
            case _:
                return await self._actors.start(spec)


class RootSupervisor:
    """The Ray actor. `front`: the dotted path of the HTTP front."""

    def __init__(self, front: str) -> None:
        come_first()
        self._front = front
        self._tasks: list[asyncio.Task[Any]] = []
        self._starting: asyncio.Lock | None = None
        self._stopping = False
        # Ray that brings this actor back calls nothing but this.
        call_self("start")

    async def start(self) -> dict[str, Any]:
        """Start the tree, adopting what lives. Asking again changes nothing."""
        self._starting = self._starting or asyncio.Lock()
        async with self._starting:
            if not self._tasks:
                await self._begin()
        return {"pid": os.getpid(), "kind": "supervisor"}

    async def ping(self) -> dict[str, Any]:
        """Whether this process serves."""
        return {"pid": os.getpid(), "serving": bool(self._tasks)}

    async def report(self) -> dict[str, Any]:
        """The tree."""
        return {
            "id": ROOT,
            "kind": "supervisor",
            "type": ChildType.SUPERVISOR.value,
            "pid": os.getpid(),
            "state": "running",
            "since": self._since.isoformat(),
            "children": await self._supervisor.describe(),
        }

    async def retain(self) -> bool:
        """Have old runs removed now. False: there is no policy."""
        return self._starter.retain()

    async def watch(self) -> None:
        """Never answer."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """Stop the children in reverse order. The process itself is ended by whoever asks."""
        self._stopping = True
        await self._supervisor.stop(Exit(ExitReason.SHUTDOWN, "told to stop"))
        for task in self._tasks:
            task.cancel()

    async def _begin(self) -> None:
        self._since = datetime.now(UTC)
        settings = load()
        logs = settings.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        configure(settings.log_level, file=logs / "supervisors.jsonl")
        database = Database(dsn_of(settings), application_name="aos-root")
        recorder = EventRecorder(database)
        self._starter = RootStarter(settings, recorder, database)
        self._supervisor: Supervisor[Running] = Supervisor(
            root(self._front), self._starter, recorder.record
        )
        self._tasks = [
            asyncio.create_task(recorder.run()),
            asyncio.create_task(self._serve()),
        ]

    async def _serve(self) -> None:
        ended = await self._supervisor.run()
        if not self._stopping:
            log.error("the root gives up", reason=ended.detail)
            os._exit(_EXIT_GAVE_UP)  # Ray brings a new root, which starts with an empty window
