"""Plain asyncpg in one process: the floor, below which no system can get that records each step.

`grouped` makes the fewest commits that give the same promise for a run that only reads: the run,
then its outcomes, then its end. Without it each step's outcome is committed by itself.
"""

from __future__ import annotations

import asyncio
import json
import os

import asyncpg

from ..system import Driven, drive_tasks
from ..workload import Workload

SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id text PRIMARY KEY, status text NOT NULL, input json, output json,
    started_at timestamptz NOT NULL DEFAULT now(), finished_at timestamptz);
CREATE TABLE IF NOT EXISTS journal (
    run_id text, seq int, at timestamptz NOT NULL DEFAULT now(), body json NOT NULL,
    PRIMARY KEY (run_id, seq));
"""
_BEGIN = "INSERT INTO runs (run_id, status, input) VALUES ($1, 'running', $2)"
_OUTCOME = "INSERT INTO journal (run_id, seq, body) SELECT $1, * FROM unnest($2::int[], $3::json[])"
_END = "UPDATE runs SET status = 'completed', output = $2, finished_at = now() WHERE run_id = $1"
_MOST_CONNECTIONS = 10


class Records:
    """The tables of the floor, and the three statements on them."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, dsn: str, concurrency: int) -> Records:
        """Connected, with its tables there."""
        size = min(concurrency, _MOST_CONNECTIONS)
        pool = await asyncpg.create_pool(dsn, min_size=size, max_size=size, reset=_keep_session)
        await pool.execute(SCHEMA)
        return cls(pool)

    async def begin(self, key: str, given: object) -> None:
        await self._pool.execute(_BEGIN, key, json.dumps(given))

    async def outcomes(self, key: str, first: int, values: list[str]) -> None:
        numbers = list(range(first, first + len(values)))
        bodies = [json.dumps({"code": "OK", "output": value}) for value in values]
        await self._pool.execute(_OUTCOME, key, numbers, bodies)

    async def end(self, key: str, result: object) -> None:
        await self._pool.execute(_END, key, json.dumps(result))

    async def close(self) -> None:
        await self._pool.close()


async def _keep_session(_: object) -> None:
    """No RESET after each statement: there is nothing to reset, and it costs a round trip."""


class Floor:
    """Five no-op steps are five function calls."""

    def __init__(self, *, grouped: bool) -> None:
        self._grouped = grouped
        self._loop = asyncio.new_event_loop()

    def start(self, dsn: str, workload: Workload, part: int) -> None:
        del part
        self._records = self._loop.run_until_complete(Records.open(dsn, 50))

    def drive(self, workload: Workload) -> Driven:
        async def run(key: str) -> None:
            records = self._records
            await records.begin(key, {"steps": workload.steps})
            if self._grouped:
                await records.outcomes(key, 1, [workload.output] * workload.steps)
            else:
                for number in range(1, workload.steps + 1):
                    await records.outcomes(key, number, [workload.output])
            await records.end(key, {"done": workload.steps})

        return self._loop.run_until_complete(drive_tasks(workload, run))

    def victim(self) -> int:
        return os.getpid()

    def stop(self) -> None:
        self._loop.run_until_complete(self._records.close())


def make(*, grouped: bool = False) -> Floor:
    """`grouped`: three commits a run instead of seven."""
    return Floor(grouped=grouped)
