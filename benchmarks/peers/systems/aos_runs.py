"""AOS: runs submitted through its HTTP front by the SDK, and followed to their last event.

Everything is as it ships, settings included, and no fault point can be armed: with a directory for
them each passage of one looks for a file. Only the database is the harness's server.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import ExitStack
from pathlib import Path
from uuid import UUID
from zlib import crc32

from tests.support.running import own_home

from aos.api.cli.lifecycle import start_node, stop_node
from aos.api.client import AosClient, AsyncAosClient
from aos.cluster.settings import load
from aos.skills.contracts import AgentProfile, PlannerChoice, RunLimits

from ..system import Driven, drive_tasks, wake_tasks
from ..workload import Workload

PLUGIN = Path(__file__).parents[1] / "plugin"
_RUN_SECONDS = 300.0


class Aos:
    """A node with `agents` agents, over which runs are spread."""

    def __init__(self, agents: int) -> None:
        self._agents = agents
        self._stack = ExitStack()
        self._loop = asyncio.new_event_loop()
        self._parked: dict[str, UUID] = {}

    def start(self, dsn: str, workload: Workload, part: int) -> None:
        del part
        path = [str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])]
        given = {"DATABASE_URL": dsn, "PYTHONPATH": os.pathsep.join(path)}
        self._stack.enter_context(own_home(**given))
        settings = load()
        self._stack.callback(stop_node, settings)
        for _ in start_node(settings):
            pass
        self._waiting = self._stack.enter_context(AosClient())
        self.client = AsyncAosClient()
        for number in range(self._agents):
            self._waiting.agents.create(profile(f"bench-{number}"))

    def drive(self, workload: Workload) -> Driven:
        goal = goal_of(workload)

        async def run(key: str) -> None:
            # Only what may be asked for again needs a name that it is known by.
            name = key if workload.ledger is not None else None
            made = await self.client.runs.create(self._name(key), goal, idempotency_key=name)
            await self._follow(made.id)

        return self._loop.run_until_complete(drive_tasks(workload, run))

    def park(self, workload: Workload) -> Driven:
        goal = goal_of(workload, waits=True)

        async def begin(key: str) -> None:
            made = await self.client.runs.create(self._name(key), goal)
            self._parked[key] = made.id
            async for event in self.client.runs.events(made.id, timeout=_RUN_SECONDS):
                if event.kind == "wait_began":
                    return

        return self._loop.run_until_complete(drive_tasks(workload, begin))

    def wake(self, workload: Workload) -> Driven:
        async def wake(key: str) -> str:
            run_id = self._parked[key]
            await self.client.runs.signal(run_id, "go")
            await self._follow(run_id)
            return str(run_id)

        return self._loop.run_until_complete(wake_tasks(workload, wake))

    async def _follow(self, run_id: UUID) -> None:
        last = None
        async for event in self.client.runs.events(run_id, timeout=_RUN_SECONDS):
            last = event
        assert last is not None
        assert last.fields["status"] == "completed", last

    def _name(self, key: str) -> str:
        """The same agent for the same key: what is asked for again is the same request."""
        return f"bench-{crc32(key.encode()) % self._agents}"

    def victim(self) -> int:
        pid = self._waiting.agents.get("bench-0").pid
        assert pid is not None, "the agent is active"
        return pid

    def stop(self) -> None:
        self._loop.run_until_complete(self.client.close())
        self._stack.close()


def profile(name: str) -> AgentProfile:
    """An agent whose plans are the workload's."""
    return AgentProfile(
        name=name,
        planner=PlannerChoice(name="bench"),
        limits=RunLimits(concurrent_runs=50, max_steps=1_000),
    )


def goal_of(workload: Workload, *, waits: bool = False) -> str:
    """What the agents' planner makes its plan of."""
    wanted = {"steps": workload.steps, "bytes": workload.payload_bytes}
    if workload.ledger is not None:
        wanted |= {"seconds": workload.step_seconds, "ledger": workload.ledger}
    if waits:
        wanted |= {"waits": True}
    return json.dumps({"skill": f"bench_{workload.effects}", **wanted})


def make(*, agents: int = 1) -> Aos:
    """`agents`: over how many the runs are spread."""
    return Aos(agents)
