"""The Ray actor: a thin shell around the run machine.

It starts blank and is given its identity by `activate`, so that spare processes can be kept warm;
`deactivate` takes it away again, and the process can be another agent of the same tenant.
From then on one loop takes up the agent's unfinished runs, new ones as well as those that an
earlier activation left, and drives each to its end. The process ends itself when it learns that it
is no longer the agent (exit code 70) or when something unexpected happened (71), such as running
into its memory limit: its state may be corrupt, and what matters is in the journal. Its supervisor
is told which, within milliseconds.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any
from uuid import UUID

import psutil

from ..cluster import faults
from ..cluster.engine import TaskOptions, call_self, own_node, stream
from ..cluster.errors import SupervisionError
from ..cluster.memory import MIB, Rank, limit, take_rank
from ..cluster.postgres import Database, dsn_of
from ..cluster.priority import come_first
from ..cluster.settings import Settings, load
from ..cluster.telemetry import configure
from .activation import Activation
from .farewell import Farewell
from .pace import Pace
from .pulse import Pulse
from .rehearsal import rehearse
from .worker import PREPARE, registry


class AlreadyActivated(SupervisionError):
    """The process is an agent already: another one, or this one at another epoch."""

    code = "AOS-4002"
    title = "This process is an agent already."
    next_action = "Nothing: the supervisor uses another process."


class AgentActor:
    """One process, one agent at a time. Every method but `watch` and `drain` answers at once."""

    def __init__(self) -> None:
        take_rank(Rank.AGENT)
        come_first()
        self._settings: Settings | None = None
        self._database: Database | None = None
        self._activation: Activation | None = None
        self._pulse = Pulse()
        self._farewell = Farewell()
        self._pace = Pace()

    async def prepare(self) -> dict[str, Any]:
        """Become warm: settings and skills read, database connected, one task sent through Ray."""
        settings = self._ready()
        self._pulse.begin(settings.orphan_seconds)
        async for _ in stream(PREPARE, "0", TaskOptions(name="prepare", cpus=0.5)):
            pass
        await rehearse(self._connected(settings), registry().catalog())
        return {"pid": os.getpid(), "node": own_node()}

    async def activate(
        self, agent_id: str, tenant: str, epoch: int, leaves: bool, name: str
    ) -> None:
        """Become this agent at this epoch. Returns before any run is taken up. `leaves`: end when
        at least one run was driven and none is left. `name`: the agent's, for Ray's views.
        """
        if self._activation is not None:
            raise AlreadyActivated(f"asked to be {agent_id}")
        settings = self._ready()
        database = self._connected(settings)
        # What the process has now is Python and what is shared by all agents; growth is this one's.
        limit(settings.agent_memory_mb * MIB or None)
        self._activation = Activation(
            settings, database, UUID(agent_id), tenant, epoch, self._farewell, self._pace
        )
        self._activation.leaves = leaves
        asyncio.get_running_loop().set_exception_handler(self._activation.on_loop_error)
        self._activation.start()
        call_self("live", name=f"agent:{tenant}/{name}")
        faults.point("agent.activated", about=agent_id)

    async def wake(self) -> None:
        """Look for runs now. A hint: without it they are found within a second."""
        if self._activation is not None:
            self._activation.woken.set()

    async def drain(self, seconds: float) -> None:
        """Begin nothing more, and return when what is under way has come to its end, or time is up.
        The process is ended after this.
        """
        if self._activation is not None:
            await self._activation.drain(seconds)

    async def deactivate(self) -> dict[str, Any]:
        """Be nobody again. Raises `StillBusy`."""
        if self._activation is not None:
            self._activation.end()
            self._activation = None
        return self._about()

    async def live(self) -> None:
        """Return when this process is the agent no more. The call does nothing but carry the
        agent's name in Ray's views, which know the process by another.
        """
        if self._activation is not None:
            await self._activation.over.wait()

    async def whoami(self) -> dict[str, Any]:
        """Who this process is and what it is doing."""
        return self._about()

    async def beat(self) -> dict[str, Any]:
        """A sign of life, called in the control thread: `lag_s` tells how long the event loop that
        does the work has stood still.
        """
        return {**self._about(), "lag_s": self._pulse.beat()}

    def _about(self) -> dict[str, Any]:
        activation = self._activation
        return {
            "pid": os.getpid(),
            "agent_id": str(activation.agent_id) if activation else None,
            "epoch": activation.epoch if activation else 0,
            "runs": len(activation.drivers) if activation else 0,
            "idle_s": activation.idle_seconds() if activation else 0.0,
            "rss": psutil.Process().memory_info().rss,
        }

    async def watch(self, heard: bool = False) -> dict[str, str]:
        """Answered only when this process leaves by itself, with its `Exit.last_word`; to callers
        that have `heard` it never. Any other end they learn of by the call's failure.
        """
        return await self._farewell.watch(heard)

    def _ready(self) -> Settings:
        if self._settings is None:
            self._settings = load()
            logs = self._settings.home / "logs"
            logs.mkdir(parents=True, exist_ok=True)
            configure(self._settings.log_level, file=logs / "agents.jsonl")
        return self._settings

    def _connected(self, settings: Settings) -> Database:
        if self._database is None:
            self._database = Database(dsn_of(settings), application_name="aos-agent")
        return self._database
