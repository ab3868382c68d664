"""Child specifications: what a supervisor must know of what it keeps alive. Pure data.

The vocabulary and the defaults are those of Erlang/OTP's supervisor, as far as they have a meaning
here; backoff is ours. Strategies beyond one_for_one are not accepted yet: a spec that names one is
refused instead of being treated as another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from ..cluster.errors import Blame, SupervisionError


class InvalidSpec(SupervisionError):
    """A specification that cannot be supervised."""

    code = "AOS-4101"
    title = "The supervision spec is not valid."
    next_action = "Correct the field that the message names."
    blame = Blame.CALLER


class Strategy(StrEnum):
    """What the death of one child means for its siblings."""

    ONE_FOR_ONE = "one_for_one"


class Restart(StrEnum):
    """permanent: always. transient: unless it ended as intended. temporary: never."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


@dataclass(frozen=True, slots=True)
class Intensity:
    """At most `restarts` within `period`."""

    restarts: int
    period: timedelta

    def __post_init__(self) -> None:
        if self.restarts < 0:
            raise InvalidSpec(f"intensity {self.restarts} is negative")
        if self.period <= timedelta(0):
            raise InvalidSpec(f"period {self.period} is not positive")


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential with full jitter. The first restart after a quiet time has no delay at all:
    a lone crash is repaired at once, and only a child that keeps failing is made to wait.
    """

    first: timedelta = timedelta(milliseconds=200)
    longest: timedelta = timedelta(seconds=60)

    def __post_init__(self) -> None:
        if not timedelta(0) <= self.first <= self.longest:
            raise InvalidSpec("backoff needs 0 ≤ first ≤ longest")

    def delay(self, failures: int, fraction: float) -> timedelta:
        """How long to wait after `failures` in a row; `fraction` in [0, 1) is the jitter drawn."""
        if failures <= 1:
            return timedelta(0)
        ceiling = min(self.longest, self.first * 2 ** min(failures - 1, 30))
        return ceiling * fraction


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child. `start` is the dotted path of an actor or service class; it means nothing to the
    decisions. `shutdown` is how long a stop may take before the process is killed.
    """

    id: str
    start: str
    restart: Restart = Restart.PERMANENT
    shutdown: timedelta = timedelta(seconds=5)

    def __post_init__(self) -> None:
        if not self.id:
            raise InvalidSpec("a child needs an id")
        if self.shutdown < timedelta(0):
            raise InvalidSpec(f"shutdown of {self.id} is negative")


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """A supervisor and its static children, in start order.

    `intensity` bounds the restarts of all children together, as in OTP; going over it escalates.
    `child_intensity` bounds each child alone; going over it quarantines the child for
    `quarantine`, doubled each time in a row, at most an hour. `max_children` bounds how many there
    are, those that wait for a restart included, as in Elixir's DynamicSupervisor.
    """

    id: str
    children: tuple[ChildSpec, ...] = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity | None = field(default_factory=lambda: Intensity(5, timedelta(seconds=30)))
    child_intensity: Intensity | None = None
    max_children: int | None = None
    quarantine: timedelta = timedelta(seconds=60)
    backoff: Backoff = field(default_factory=Backoff)

    def __post_init__(self) -> None:
        ids = [child.id for child in self.children]
        if doubled := sorted({child_id for child_id in ids if ids.count(child_id) > 1}):
            raise InvalidSpec(f"supervisor {self.id} names {', '.join(doubled)} twice")
        if self.max_children is not None and self.max_children < len(ids):
            raise InvalidSpec(f"max_children {self.max_children} is fewer than {self.id} has")
        if self.strategy not in tuple(Strategy):
            raise InvalidSpec(f"unknown strategy {self.strategy!r}")
