"""When a process that serves an agent is given more, is relieved, and is let go. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from ...cluster.engine import TaskOptions
from ..pace import Manner


@dataclass(frozen=True, slots=True)
class Lane:
    """What calls must have in common to share a process: their resources, and how they use it."""

    options: TaskOptions
    manner: Manner

    @property
    def chained(self) -> bool:
        """Whether steps that follow one go on in its process: what takes long is recorded first."""
        return self.manner is Manner.QUICK


@dataclass(frozen=True, slots=True)
class Terms:
    """How a lane's processes are used; times are seconds.

    `side_by_side`: chains that one works on at a time; `crowd`: when it has so many another process
    is asked for; `depth`: that it is given at most. After `patience` without a word, all but the
    first are asked of another process. A process is let go when nobody needed it for `linger`, or
    when it has served for `term`, because others wait for its resources where we do not see them;
    for `term_wanted` when we know that somebody does.
    """

    side_by_side: int
    crowd: int
    depth: int
    patience: float | None
    linger: float
    term: float
    term_wanted: float


TERMS = {
    Manner.QUICK: Terms(
        side_by_side=1, crowd=4, depth=8, patience=0.05, linger=0.1, term=1.0, term_wanted=0.1
    ),
    Manner.WAITING: Terms(
        side_by_side=32, crowd=32, depth=32, patience=None, linger=0.1, term=30.0, term_wanted=30.0
    ),
}


@dataclass(slots=True)
class Standing:
    """A process's situation, by the loop's clock."""

    terms: Terms
    opened_at: float
    heard_at: float
    under_way: int = 0
    leaving: bool = False

    def has_room(self, now: float, *, wanted: bool) -> bool:
        """Whether it is given more. One that has said nothing for long has enough to do."""
        return (
            not self.leaving
            and now - self.opened_at < (self.terms.term_wanted if wanted else self.terms.term)
            and self.under_way < (1 if self.is_stuck(now) else self.terms.depth)
        )

    def is_stuck(self, now: float) -> bool:
        """Whether what is under way takes longer than was thought."""
        patience = self.terms.patience
        return patience is not None and self.under_way > 0 and now - self.heard_at > patience

    def is_done(self, now: float, *, wanted: bool) -> bool:
        """Whether it is let go."""
        if self.under_way:
            return False
        return wanted or not self.has_room(now, wanted=wanted) or self._idle_for(now) <= 0

    def next_look(self, now: float) -> float | None:
        """Seconds after which time alone may have changed an answer; None: only an event can."""
        if not self.under_way:
            return max(0.0, self._idle_for(now))
        if self.terms.patience is None or self.is_stuck(now):
            return None
        return max(0.0, self.heard_at + self.terms.patience - now) + 0.001

    def _idle_for(self, now: float) -> float:
        return self.heard_at + self.terms.linger - now
