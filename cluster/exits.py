"""Why a process ended, in the words that supervisors decide with. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class ExitReason(StrEnum):
    """OTP's vocabulary, as far as Ray lets us tell: `normal` and `shutdown` are intended."""

    NORMAL = "normal"
    SHUTDOWN = "shutdown"
    KILLED = "killed"
    CRASH = "crash"
    OUT_OF_MEMORY = "out_of_memory"
    NODE_LOST = "node_lost"
    PREEMPTED = "preempted"
    START_ERROR = "start_error"
    NO_CAPACITY = "no_capacity"
    SUSPECT = "suspect"

    @property
    def intended(self) -> bool:
        """Whether a transient child ends for good with this reason."""
        return self in (ExitReason.NORMAL, ExitReason.SHUTDOWN)


@dataclass(frozen=True, slots=True)
class Exit:
    """One end of one process."""

    reason: ExitReason
    detail: str = ""
