"""Whether a process that was asked for a sign of life hangs. Pure.

Liveness is not progress: a process that answers is alive, however long its model call takes. Dead
processes are none of this file's business either; their end is told by Ray within milliseconds.
What is left are processes that are there and do not answer (stopped, or stuck in native code), and
those that answer from their control thread while their event loop does not move.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class Patience:
    """`every` so often a process is asked; it has `answer_within` that long to answer; its event
    loop may stand still for `longest_lag`. After `misses` in a row it hangs.
    """

    every: timedelta = timedelta(seconds=10)
    answer_within: timedelta = timedelta(seconds=5)
    longest_lag: timedelta = timedelta(seconds=30)
    misses: int = 3


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is known of one process: misses in a row, and what the last one was."""

    misses: int = 0
    reason: str = ""

    def hangs(self, patience: Patience) -> bool:
        """Whether it is to be ended."""
        return self.misses >= patience.misses


def felt(pulse: Pulse, lag: timedelta | None, patience: Patience) -> Pulse:
    """The pulse after an answer that tells how long the event loop has stood still, or after none.
    One good answer makes up for all misses.
    """
    if lag is None:
        reason = f"no answer within {patience.answer_within.total_seconds():g} s"
        return Pulse(pulse.misses + 1, reason)
    if lag > patience.longest_lag:
        still = f"its event loop has stood still for {lag.total_seconds():.0f} s"
        return Pulse(pulse.misses + 1, still)
    return Pulse()


def next_beat(name: str, count: int, pulse: Pulse, patience: Patience) -> timedelta:
    """When to ask again: at once after a miss, else after the interval ± 10 %, so that many
    processes are not asked in the same instant.
    """
    if pulse.misses:
        return min(patience.every, timedelta(seconds=1))
    jitter = zlib.crc32(f"{name}:{count}".encode()) / 2**32
    return patience.every * (0.9 + 0.2 * jitter)
