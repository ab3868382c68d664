"""The shapes of replay on the wire."""

from __future__ import annotations

from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ...skills.contracts import JsonObject, JsonValue
from .models import Shape

Mode = Literal["mock", "dry_run", "what_if"]


class DivergenceView(Shape):
    """The first event that is not what it must be: recorded beside attempted, and why."""

    seq: int
    step_id: str
    recorded: str
    attempted: str
    cause: str


class VerificationView(Shape):
    """What came of verifying a journal. `chain`: intact, partial, absent or broken. `signature` is
    that of the behaviour; `last_link` identifies the whole journal; `unchecked` is no fault.
    """

    run_id: UUID
    holds: bool
    events: int
    status: str
    chain: str
    last_link: str
    divergence: DivergenceView | None
    signature: str
    unchecked: list[str]


class DifferenceView(Shape):
    """Where two behaviours part."""

    step_id: str
    recorded: str
    attempted: str


class WouldCallView(Shape):
    """A call that the recording cannot answer."""

    step_id: str
    skill: str
    attempt: int
    why: str


class DryStepView(Shape):
    """A step as it would be dispatched; `wave`: those of one wave may go at the same time."""

    wave: int
    step_id: str
    skill: str
    effects: str
    intent_first: bool
    attempts: int
    timeout_s: float
    cost_microusd: int
    problems: list[str]


class ReplayRequest(BaseModel):
    """How to replay a run. All but the mode is for what_if: new values by step and parameter, and
    new limits: max_steps, max_rounds, run_timeout_s, concurrent_runs, on_in_doubt.
    """

    model_config = ConfigDict(extra="forbid")

    mode: Mode
    goal: str | None = Field(default=None, min_length=1, max_length=10_000)
    params: dict[str, JsonObject] = Field(default_factory=dict[str, JsonObject])
    limits: dict[str, JsonValue] = Field(default_factory=dict[str, JsonValue])


class ReplayView(Shape):
    """What came of a replay. `same` and the signatures `recorded` and `attempted` are of mock and
    what_if; `steps`, `problems` and `worst_microusd` of a dry run, whose cost is an estimate.
    """

    mode: Mode
    run_id: UUID
    same: bool | None = None
    recorded: str = ""
    attempted: str = ""
    difference: DifferenceView | None = None
    status: str = ""
    code: str = ""
    events: int = 0
    cost_microusd: int = 0
    worst_microusd: int = 0
    answered: list[str] = Field(default_factory=list[str])
    would_call: list[WouldCallView] = Field(default_factory=list[WouldCallView])
    steps: list[DryStepView] = Field(default_factory=list[DryStepView])
    problems: list[str] = Field(default_factory=list[str])


class TraceView(Shape):
    """A journal as a trace: `trace` is the text of its file."""

    run_id: UUID
    events: int
    last_link: str
    trace: str
