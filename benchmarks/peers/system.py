"""What an adapter is: one system, started on a database, doing workloads run by run.

Adapters import their system and nothing of the others; `child.py` imports one of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
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


class Waiting(System, Protocol):
    """A system whose runs can wait for a signal, and go on with one step when it comes."""

    def park(self, workload: Workload) -> Driven:
        """Begin all runs; return when they wait, or are about to."""
        ...

    def wake(self, workload: Workload) -> Driven:
        """Signal these runs, one after the other, each once the last one has ended. Latencies are
        from the sending to the line that the step writes into the ledger.
        """
        ...


async def wake_tasks(workload: Workload, wake: Callable[[str], Awaitable[str]]) -> Driven:
    """`wake` returns when a run has ended, with the name that its line has in the ledger."""
    sent: dict[str, float] = {}

    async def one(key: str) -> None:
        now = time.time()
        sent[await wake(key)] = now

    driven = await drive_tasks(workload, one)
    begun = _begun(Path(workload.ledger or ""))
    driven.latencies = [begun[run] - at for run, at in sent.items()]
    return driven


def _begun(ledger: Path) -> dict[str, float]:
    lines = (line.split() for line in ledger.read_text().splitlines())
    return {run: float(at) for run, _, _, at in lines}


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
