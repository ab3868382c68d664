"""Plain Ray tasks, with asyncpg beside them or with nothing that lasts.

Without `commits` this is the ceiling: what Ray does when nobody asks for durability. With them it
is the floor of every system that runs steps as Ray tasks. `fused`: one task for all steps of a run.
Tasks under way are capped, as everybody should do: Ray would start a process for each.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from shutil import rmtree

import ray

from ..system import Driven, drive_tasks
from ..workload import Workload
from .floor import Records

_TASKS_AT_ONCE = 4


def _steps(count: int, output: str) -> list[str]:
    return [output for _ in range(count)]


class RawRay:
    """One driver process and Ray's workers."""

    def __init__(self, *, fused: bool, commits: bool) -> None:
        self._fused, self._commits = fused, commits
        self._loop = asyncio.new_event_loop()
        self._records: Records | None = None
        self._slots = asyncio.Semaphore(_TASKS_AT_ONCE)

    def start(self, dsn: str, workload: Workload, part: int) -> None:
        del part
        self._home = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        ray.init(
            address="local",
            include_dashboard=False,
            object_store_memory=200_000_000,
            log_to_driver=False,
            _temp_dir=self._home,
        )
        self._task = ray.remote(_steps).options(num_cpus=0.5, max_retries=0)
        if self._commits:
            self._records = self._loop.run_until_complete(Records.open(dsn, 50))

    def drive(self, workload: Workload) -> Driven:
        return self._loop.run_until_complete(
            drive_tasks(workload, lambda k: self._run(workload, k))
        )

    async def _run(self, workload: Workload, key: str) -> None:
        records = self._records
        if records is not None:
            await records.begin(key, {"steps": workload.steps})
        portion = workload.steps if self._fused else 1
        for first in range(1, workload.steps + 1, portion):
            async with self._slots:
                values = await self._task.remote(portion, workload.output)
            if records is not None:
                await records.outcomes(key, first, values)
        if records is not None:
            await records.end(key, {"done": workload.steps})

    def victim(self) -> int:
        return os.getpid()

    def stop(self) -> None:
        if self._records is not None:
            self._loop.run_until_complete(self._records.close())
        ray.shutdown()
        rmtree(self._home, ignore_errors=True)


def make(*, fused: bool = False, commits: bool = True) -> RawRay:
    """With asyncpg's commits unless told otherwise."""
    return RawRay(fused=fused, commits=commits)
