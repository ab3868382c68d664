"""What an adapter is: one system, started on a database, doing workloads run by run.

Adapters import their system and nothing of the others; `child.py` imports one of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

from .workload import Workload


@dataclass(slots=True)
class Driven:
    """How a workload went: seconds from its first run's begin to its last run's end, and of each
    run. `failed` counts runs that ended in an error that reached the caller.
    """

    took: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    errors: list[str] = field(default_factory=list)


class System(Protocol):
    """One system under test. The methods are called in this order, in one thread."""

    def start(self, dsn: str, workload: Workload, part: int) -> None:
        """Come up on a database, ready for workloads such as this. `part` tells processes of the
        same system apart.
        """
        ...

    def drive(self, workload: Workload) -> Driven:
        """Do all runs, at most `concurrency` at a time, each to its end."""
        ...

    def victim(self) -> int:
        """The process whose death interrupts the runs under way. A system that is put back by
        nobody names this very process.
        """
        ...

    def stop(self) -> None:
        """Come down."""
        ...


async def drive_tasks(workload: Workload, run: Callable[[str], Awaitable[object]]) -> Driven:
    """A closed loop of tasks: each begins its next run when its last one has ended."""
    keys, driven = workload.names(), Driven()

    async def take_turns() -> None:
        for key in keys:
            began = time.perf_counter()
            try:
                await run(key)
            except Exception as error:
                driven.failed += 1
                driven.errors.append(repr(error)[:300])
            driven.latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(take_turns() for _ in range(workload.concurrency)))
    driven.took = time.perf_counter() - began
    return driven


def drive_threads(workload: Workload, run: Callable[[str], object]) -> Driven:
    """The same with threads, for systems whose calls block."""
    keys, lock, driven = workload.names(), Lock(), Driven()

    def take_turns(_: int) -> None:
        for key in _shared(keys, lock):
            began = time.perf_counter()
            try:
                run(key)
            except Exception as error:
                driven.failed += 1
                driven.errors.append(repr(error)[:300])
            driven.latencies.append(time.perf_counter() - began)

    began = time.perf_counter()
    if workload.concurrency == 1:
        take_turns(0)
    else:
        with ThreadPoolExecutor(workload.concurrency) as threads:
            list(threads.map(take_turns, range(workload.concurrency)))
    driven.took = time.perf_counter() - began
    return driven


def _shared(keys: Iterator[str], lock: Lock) -> Iterator[str]:
    while True:
        with lock:
            key = next(keys, None)
        if key is None:
            return
        yield key
