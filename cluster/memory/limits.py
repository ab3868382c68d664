"""How much data this process may have: the soft RLIMIT_DATA, relative to what it has now.

Counted is what a process can write and shares with nobody, when it is asked for and not when it is
touched: heap, anonymous mappings, the stacks of threads (8 MiB each). Not counted are shared
mappings and files in /dev/shm; child processes inherit the ceiling and each counts for itself.
Only the soft limit is set, so it can be put back without privilege: it stops leaks, not malice.
"""

from __future__ import annotations

import mmap
import resource
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path

from ..errors import EngineError

MIB = 1024 * 1024

_STATM = Path("/proc/self/statm")
_HELD = ("RssAnon:", "RssShmem:")
_UNLIMITED = resource.RLIM_INFINITY
_PROBE_ROOM = 256 * MIB


class LimitNotEnforced(EngineError):
    """The system has no such limit, or takes it and does not hold to it."""

    code = "AOS-6008"
    title = "This system does not enforce memory limits."
    next_action = (
        "Run AOS on Linux (gVisor does not enforce RLIMIT_DATA), or accept that a leak can take "
        "the machine: set AOS_SKILL_MEMORY_MB=0 and AOS_AGENT_MEMORY_MB=0."
    )


class limited:  # noqa: N801 - a context manager, named as one reads it
    """`with limited(room):` within it the process may have `room` bytes of data more than now.

    Where several are open at once, in whatever order they close, the lowest ceiling holds; the last
    one to close puts back what the process was started with, and nothing raises that. `room=None`
    limits nothing. Entering raises `LimitNotEnforced`.
    """

    def __init__(self, room: int | None) -> None:
        self._room = room
        self._ceiling: int | None = None

    def __enter__(self) -> None:
        if self._room is None:
            return
        _must_be_enforced()
        self._ceiling = data_size() + self._room
        _ceilings.add(self._ceiling)

    def __exit__(self, *_: object) -> None:
        if self._ceiling is not None:
            _ceilings.remove(self._ceiling)


def limit(room: int | None) -> None:
    """From now on, instead of all limits of ours before: the process may have `room` bytes of data
    more than now. None: none. Raises `LimitNotEnforced`.
    """
    _ceilings.clear()
    if room is not None:
        _must_be_enforced()
        _ceilings.add(data_size() + room)


def lift() -> None:
    """Take all limits of ours away: a process that ran into one has some last words to say."""
    _ceilings.clear()


def under_limit() -> bool:
    """Whether a limit of ours is in force."""
    return bool(_ceilings.open)


def data_size() -> int:
    """Bytes of data that this process has, as the limit counts them, and of its first stack."""
    try:
        with _STATM.open("rb", buffering=0) as file:  # for each attempt, so the cheapest way
            return int(file.read().split()[5]) * mmap.PAGESIZE
    except FileNotFoundError:
        raise LimitNotEnforced(f"there is no {_STATM} on {sys.platform}") from None


def resident(pid: int) -> int:
    """Bytes that a process holds in memory and that only its end gives back: its own pages and
    those of shared memory, not those of files. Raises `ProcessLookupError` when it has ended.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        raise ProcessLookupError(f"no process {pid}") from None
    # One that is ending has no memory any more, and no such lines.
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(_HELD))


class _Ceilings:
    """The limits of ours that are open. A process has one soft limit, so they are kept together."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._before = resource.getrlimit(resource.RLIMIT_DATA)
        self.open: list[int] = []

    def add(self, ceiling: int) -> None:
        with self._lock:
            self.open.append(ceiling)
            self._apply()

    def remove(self, ceiling: int) -> None:
        # First of all, and with objects that exist: there may be no memory for a new one.
        resource.setrlimit(resource.RLIMIT_DATA, self._before)
        with self._lock, suppress(ValueError):  # it is not there any more after `clear`
            self.open.remove(ceiling)
            self._apply()

    def clear(self) -> None:
        resource.setrlimit(resource.RLIMIT_DATA, self._before)
        with self._lock:
            self.open.clear()

    def _apply(self) -> None:
        soft, hard = self._before
        bounds = [*self.open, *(bound for bound in self._before if bound != _UNLIMITED)]
        resource.setrlimit(resource.RLIMIT_DATA, (min(bounds, default=soft), hard))


_ceilings = _Ceilings()


@cache
def _must_be_enforced() -> None:
    """Ask for more than a limit allows, once per process. The mapping is never touched, and the
    room is wide: other threads notice nothing.
    """
    _ceilings.add(probe := data_size() + _PROBE_ROOM)
    try:
        mmap.mmap(-1, 2 * _PROBE_ROOM, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()
    except OSError:
        return
    finally:
        _ceilings.remove(probe)
    raise LimitNotEnforced("the kernel granted a process twice what its limit was")
