"""Where a run's result comes from, on the wire."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from .models import Shape


class RecordView(Shape):
    """What all records have: their place in the journal, when, under which epoch, and the kind of
    the event that says it.
    """

    seq: int
    at: datetime
    epoch: int
    kind: str


class StatusChangeView(RecordView):
    """The run has this status from here on, and why."""

    status: str
    cause: str


class PlannedView(RecordView):
    """A step came into the plan; `round` counts planning rounds, 0: a program asked for it."""

    step: str
    round: int
    skill: str
    version: str
    effects: str
    depends_on: list[str]


class AttemptView(RecordView):
    """A call of a skill ended. `effects` is the step's class, `effect` what this attempt did."""

    step: str
    attempt: int
    round: int
    skill: str
    version: str
    status: str
    code: str
    message: str
    effects: str
    effect: str
    retryable: bool
    duration_ms: int
    cost_microusd: int
    input_tokens: int
    output_tokens: int
    idempotency_key: str


class DenialView(RecordView):
    """Something was refused by a policy, a permission or a safety rule."""

    step: str
    skill: str
    code: str
    message: str


class RestartView(RecordView):
    """Another activation took the run up, after that of epoch `before`. `reason` and `detail` are
    what supervisors recorded of its end; empty, where they recorded nothing, or not yet.
    """

    before: int
    reason: str
    detail: str
    supervisor: str
    ended_at: datetime | None


class RunHistory(Shape):
    """A run's history, each part in the order of the journal."""

    run_id: UUID
    status: list[StatusChangeView]
    plan: list[PlannedView]
    attempts: list[AttemptView]
    denials: list[DenialView]
    restarts: list[RestartView]
