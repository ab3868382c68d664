"""What a supervisor knows, what it hears, and what it says. Pure data of `restart.decide`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from ..cluster.exits import Exit, ExitReason
from .spec import Cause, ChildSpec, SupervisorSpec

PASSIVE = Exit(ExitReason.NORMAL, "passive")
"""How an agent ends that had nothing to do: its next run brings it back."""


class Phase(StrEnum):
    """Where a child stands."""

    WAITING = "waiting"
    """To be started when it is its turn, and not before `until`."""
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    """Not there and not wanted now; the specification is kept."""
    QUARANTINED = "quarantined"

    @property
    def alive(self) -> bool:
        """Whether there is, or may be, a process."""
        return self in (Phase.STARTING, Phase.RUNNING, Phase.STOPPING)


class Fate(StrEnum):
    """What becomes of a child once it has been stopped."""

    RESTART = "restart"
    KEEP = "keep"
    FORGET = "forget"


class Origin(StrEnum):
    """Why a child is being started: it decides what a failure to start means."""

    BOOT = "boot"
    ADDED = "added"
    REQUESTED = "requested"
    RESTARTED = "restarted"


@dataclass(frozen=True, slots=True)
class Ending:
    """One counted end of a child."""

    at: datetime
    cause: Cause


@dataclass(frozen=True, slots=True)
class Child:
    """A child and its recent history.

    `life` counts its starts: what is heard of an earlier life than the current one is old news.
    `endings` are those that budgets still look at; `failures` those in a row since it was last
    useful; `waits_for` what a machine would have to have for it to be started.
    """

    spec: ChildSpec
    phase: Phase = Phase.WAITING
    origin: Origin = Origin.BOOT
    life: int = 0
    fate: Fate | None = None
    until: datetime | None = None
    running_since: datetime | None = None
    endings: tuple[Ending, ...] = ()
    failures: int = 0
    quarantines: int = 0
    restarts: int = 0
    waits_for: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """A supervisor at one instant. `children` are in start order. `restarts` is the window that
    `intensity` bounds. `ending`: it stops its children and then ends with this. `over`: it has.
    """

    spec: SupervisorSpec
    children: Mapping[str, Child] = field(default_factory=dict[str, Child])
    restarts: tuple[datetime, ...] = ()
    ending: Exit | None = None
    over: bool = False

    @classmethod
    def of(cls, spec: SupervisorSpec) -> State:
        """A supervisor that has started nobody yet: the first `Due` begins."""
        return cls(spec, {child.id: Child(child) for child in spec.children})


# What is heard.


@dataclass(frozen=True, slots=True)
class Started:
    """A start came to its good end."""

    child: str
    life: int


@dataclass(frozen=True, slots=True)
class Ignored:
    """A start found that there is nothing to do: no process, no failure."""

    child: str
    life: int


@dataclass(frozen=True, slots=True)
class Ended:
    """A child's process ended, or its start failed. `progressed`: it had been useful."""

    child: str
    life: int
    exit: Exit
    progressed: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """Time has passed: whoever waits may be due."""


@dataclass(frozen=True, slots=True)
class StopAll:
    """The supervisor itself is to end."""

    exit: Exit


@dataclass(frozen=True, slots=True)
class Restored:
    """A successor learns of a child whose quarantine its predecessor had begun."""

    spec: ChildSpec
    until: datetime
    quarantines: int


# What is asked for. Each is answered by `Refused`, or granted.


@dataclass(frozen=True, slots=True)
class StartChild:
    """Add a child and start it."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class Wanted:
    """Have a child up, whatever it takes and whether or not it is there. Never refused for being
    there already.
    """

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class TerminateChild:
    """Stop a child and keep its specification."""

    child: str


@dataclass(frozen=True, slots=True)
class RestartChild:
    """Start a child that is stopped."""

    child: str


@dataclass(frozen=True, slots=True)
class DeleteChild:
    """Forget a child that is stopped."""

    child: str


@dataclass(frozen=True, slots=True)
class Dismissed:
    """Stop a child, whatever it is doing, and forget it."""

    child: str


@dataclass(frozen=True, slots=True)
class Released:
    """End a child's quarantine now."""

    child: str


Request = StartChild | Wanted | TerminateChild | RestartChild | DeleteChild | Dismissed | Released
Event = Started | Ignored | Ended | Due | StopAll | Restored | Request


# What is said.


@dataclass(frozen=True, slots=True)
class Start:
    """Start the child now."""

    child: str
    life: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the child, killing it after `patience`; None is for ever."""

    child: str
    life: int
    patience: timedelta | None


@dataclass(frozen=True, slots=True)
class Finish:
    """Nobody is left: the supervisor ends with this."""

    exit: Exit


@dataclass(frozen=True, slots=True)
class Refused:
    """A request is not granted. `why` is OTP's word for it."""

    why: str
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """What OTP would log, and we keep as rows."""

    child: str
    kind: str
    reason: str = ""
    detail: str = ""
    delay: timedelta = timedelta(0)


Command = Start | Stop | Finish | Refused | Report
