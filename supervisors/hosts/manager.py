"""The manager of one machine's host processes: makes them, keeps some warm, vouches for them.

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
import signal
from contextlib import suppress
from datetime import timedelta
from typing import Any

from ...cluster.engine import ActorOptions, find, own_node, spawn
from ...cluster.exits import Exit, ExitReason
from ...cluster.ids import new_id
from ...cluster.postgres import Database, dsn_of
from ...cluster.priority import come_first
from ...cluster.settings import load
from ...cluster.telemetry import configure, logger
from ..heartbeat import patience, until_ended
from ..tree import AGENTS, actor_name
from .governing import govern
from .pool import (
    Pool,
    added,
    blank,
    choose,
    gave_back,
    gone,
    promised,
    shortfall,
    surplus,
    took,
    used,
    worn_out,
)
from .process import HostProcess, leases_of, limits_of
from .store import HostStore
from .vouching import Voucher
from .workers import fill_workers

_AGENT_ACTOR = "aos.actors.agent:AgentActor"
_QUEUE_SECONDS = 10.0
_PREPARE_SECONDS = 40.0
"""Together less than the callers' patience, `access.TAKE_SECONDS`."""
_PLACE_SECONDS = 20.0
"""For a process with resources of its own: what is not placed by then waits for others to end."""
_REFILL_PAUSE = 1.0
_SETTLE_SECONDS = 0.5
"""A host is taken because something happens: that comes first, making new processes after it."""
_REMEMBERED = 200

log = logger(__name__)


