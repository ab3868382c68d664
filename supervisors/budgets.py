"""Windows, delays and quarantine times: the arithmetic behind a restart. Pure.

Every counted end of a child is pushed on two sliding windows: that of its supervisor (`intensity`,
as in OTP) and that of its own cause (`Budgets`). Ends that are not the child's own fault, such as
the loss of a machine, count only in the latter.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from ..cluster.exits import ExitReason
from .spec import Cause, Intensity
from .state import Child, Ending, State

LONGEST_QUARANTINE = timedelta(hours=1)
LONG_LIFE = timedelta(seconds=60)
"""Who has lived longer than this, and than the longest backoff, starts with a clean slate."""

_CAUSES = {
    ExitReason.OUT_OF_MEMORY: Cause.OUT_OF_MEMORY,
    ExitReason.NODE_LOST: Cause.NODE_LOSS,
    ExitReason.NOPROC: Cause.NODE_LOSS,
    ExitReason.PREEMPTED: Cause.PREEMPTION,
}
_WEIGHTS = {Cause.CRASH: 1, Cause.OUT_OF_MEMORY: 2}
"""What takes a machine's memory endangers more than itself, so it counts twice."""


def cause_of(reason: ExitReason) -> Cause:
    """Which budget an end is charged to."""
    return _CAUSES.get(reason, Cause.CRASH)


def cleared(child: Child, *, progressed: bool, state: State, now: datetime) -> Child:
    """The child without its history, if it was useful or lived long since its last start."""
    lived = now - child.running_since if child.running_since else timedelta(0)
    if progressed or lived > max(LONG_LIFE, state.spec.backoff.longest):
        return replace(child, failures=0, quarantines=0, endings=())
    return child


def charged(state: State, child: Child, cause: Cause, now: datetime) -> tuple[State, Child]:
    """Both with one more counted end, and without those that have left their window."""
    weight = _WEIGHTS.get(cause, 0)
    window = _slide(state.restarts, state.spec.intensity, now) + (now,) * weight
    endings = (*_recent(child, state, now), Ending(now, cause))
    child = replace(child, endings=endings, failures=child.failures + (1 if weight else 0))
    return replace(state, restarts=window if state.spec.intensity else ()), child


def too_intense(state: State) -> bool:
    """Whether the supervisor's own window is over its bound."""
    return state.spec.intensity is not None and len(state.restarts) > state.spec.intensity.restarts


def over_budget(state: State, child: Child, cause: Cause) -> bool:
    """Whether this end is one too many for the child.

    Delays grow beyond the window, so failures in a row count as well: else a child that always
    dies would be started again for ever, never often enough to be noticed. A trial that fails, the
    first start after a quarantine, is one too many by itself.
    """
    budgets = state.spec.budgets
    if budgets is None:
        return False
    budget = budgets.of(cause)
    if budget is not None:
        by_cause = [ending for ending in child.endings if ending.cause is cause]
        if len(by_cause) > budget.restarts:
            return True
    if not cause.own_fault:
        return False
    in_a_row = budgets.crash is not None and child.failures > budgets.crash.restarts
    return in_a_row or child.quarantines > 0


def delay_of(state: State, child: Child, cause: Cause) -> timedelta:
    """How long its next start waits. After the loss of a machine restarts are spread, so that all
    that ran on it do not come back in the same instant.
    """
    if cause is Cause.NODE_LOSS:
        return state.spec.spread * len(state.children) * _fraction(child)
    if cause is Cause.PREEMPTION:
        return timedelta(0)
    return state.spec.backoff.delay(child.failures, _fraction(child))


def quarantine_of(state: State, child: Child) -> timedelta:
    """How long the next quarantine lasts: doubled each time in a row, at most an hour."""
    return min(LONGEST_QUARANTINE, state.spec.quarantine * 2 ** min(child.quarantines, 16))


def _slide(
    window: tuple[datetime, ...], intensity: Intensity | None, now: datetime
) -> tuple[datetime, ...]:
    if intensity is None:
        return ()
    return tuple(at for at in window if at >= now - intensity.period)


def _recent(child: Child, state: State, now: datetime) -> tuple[Ending, ...]:
    budgets = state.spec.budgets
    if budgets is None:
        return ()
    kept: list[Ending] = []
    for ending in child.endings:
        budget = budgets.of(ending.cause)
        if budget is not None and ending.at >= now - budget.period:
            kept.append(ending)
    return tuple(kept)


def _fraction(child: Child) -> float:
    """Full jitter, from the child and its history: the same history waits alike."""
    seed = f"{child.spec.id}:{child.life}:{child.failures}"
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**32
