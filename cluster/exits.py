"""Why a process ended, in the words that supervisors decide with. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast


class ExitReason(StrEnum):
    """OTP's exit reasons, as far as Ray lets us tell, and what OTP has no word for.

    Whether a stop was ours is not a reason: a supervisor that asked for it knows so itself,
    whatever the end then looks like (mostly `KILLED`). `KILLED` of a child that nobody had told to
    stop was therefore done by others, and counts like a crash.
    """

    NORMAL = "normal"
    """It ended by itself, its work done. OTP: `normal`."""

    SHUTDOWN = "shutdown"
    """Ray ended it in an orderly way, because it was no longer needed. OTP: `shutdown`."""

    FENCED = "fenced"
    """It left because a newer activation has its place. Intended: that one's start was its end.
    OTP: `{shutdown, fenced}`.
    """

    KILLED = "killed"
    """By `ray.kill`, ours or anybody's. A SIGKILL from elsewhere is a `crash` to Ray, which only
    sees the connection end. OTP: `killed`.
    """

    CRASH = "crash"
    """It ended and nobody had meant it to: a signal, `os._exit`, `sys.exit`, or its own word that
    something unexpected was raised. OTP: any other reason.
    """

    OUT_OF_MEMORY = "out_of_memory"
    """Ray's memory monitor killed it. The kernel's killer looks like a `crash`."""

    NODE_LOST = "node_lost"
    """Its machine is gone, or cannot be reached any more. OTP: `noconnection`."""

    PREEMPTED = "preempted"
    """Its machine was reclaimed, as announced by the autoscaler. OTP: `{shutdown, preempted}`."""

    START_ERROR = "start_error"
    """It never came to run: `__init__` failed, or its runtime environment could not be made."""

    NO_CAPACITY = "no_capacity"
    """No machine can take it."""

    NOPROC = "noproc"
    """Its owner died, or nobody held a reference to it any more: its manager's death, or a bug in
    how we keep it, and never the child's fault. OTP: `noproc`.
    """

    SUSPECT = "suspect"
    """Ray has lost touch with it: it may live. Not an end, and to be asked about."""

    @property
    def intended(self) -> bool:
        """Whether a transient child ends for good with this reason."""
        return self in (ExitReason.NORMAL, ExitReason.SHUTDOWN, ExitReason.FENCED)


@dataclass(frozen=True, slots=True)
class Exit:
    """One end of one process."""

    reason: ExitReason
    detail: str = ""

    def last_word(self) -> dict[str, str]:
        """What a process that leaves tells those who watch it: `{"reason": …, "detail": …}`."""
        return {"reason": self.reason.value, "detail": self.detail}

    @classmethod
    def told(cls, word: object) -> Exit:
        """The exit that a `last_word` tells of. What is no such word is a crash: a process that
        cannot say why it leaves does not leave as intended.
        """
        if isinstance(word, Mapping):
            said = cast("Mapping[str, Any]", word)
            reason = said.get("reason")
            if reason in list(ExitReason):
                return cls(ExitReason(reason), str(said.get("detail", "")))
        return cls(ExitReason.CRASH, f"its last word was {word!r:.200}")
