"""Processes of a simulation: what they do by script, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.spec import ChildSpec
from aos.supervisors.state import Report, State

IGNORE: Literal["ignore"] = "ignore"


@dataclass
class Script:
    """How a child behaves. Each start takes its time and has the next of `starts` as its result:
    the reason of a failure, `IGNORE`, or None for success; when they are used up all succeed. It
    obeys a stop after `stop_seconds`, with `stop_reason`; `inf` never ends by itself.
    """

    start_seconds: float = 0.0
    starts: list[ExitReason | Literal["ignore"] | None] = field(default_factory=list[Any])
    stop_seconds: float = 0.0
    stop_reason: ExitReason = ExitReason.SHUTDOWN


class Entry(NamedTuple):
    """One thing that happened: start, up, ignore, stop or end."""

    at: float
    what: str
    who: str


@dataclass(eq=False)
class Process:
    """One life of a child; of a supervisor it has a state."""

    spec: ChildSpec
    life: int
    pid: int
    parent: Node
    node: Node | None = None
    up: bool = False
    stopping: bool = False
    """Told so by its supervisor. The end of one that is still starting is no failed start then."""


@dataclass(eq=False)
class Node:
    """A supervisor. `process` is None for the topmost one."""

    state: State
    process: Process | None = None
    exit: Exit | None = None
    alarm: datetime | None = None
    reports: list[Report] = field(default_factory=list[Report])
