"""The root supervisor: the one actor that Ray brings back, because nobody stands above it."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from ..cluster.engine import (
    ActorGone,
    ActorOptions,
    ActorRef,
    call_self,
    find,
    spawn,
)
from ..cluster.errors import AosError
from ..cluster.exits import Exit, ExitReason
from ..cluster.postgres import Database, dsn_of
from ..cluster.settings import load
from ..cluster.telemetry import configure, logger
from .spec import ChildSpec, ChildType
from .store import EventRecorder
from .supervisor import Supervisor
from .tree import ROOT, actor_name, root

_PING_SECONDS = 5.0
_REPORT_SECONDS = 1.0
"""A child that hangs must not hang the tree: who looks at it waits two seconds."""
_START_SECONDS = 45.0
_STOP_SECONDS = 30.0
_NAME_SECONDS = 0.05
_EXIT_GAVE_UP = 72

log = logger(__name__)


class ActorChild:
    """A static child: a detached actor with a known name."""

    def __init__(self, ref: ActorRef, about: dict[str, Any]) -> None:
        self.ref, self._about = ref, about

    async def watch(self) -> Exit:
        """Return when the process has ended; being out of touch is asked about first."""
        while True:
            exit_ = await self.ref.watch()
            if exit_.reason is not ExitReason.SUSPECT:
                return exit_
            try:
                await self.ref.call("ping", timeout=_PING_SECONDS)
            except AosError as error:
                self.ref.kill()
                return Exit(ExitReason.NODE_LOST, error.detail)

    async def stop(self, seconds: float | None) -> None:
        """Ask it to stop, then end the process."""
        with suppress(AosError):  # it is ended either way
            await self.ref.call("stop", timeout=seconds or _STOP_SECONDS)
        self.ref.kill()

    async def describe(self) -> dict[str, Any]:
        """What it said when it started, and its own children if it has any."""
        try:
            return {**self._about, **await self.ref.call("report", timeout=_REPORT_SECONDS)}
        except AosError as error:
            return {**self._about, "unreachable": error.detail}


class ActorStarter:
    """Starts or adopts static children by name."""

    async def start(self, spec: ChildSpec) -> ActorChild:
        """The living actor of that name if it answers, else a new one; then its `start`."""
        name = actor_name(spec.id)
        while True:
            ref = find(name)
            try:
                ref = ref or spawn(spec.start, options=ActorOptions(name=name))
                return ActorChild(ref, await ref.call("start", timeout=_START_SECONDS))
            except (ActorGone, ValueError) as error:
                # A dead actor's name stays taken for a moment, and a twin may have been faster.
                if isinstance(error, ActorGone) and error.context["reason"] == "start_error":
                    raise
                await asyncio.sleep(_NAME_SECONDS)

    async def progressed(self, spec: ChildSpec) -> bool:
        """Static children are judged by the intensity alone, as in OTP."""
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
            "pid": os.getpid(),
            "kind": "supervisor",
            "type": ChildType.SUPERVISOR.value,
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
        await self._supervisor.stop()
        for task in self._tasks:
            task.cancel()

    async def _begin(self) -> None:
        self._since = datetime.now(UTC)
        settings = load()
        logs = settings.home / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        configure(settings.log_level, file=logs / "supervisors.jsonl")
        recorder = EventRecorder(Database(dsn_of(settings), application_name="aos-root"))
        self._supervisor = Supervisor(root(self._front), ActorStarter(), recorder.record)
        self._tasks = [
            asyncio.create_task(recorder.run()),
            asyncio.create_task(self._serve()),
        ]

    async def _serve(self) -> None:
        ended = await self._supervisor.run()
        if not self._stopping:
            log.error("the root gives up", reason=ended.detail)
            os._exit(_EXIT_GAVE_UP)  # Ray brings a new root, which starts with an empty window
