"""Host processes: the manager that owns them, and how the agents' supervisor asks for one.

All hosts of a machine are children of one manager, and are not detached. That decides how fast
steps start: Ray lets two actors share idle worker processes only if they descend from the same
detached actor (measured: with detached hosts, every host's first steps made worker processes of
their own, 0.6 s of CPU each; as children of one manager they find them ready). The price is that
the manager's end is the end of its hosts, so it runs no foreign code and does nothing per message;
agents resume from their journals. The agents' *supervisor* may die without any agent noticing.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..actors.worker import PREPARE
from ..cluster.engine import ActorGone, ActorOptions, ActorRef, TaskOptions, find, spawn, stream
from ..cluster.errors import AosError, Blame, SupervisionError
from ..cluster.exits import Exit, ExitReason
from ..cluster.ids import new_id
from ..cluster.settings import load
from ..cluster.telemetry import configure, logger
from .tree import HOSTS, actor_name

_AGENT_ACTOR = "aos.actors.agent:AgentActor"
_PREPARE_SECONDS = 60.0
_ANSWER_SECONDS = 5.0
_REFILL_PAUSE = 1.0
_SETTLE_SECONDS = 0.5
"""A host is taken because something happens: that comes first, making new processes after it."""
_HARDLY_ANY_CPU = 0.001
_HOLD_SECONDS = "0.3"

log = logger(__name__)


class NoHosts(SupervisionError):
    """The host manager is not there just now."""

    code = "AOS-4004"
    title = "No process for an agent can be had just now."
    next_action = "Nothing: it is asked for again. If it lasts, look at `aos status`."
    retryable = True
    blame = Blame.PLATFORM


@dataclass(frozen=True, slots=True)
class Host:
    """A process that can be, or is, an agent."""

    ref: ActorRef
    pid: int
    node: str

    async def watch(self, name: str | None = None) -> Exit:
        """Return when the process has ended. Losing touch is suspicion: it is asked before it is
        believed dead. `name`: who it is just now, for the Ray dashboard.
        """
        while True:
            exit_ = await self.ref.watch(name)
            if exit_.reason is not ExitReason.SUSPECT:
                return exit_
            try:
                await self.ref.call("whoami", timeout=_ANSWER_SECONDS)
            except AosError as error:
                self.ref.kill()
                return Exit(ExitReason.NODE_LOST, error.detail)


async def take_host(manager: ActorRef | None) -> tuple[Host, ActorRef]:
    """A blank host, and the manager it came from: to be given back with the next call, which saves
    a look-up. A manager that has died is looked up again. Raises `NoHosts`.
    """
    if manager is not None:
        with suppress(ActorGone):
            return _host(await manager.call("take", timeout=_PREPARE_SECONDS)), manager
    manager = find(actor_name(HOSTS))
    if manager is None:
        raise NoHosts("the host manager is being restarted")
    return _host(await manager.call("take", timeout=_PREPARE_SECONDS)), manager


async def living_hosts() -> list[tuple[Host, dict[str, Any]]]:
    """Hosts that are agents, with what they say they are: what a new supervisor process adopts."""
    manager = find(actor_name(HOSTS))
    if manager is None:
        return []
    found: list[tuple[Host, dict[str, Any]]] = []
    for about in await manager.call("taken", timeout=_ANSWER_SECONDS):
        host = _host(about)
        try:
            found.append((host, await host.ref.call("whoami", timeout=_ANSWER_SECONDS)))
        except AosError as error:
            log.warning("host does not answer, ending it", host=about["name"], detail=error.detail)
            host.ref.kill()
    return found


def _host(about: dict[str, Any]) -> Host:
    ref = find(about["name"])
    if ref is None:
        raise NoHosts(f"host {about['name']} ended before it was used")
    return Host(ref, about["pid"], about["node"])


class HostManager:
    """The Ray actor: keeps warm hosts and idle workers ready, and owns all hosts of its machine."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []
        self._warm: list[Host] = []
        self._taken: dict[str, Host] = {}
        self._changed = asyncio.Event()
        self._ready = False
        self._making = asyncio.Semaphore(os.cpu_count() or 1)

    async def start(self) -> dict[str, Any]:
        """Begin to fill the pool. Asking again changes nothing."""
        if not self._tasks:
            self._settings = load()
            logs = self._settings.home / "logs"
            logs.mkdir(parents=True, exist_ok=True)
            configure(self._settings.log_level, file=logs / "supervisors.jsonl")
            self._tasks = [
                asyncio.create_task(self._keep_ready()),
            ]
        return {"pid": os.getpid(), "kind": "manager"}

    async def ping(self) -> dict[str, Any]:
        """Whether this process serves."""
        return {"pid": os.getpid(), "serving": bool(self._tasks)}

    async def take(self) -> dict[str, Any]:
        """A blank host: a warm one, else a new one."""
        if self._warm:
            host = self._warm.pop(0)
        else:
            async with self._making:  # many at once would starve each other, and those at work
                host = await self._make()
        self._taken[host.ref.name] = host
        self._changed.set()
        return _about(host)

    async def taken(self) -> list[dict[str, Any]]:
        """Hosts that were handed out and live."""
        return [_about(host) for host in self._taken.values()]

    async def report(self) -> dict[str, Any]:
        """Numbers for the tree."""
        return {
            "pid": os.getpid(),
            "warm": len(self._warm),
            "taken": len(self._taken),
            "ready": self._ready,
        }

    async def watch(self) -> None:
        """Never answer."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """Make nothing more. The hosts end with this process."""
        for task in self._tasks:
            task.cancel()

    async def _keep_ready(self) -> None:
        """Hosts and workers, one round after each change: from the start, when a host was taken,
        and when one ended, since Ray ends the workers of the calls that it had under way.
        """
        while True:
            self._changed.clear()
            self._ready = False
            try:
                while len(self._warm) < self._settings.agent_warm_hosts:
                    self._warm.append(await self._make())
                await self._fill_workers()
            except Exception as error:  # a bug or an outage in one round does not end the loop
                log.error("cannot make processes", error=repr(error))
                await asyncio.sleep(_REFILL_PAUSE)
                continue
            self._ready = not self._changed.is_set()
            await self._changed.wait()
            self._ready = False
            await asyncio.sleep(_SETTLE_SECONDS)

    async def _fill_workers(self) -> None:
        async def one() -> None:
            options = TaskOptions(name="prepare", cpus=_HARDLY_ANY_CPU)
            async for _ in stream(PREPARE, _HOLD_SECONDS, options):
                pass

        spare = range(self._settings.skill_spare_workers)
        await asyncio.gather(*(one() for _ in spare), return_exceptions=True)

    async def _make(self) -> Host:
        name = f"aos-host:{new_id().hex[-12:]}"
        ref = spawn(_AGENT_ACTOR, options=ActorOptions(name=name, detached=False))
        try:
            about = await ref.call("prepare", timeout=_PREPARE_SECONDS)
        except BaseException:
            ref.kill()
            raise
        host = Host(ref, about["pid"], about["node"])
        self._tasks.append(asyncio.create_task(self._forget_when_dead(host)))
        return host

    async def _forget_when_dead(self, host: Host) -> None:
        await host.watch()
        self._taken.pop(host.ref.name, None)
        if host in self._warm:
            self._warm.remove(host)
        self._changed.set()
        self._tasks = [task for task in self._tasks if not task.done()]


def _about(host: Host) -> dict[str, Any]:
    return {"name": host.ref.name, "pid": host.pid, "node": host.node}
