"""What provenance is told in: one record for each thing that happened to a run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Record:
    """Something that happened to a run. `kind` is that of the journal's event, `epoch` that of the
    activation that wrote it.
    """

    seq: int
    at: datetime
    epoch: int
    kind: str


@dataclass(frozen=True, slots=True)
class StatusChange(Record):
    """The run has this status from here on, and why."""

    status: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Planned(Record):
    """A step came into the plan. `round` counts planning rounds; 0: a program asked for it."""

    step: str = ""
    round: int = 0
    skill: str = ""
    version: str = ""
    effects: str = ""
    depends_on: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Attempt(Record):
    """A call of a skill ended, or a step that is none did. `effects` is the step's effect class,
    `effect` what is known of this attempt's.
    """

    step: str = ""
    attempt: int = 0
    round: int = 0
    skill: str = ""
    version: str = ""
    status: str = ""
    code: str = ""
    message: str = ""
    effects: str = ""
    effect: str = ""
    retryable: bool = False
    duration_ms: int = 0
    cost_microusd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class Denial(Record):
    """A policy, a permission or a safety rule refused something."""

    step: str = ""
    skill: str = ""
    code: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Restart(Record):
    """Another activation took the run up. `reason` and `detail` are what supervisors recorded of
    the end of the one before, in OTP's words; empty, where they recorded nothing, or not yet.
    """

    before: int = 0
    reason: str = ""
    detail: str = ""
    supervisor: str = ""
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Other(Record):
    """Any other event: what it is about, if it says so."""

    step: str = ""
    by: str = ""
    message: str = ""
