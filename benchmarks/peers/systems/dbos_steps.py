"""DBOS: a workflow of five steps, called directly, its system database on the same server.

Synchronous workflows in threads: of the ways to run it (async too, one to fifty at a time), the one
that was fastest here.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from pathlib import Path

from dbos import DBOS, DBOSConfig, SetWorkflowID

from ..system import Driven, drive_threads, wake_tasks
from ..workload import Workload


@DBOS.step()
def _step(number: int, output: str, seconds: float, ledger: str | None) -> str:
    if ledger is not None:
        _note(Path(ledger), f"{DBOS.workflow_id} {number} 1")
        time.sleep(seconds)
    return output


@DBOS.workflow()
def _run(steps: int, output: str, seconds: float, ledger: str | None) -> int:
    for number in range(1, steps + 1):
        _step(number, output, seconds, ledger)
    return steps


@DBOS.step()
async def _woken(ledger: str, key: str) -> str:
    _note(Path(ledger), f"{key} 1 1")
    return "woken"


@DBOS.workflow()
async def _waiting(ledger: str, key: str) -> str:
    await DBOS.recv_async("go", timeout_seconds=86_400)
    return await _woken(ledger, key)


def _note(ledger: Path, line: str) -> None:
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line} {time.time():.6f}\n".encode())
    os.close(descriptor)


class Dbos:
    """One executor process. Restarted on the same database it recovers what it left, by itself."""

    def start(self, dsn: str, workload: Workload, part: int) -> None:
        config: DBOSConfig = {
            "name": "bench",
            "system_database_url": dsn,
            "executor_id": f"executor-{part}",
            "application_version": "1",
            "log_level": "ERROR",
        }
        DBOS(config=config)
        DBOS.launch()

    def drive(self, workload: Workload) -> Driven:
        return drive_threads(workload, partial(self._one, workload))

    @staticmethod
    def _one(workload: Workload, key: str) -> None:
        with SetWorkflowID(key):
            _run(workload.steps, workload.output, workload.step_seconds, workload.ledger)

    def park(self, workload: Workload) -> Driven:
        assert workload.ledger is not None

        def begin(key: str) -> None:
            with SetWorkflowID(key):
                # A coroutine: a thread for each that waits would not do for ten thousand.
                DBOS.start_workflow(_waiting, workload.ledger, key)

        return drive_threads(workload, begin)

    def wake(self, workload: Workload) -> Driven:
        async def wake(key: str) -> str:
            await DBOS.send_async(key, "go", "go")
            handle = await DBOS.retrieve_workflow_async(key)
            await handle.get_result(polling_interval_sec=0.05)
            return key

        return asyncio.run(wake_tasks(workload, wake))

    def victim(self) -> int:
        return os.getpid()

    def stop(self) -> None:
        DBOS.destroy()


def make() -> Dbos:
    """Nothing to choose."""
    return Dbos()
