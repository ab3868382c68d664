"""CPU and memory of process trees, from outside."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress

import psutil

_SAMPLE_SECONDS = 2.0


def tree(pid: int) -> Iterator[psutil.Process]:
    """A process and all that hangs on it, as far as they live."""
    with suppress(psutil.NoSuchProcess):
        head = psutil.Process(pid)
        yield head
        yield from head.children(recursive=True)


def cpu_seconds(pids: list[int]) -> float:
    """User and system time of these trees. Children that have ended count by the parent that has
    waited for them, so nothing is lost but what was orphaned, and nothing counts twice.
    """
    total = 0.0
    for pid in pids:
        for process in tree(pid):
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:4])
    return total


def own_cpu_seconds(pid: int) -> float:
    """User and system time of one process, without its children."""
    with suppress(psutil.NoSuchProcess):
        return sum(psutil.Process(pid).cpu_times()[:2])
    return 0.0


def memory_bytes(pids: list[int]) -> int:
    """Proportional set size of these trees: a page shared by two processes is half of each's."""
    total = 0
    for pid in pids:
        for process in tree(pid):
            with suppress(psutil.Error):
                total += process.memory_full_info().pss
    return total


class Peak:
    """The largest memory seen between entering and leaving, looked at every two seconds, so rarely
    that looking does not count.
    """

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.bytes = 0

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.bytes = max(self.bytes, memory_bytes(self._pids))

    def _look(self) -> None:
        while not self._over.wait(_SAMPLE_SECONDS):
            self.bytes = max(self.bytes, memory_bytes(self._pids))
