"""Child specifications: what a supervisor must know of what it keeps alive. Pure data.

The vocabulary, the defaults and the refusals are those of Erlang/OTP's supervisor, as far as they
have a meaning here. Ours are backoff, budgets by cause, and quarantine; `otp` makes a specification
that does without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum, StrEnum
from types import UnionType
from typing import Any

from ..cluster.errors import Blame, SupervisionError


class InvalidSpec(SupervisionError):
    """A specification that cannot be supervised."""

    code = "AOS-4101"
    title = "The supervision spec is not valid."
    next_action = "Correct the field that the message names."
    blame = Blame.CALLER


class Strategy(StrEnum):
    """What the death of one child means for its siblings.

    one_for_one: nothing. one_for_all: all of them are stopped and started again. rest_for_one:
    those started after it are. dynamic: nothing, and there is no order among them: children come
    and go by request, are forgotten when they end for good, and are stopped all at once.
    """

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"
    DYNAMIC = "dynamic"

    @property
    def grouped(self) -> bool:
        """Whether one child's restart is also that of others."""
        return self in (Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE)


class Restart(StrEnum):
    """permanent: always. transient: unless it ended as intended. temporary: never."""

    PERMANENT = "permanent"
    TRANSIENT = "transient"
    TEMPORARY = "temporary"


class ChildType(StrEnum):
    """A supervisor is given all the time it needs to stop its own children."""

    WORKER = "worker"
    SUPERVISOR = "supervisor"


class AutoShutdown(StrEnum):
    """Whether a supervisor ends when significant children have ended by themselves."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class Shutdown(Enum):
    """How a child is stopped, where that is not by a time."""

    BRUTAL_KILL = "brutal_kill"
    INFINITY = "infinity"


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

    def __str__(self) -> str:
        return f"{self.restarts} in {self.period.total_seconds():g} s"


class Cause(StrEnum):
    """Whose fault an end was. Each cause has a budget of its own: a lost machine says nothing of
    the child that ran on it.
    """

    CRASH = "crash"
    OUT_OF_MEMORY = "out_of_memory"
    NODE_LOSS = "node_loss"
    PREEMPTION = "preemption"

    @property
    def own_fault(self) -> bool:
        """Whether it counts against the supervisor's intensity as well."""
        return self in (Cause.CRASH, Cause.OUT_OF_MEMORY)


@dataclass(frozen=True, slots=True)
class Budgets:
    """How often one child may end by each cause before it is quarantined; None is without limit."""

    crash: Intensity | None = Intensity(5, timedelta(seconds=60))
    out_of_memory: Intensity | None = Intensity(1, timedelta(minutes=10))
    node_loss: Intensity | None = None
    preemption: Intensity | None = None

    def of(self, cause: Cause) -> Intensity | None:
        """The budget of one cause."""
        by_cause = {
            Cause.CRASH: self.crash,
            Cause.OUT_OF_MEMORY: self.out_of_memory,
            Cause.NODE_LOSS: self.node_loss,
            Cause.PREEMPTION: self.preemption,
        }
        return by_cause[cause]


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