class HostManager:
    """The Ray actor. Every method but `take` answers at once."""

    def __init__(self) -> None:
        come_first()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pool = Pool()
        self._processes: dict[str, HostProcess] = {}
        self._in_making: set[str] = set()
        self._reasons: dict[str, Exit] = {}
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
            self._limits = limits_of(self._settings)
            self._patience = patience(self._settings)
            self._node = own_node()
            database = Database(dsn_of(self._settings), application_name="aos-hosts")
            lease = timedelta(seconds=self._settings.lease_seconds)
            self._voucher = Voucher(
                HostStore(database), self._node, lease,
                lambda: leases_of(self._processes, self._pool),
            )  # fmt: skip
            self._spawn(self._keep_ready())
            self._spawn(self._voucher.run())
            budget = self._settings.memory_budget_mb
            self._spawn(govern(self._idle, self._passivate, self._kill, budget))
        return {"pid": os.getpid(), "kind": "manager", "node": self._node}

    async def ping(self) -> dict[str, Any]:
        """Whether this process serves."""
        return {"pid": os.getpid(), "serving": bool(self._tasks)}

    async def take(self, tenant: str) -> dict[str, Any] | None:
        """A host for an agent of a tenant: a free one, else a new one. None: so many are being made
        that the caller would have given up before its turn, and nobody would own what it gets.
        """
        name = choose(self._pool, tenant) or await self._made_for(tenant)
        return None if name is None else self._took(name, tenant)

    async def take_used(self, tenant: str) -> dict[str, Any] | None:
        """A free host that served this tenant before, if there is one."""
        name = used(self._pool, tenant)
        return None if name is None else self._took(name, tenant)

    async def promise(self) -> dict[str, Any] | None:
        """A blank host that is kept for the caller until it says for whom it has `assign`ed it."""
        name = blank(self._pool)
        if name is None:
            return None
        self._pool = promised(self._pool, name)
        return self._processes[name].about()

    async def assign(self, name: str, tenant: str) -> None:
        """The agents' supervisor makes use of what it was promised."""
        if name in self._pool.members:
            self._took(name, tenant)

    async def make_dedicated(self, options: ActorOptions) -> dict[str, Any]:
        """A process of its own, with resources of its own, for one agent."""
        process = await self._spawned(options, seconds=_PLACE_SECONDS)
        process.dedicated = True
        return process.about()

    async def give_back(self, name: str, rss_bytes: int) -> None:
        """A host is an agent no more: keep it for its tenant, or end it."""
        process = self._processes.get(name)
        if process is None or name not in self._pool.members:
            return
        why = worn_out(self._pool.members[name], rss_bytes, self._limits)
        if why is not None:
            self._end(name, Exit(ExitReason.SHUTDOWN, f"recycled: {why}"))
            return
        self._pool = gave_back(self._pool, name)
        for spare in surplus(self._pool, self._limits):
            self._end(spare, Exit(ExitReason.SHUTDOWN, "not needed"))

    async def taken(self) -> list[dict[str, Any]]:
        """Hosts that were handed out or promised, and live."""
        members = self._pool.members
        return [
            process.about()
            for name, process in self._processes.items()
            if process.dedicated or (name in members and not members[name].free)
        ]

    async def beats(self) -> dict[str, dict[str, Any]]:
        """What each host last said of itself."""
        return {name: process.beat for name, process in self._processes.items()}

    async def hosts(self) -> list[str]:
        """The names of all hosts that live or are being made: they are not nobody's."""
        return [*self._processes, *self._in_making]

    async def why(self, name: str) -> dict[str, str] | None:
        """Why this manager ended a host, as an `Exit.last_word`; None if it did not."""
        reason = self._reasons.get(name)
        return None if reason is None else reason.last_word()

    async def report(self) -> dict[str, Any]:
        """Numbers for the tree."""
        return {
            "pid": os.getpid(),
            "warm": len(self._pool.members) - self._pool.taken,
            "taken": self._pool.taken,
            "dedicated": sum(process.dedicated for process in self._processes.values()),
            "ready": self._ready,
        }

    async def watch(self) -> None:
        """Never answer."""
        await asyncio.Event().wait()

    async def stop(self) -> None:
        """Make nothing more. The hosts end with this process."""
        for task in self._tasks:
            task.cancel()

    async def _made_for(self, tenant: str) -> str | None:
        try:
            async with asyncio.timeout(_QUEUE_SECONDS):
                await self._making.acquire()  # many at once starve each other, and those at work
        except TimeoutError:
            return None
        try:
            return choose(self._pool, tenant) or await self._make()
        finally:
            self._making.release()

    def _took(self, name: str, tenant: str) -> dict[str, Any]:
        self._pool = took(self._pool, name, tenant)
        self._changed.set()
        return self._processes[name].about()

    def _end(self, name: str, reason: Exit) -> None:
        self._reasons[name] = reason
        while len(self._reasons) > _REMEMBERED:
            del self._reasons[next(iter(self._reasons))]
        log.info("ending a host", host=name, reason=reason.reason, detail=reason.detail)
        self._pool = gone(self._pool, name)
        self._processes[name].ref.kill()

    def _idle(self) -> dict[int, float]:
        return {each.pid: each.beat.get("idle_s", 0.0) for each in self._processes.values()}

    def _passivate(self, pid: int, why: str) -> None:
        """The agents' supervisor decides: it asks the agent whether it is idle indeed."""
        del why
        hosts = [name for name, process in self._processes.items() if process.pid == pid]
        if hosts and (supervisor := find(actor_name(AGENTS))) is not None:
            supervisor.tell("shed", hosts)

    def _kill(self, pid: int, why: str) -> None:
        for name, process in self._processes.items():
            if process.pid == pid:
                self._end(name, Exit(ExitReason.OUT_OF_MEMORY, why))
                return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    async def _keep_ready(self) -> None:
        """Hosts and workers, one round after each change: from the start, when a host was taken,
        and when one ended, since Ray ends the workers of the calls that it had under way.
        """
        while True:
            self._changed.clear()
            self._ready = False
            try:
                while shortfall(self._pool, self._limits):
                    async with self._making:
                        await self._make()
                await fill_workers(self._settings.skill_spare_workers)
            except Exception as error:  # a bug or an outage in one round does not end the loop
                log.error("cannot make processes", error=repr(error))
                await asyncio.sleep(_REFILL_PAUSE)
                continue
            self._ready = not self._changed.is_set()
            await self._changed.wait()
            self._ready = False
            await asyncio.sleep(_SETTLE_SECONDS)

    async def _make(self) -> str:
        name = f"aos-host:{new_id().hex[-12:]}"
        options = ActorOptions(name=name, detached=False, node=self._node)
        await self._spawned(options)
        self._pool = added(self._pool, name)
        return name

    async def _spawned(
        self, options: ActorOptions, seconds: float = _PREPARE_SECONDS
    ) -> HostProcess:
        self._in_making.add(options.name)
        ref = spawn(_AGENT_ACTOR, options=options)
        try:
            about = await ref.call("prepare", timeout=seconds)
        except BaseException:
            ref.kill()
            raise
        finally:
            self._in_making.discard(options.name)
        process = HostProcess(ref, about["pid"], about["node"])
        self._processes[options.name] = process
        self._spawn(self._attend(process))
        return process

    async def _attend(self, process: HostProcess) -> None:
        """From a host's birth to its end: feel its pulse, then forget it."""
        name, bound = process.ref.name, self._patience.answer_within.total_seconds()

        async def ask() -> dict[str, Any]:
            beat: dict[str, Any] = await process.ref.call("beat", timeout=bound, control=True)
            return beat

        def heard(beat: dict[str, Any]) -> None:
            process.beat = beat

        ended = await until_ended(process.ref, ask, self._patience, heard)
        self._reasons.setdefault(name, ended)
        self._pool = gone(self._pool, name)
        self._processes.pop(name, None)
        self._voucher.ended.append(name)
        self._changed.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
