"""What an agent's process has seen of each skill lately: whether it is quick, whether it waits."""

from __future__ import annotations

from collections import deque
from enum import StrEnum

from ..skills.contracts import StructuredOutcome

_QUICK_MS = 20
_IDLE_SHARE = 0.9
_REMEMBERED = 4


class Manner(StrEnum):
    """How calls of a skill use a process: one after the other, or side by side."""

    QUICK = "quick"
    WAITING = "waiting"


class Pace:
    """The latest attempts of each skill. On a busy machine any call may take long, so what most of
    them were is what counts.
    """

    def __init__(self) -> None:
        self._took: dict[str, deque[int]] = {}
        self._idled: dict[str, deque[float]] = {}

    def note(self, skill: str, outcome: StructuredOutcome) -> None:
        """An attempt has ended. One that failed tells nothing good of the next."""
        took = outcome.duration_ms if outcome.ok else _QUICK_MS
        self._took.setdefault(skill, deque(maxlen=_REMEMBERED)).append(took)

    def note_idle(self, skill: str, idled: float) -> None:
        """For which share of an attempt its process, which had nothing else to do, could have done
        something else.
        """
        self._idled.setdefault(skill, deque(maxlen=_REMEMBERED)).append(idled)

    def forget(self, skill: str) -> None:
        """It kept others from their work: it is looked at anew, by itself."""
        self._idled.pop(skill, None)

    def manner(self, skill: str) -> Manner | None:
        """How its calls may share a process; None for a skill that nobody knows, or that keeps its
        process busy.
        """
        took, idled = self._took.get(skill), self._idled.get(skill)
        if took and _middle(took) < _QUICK_MS:
            return Manner.QUICK
        if took and idled and len(idled) > 1 and sorted(idled)[len(idled) // 2 - 1] >= _IDLE_SHARE:
            return Manner.WAITING
        return None


def _middle(values: deque[int]) -> int:
    return sorted(values)[len(values) // 2]