NO_BACKOFF = Backoff(timedelta(0), timedelta(0))


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child. `start` says what it is (a dotted path, or a kind that the starter knows) and
    `args` what it is made with; neither means anything to the decisions. `shutdown`: how long a
    stop may take before the process is killed; None is 5 s for a worker and for ever for a
    supervisor.
    """

    id: str
    start: str
    restart: Restart = Restart.PERMANENT
    shutdown: timedelta | Shutdown | None = None
    type: ChildType = ChildType.WORKER
    significant: bool = False
    args: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        if not self.id:
            raise InvalidSpec("a child needs an id")
        if not self.start:
            raise InvalidSpec(f"child {self.id} does not say what it is started from")
        _check(self.id, "restart", self.restart, Restart)
        _check(self.id, "type", self.type, ChildType)
        _check(self.id, "shutdown", self.shutdown, timedelta | Shutdown | None)
        if isinstance(self.shutdown, timedelta) and self.shutdown < timedelta(0):
            raise InvalidSpec(f"shutdown of {self.id} is negative")
        if self.significant and self.restart is Restart.PERMANENT:
            raise InvalidSpec(f"{self.id} is significant and permanent: it would never end")

    @property
    def patience(self) -> timedelta | None:
        """How long a stop waits before it kills; None is for ever."""
        if isinstance(self.shutdown, timedelta):
            return self.shutdown
        if self.shutdown is Shutdown.BRUTAL_KILL:
            return timedelta(0)
        if self.shutdown is Shutdown.INFINITY or self.type is ChildType.SUPERVISOR:
            return None
        return timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class SupervisorSpec:
    """A supervisor and its static children, in start order.

    `intensity` bounds the restarts of all children together, as in OTP; going over it ends the
    supervisor, which is its own parent's business then. `budgets` bound each child alone; going
    over one quarantines the child for `quarantine`, doubled each time in a row, at most an hour.
    `max_children` bounds how many there are, those that wait for a restart included, as in Elixir's
    DynamicSupervisor. `spread` is what each child adds to the time over which restarts after the
    loss of a machine are spread. `strict_start`: a child that cannot be started the first time is
    not tried again; at the supervisor's own start that ends the supervisor, as in OTP.
    """

    id: str
    children: tuple[ChildSpec, ...] = ()
    strategy: Strategy = Strategy.ONE_FOR_ONE
    intensity: Intensity | None = field(default_factory=lambda: Intensity(5, timedelta(seconds=30)))
    auto_shutdown: AutoShutdown = AutoShutdown.NEVER
    budgets: Budgets | None = None
    max_children: int | None = None
    quarantine: timedelta = timedelta(seconds=60)
    backoff: Backoff = field(default_factory=Backoff)
    spread: timedelta = timedelta(milliseconds=20)
    strict_start: bool = False

    def __post_init__(self) -> None:
        if not self.id:
            raise InvalidSpec("a supervisor needs an id")
        _check(self.id, "strategy", self.strategy, Strategy)
        _check(self.id, "auto_shutdown", self.auto_shutdown, AutoShutdown)
        ids = [child.id for child in self.children]
        if doubled := sorted({child_id for child_id in ids if ids.count(child_id) > 1}):
            raise InvalidSpec(f"supervisor {self.id} names {', '.join(doubled)} twice")
        if self.max_children is not None and self.max_children < len(ids):
            raise InvalidSpec(f"max_children {self.max_children} is fewer than {self.id} has")
        if self.quarantine <= timedelta(0):
            raise InvalidSpec(f"quarantine of {self.id} is not positive")
        if self.spread < timedelta(0):
            raise InvalidSpec(f"spread of {self.id} is negative")
        if self.strategy.grouped and self.budgets is not None:
            raise InvalidSpec(
                f"{self.id} is {self.strategy} and has budgets for single children: its children "
                "are restarted together, so only its intensity can bound them"
            )
        for child in self.children:
            self.check(child)

    def check(self, child: ChildSpec) -> None:
        """Raise `InvalidSpec` for a child that this supervisor cannot have."""
        if child.significant and self.auto_shutdown is AutoShutdown.NEVER:
            raise InvalidSpec(f"{child.id} is significant, but {self.id} has auto_shutdown never")


def otp(spec: SupervisorSpec) -> SupervisorSpec:
    """The same supervisor by OTP's rules alone: no delays, no quarantine, no second first try. That
    ends are charged by cause stays: OTP knows neither lost machines nor a lack of memory.
    """
    return replace(spec, backoff=NO_BACKOFF, spread=timedelta(0), budgets=None, strict_start=True)


def _check(owner: str, name: str, value: object, kind: type[StrEnum] | UnionType) -> None:
    """A word only equals its member and a number is no time: they would pass for something else."""
    if not isinstance(value, kind):
        known = str(kind) if isinstance(kind, UnionType) else ", ".join(kind)
        raise InvalidSpec(f"unknown {name} {value!r} of {owner}; known: {known}")
