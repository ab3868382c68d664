"""What the machine can say. Commands name steps; the shell performs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from ...skills.call import Mode
from ...skills.contracts.values import JsonValue
from .events import Event, PlannedStep, RunStatus

LOOK_AGAIN = timedelta(seconds=30)
"""When a run that an emergency stop or a missing skill holds up looks again by itself."""

HALTED, NOT_INSTALLED = "emergency stop: ", "not installed: "
"""How the reasons of such a rest begin."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Call a skill, or one of its hooks. `intent_first`: commit the intent before, because it must
    not happen twice.
    """

    step: PlannedStep
    attempt: int
    seed: int
    idempotency_key: str
    intent_first: bool
    plans: bool
    mode: Mode = Mode.EXECUTE


@dataclass(frozen=True, slots=True)
class Begin:
    """Let a waiting step begin to wait: resolve its params and record what they come to."""

    step_id: str


@dataclass(frozen=True, slots=True)
class Spawn:
    """Make the child run that a step waits for, if it is not there."""

    step_id: str


@dataclass(frozen=True, slots=True)
class Advance:
    """Tell the program what has come of its awaits."""


@dataclass(frozen=True, slots=True)
class Record:
    """Something is so now: append it."""

    event: Event


@dataclass(frozen=True, slots=True)
class Stop:
    """End these calls: the run is being cancelled."""

    step_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to do before this instant."""

    instant: datetime


@dataclass(frozen=True, slots=True)
class Park:
    """Nothing to do before this instant (None: before somebody says something), and nothing under
    way: the run needs no process. `timed`: the time counts towards the run's limit.
    """

    until: datetime | None
    reason: str
    timed: bool = False


@dataclass(frozen=True, slots=True)
class Finish:
    """End the run. `answer` may hold references; a completed run's are resolved by the shell, which
    also fetches what is `large` of it.
    """

    status: RunStatus
    code: str
    message: str = ""
    answer: JsonValue = None
    literal: bool = False
    large: Mapping[str, str] = field(default_factory=dict[str, str])


Command = Dispatch | Begin | Spawn | Advance | Record | Stop | WaitUntil | Park | Finish
