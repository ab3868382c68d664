"""The root supervisor: the one actor that Ray brings back, because nobody stands above it."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from ..cluster.engine import call_self
from ..cluster.exits import Exit, ExitReason
from ..cluster.postgres import Database, dsn_of
from ..cluster.settings import Settings, load
from ..cluster.telemetry import configure, logger
from .actor_child import ActorStarter
from .children import Running
from .heartbeat import patience
from .hosts.nodes import watch_nodes
from .hosts.store import HostStore
from .janitor import Janitor
from .nested import NestedSupervisor
from .services import Service
from .spec import ChildSpec, ChildType
from .store import EventRecorder
from .supervisor import Supervisor
from .tree import HOSTS, JANITOR, NODES, ROOT, hosts, root

_EXIT_GAVE_UP = 72

log = logger(__name__)


class RootStarter:
    """Starts the root's children and those of `hosts`: actors, services, a nested supervisor."""

    def __init__(self, settings: Settings, recorder: EventRecorder, database: Database) -> None:
        self._recorder = recorder
        self._actors = ActorStarter(patience(settings))
        kept = timedelta(days=settings.supervision_events_days)
        self._janitor = Janitor(HostStore(database), settings, partial(recorder.trim, kept))
        self._hosts: Supervisor[Any] | None = None

    async def start(self, spec: ChildSpec) -> Running:
        """Start the child, or adopt the actor that lives."""
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
            case _:
                return await self._actors.start(spec)

    async def progressed(self, spec: ChildSpec) -> bool:
        """The tree's own members are judged by how often they end alone, as in OTP."""
        del spec
        return False


class RootSupervisor:
    """The Ray actor. `front`: the dotted path of the HTTP front."""

    def __init__(self, front: str) -> None:
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
        starter = RootStarter(settings, recorder, database)
        self._supervisor: Supervisor[Running] = Supervisor(
            root(self._front), starter, recorder.record
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
