"""What a journal can contain. Frozen, versioned; old versions are upcast when read."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, TypeAdapter

from ...cluster.canonical import readable
from ...skills.contracts import AgentProfile, Contract, Effects, RetryPolicy, StructuredOutcome
from ...skills.contracts.values import JsonObject, JsonValue


class RunStatus(StrEnum):
    """pending → running → (waiting | paused)* → one of the rest, which are final."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    PARTIAL = "partial"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"

    @property
    def final(self) -> bool:
        """Whether nothing can happen to the run any more."""
        return self not in (self.PENDING, self.RUNNING, self.WAITING, self.PAUSED)


class OnError(StrEnum):
    """What a step's permanent failure means for its run."""

    ABORT = "abort"
    CONTINUE = "continue"


class PlannedStep(Contract):
    """One node of an admitted plan's graph. `params` may hold `{{step.path}}` references to steps
    in `depends_on`. Version, effect class and retry policy are pinned here, so that decisions about
    the step never depend on what is installed later.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    skill: str
    version: str
    effects: Effects
    params: JsonObject = Field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    on_error: OnError = OnError.ABORT
    retry: RetryPolicy = RetryPolicy()
    literal: bool = False


class Plan(Contract):
    """One admitted round: steps, or an answer, or steps and a template of the answer.

    Without an answer the planner is asked again with what was observed. `memo` is the planner's own
    and opaque: it is handed back in the next round. In a `literal` plan braces are text, not
    references.
    """

    steps: tuple[PlannedStep, ...] = ()
    answer: JsonValue = None
    memo: JsonValue = None
    literal: bool = False


class Journaled(Contract):
    """Base of all events. `at` is the writer's clock, UTC; the order is `seq`, never `at`."""

    version: ClassVar[int] = 1
    at: datetime


class RunSubmitted(Journaled):
    """The door accepted a run. From here on it cannot be lost."""

    kind: Literal["run_submitted"] = "run_submitted"
    agent_id: str
    agent_name: str
    goal: str
    planner: str
    profile: AgentProfile
    seed: int
    trace_id: str
    code_version: str


class RunStarted(Journaled):
    """An activation took the run up for the first time."""

    kind: Literal["run_started"] = "run_started"
    epoch: int


class RunResumed(Journaled):
    """A later activation took the run up: whatever was under way has no outcome."""

    kind: Literal["run_resumed"] = "run_resumed"
    epoch: int


class StepIntended(Journaled):
    """An unsafe step is about to be dispatched. Committed before it is."""

    kind: Literal["step_intended"] = "step_intended"
    step_id: str
    attempt: int
    skill: str
    idempotency_key: str


class StepSettled(Journaled):
    """One attempt ended. For a planner step that succeeded, `plan` is its admitted output.

    `large` names the fields of the output that were too big for an event: each is null here and
    stored by content hash. The empty name stands for the whole output.
    """

    kind: Literal["step_settled"] = "step_settled"
    step_id: str
    attempt: int
    effects: Effects
    idempotency_key: str
    outcome: StructuredOutcome
    plan: Plan | None = None
    large: dict[str, str] = Field(default_factory=dict[str, str])


class RunFinished(Journaled):
    """The last event of every run. `large` as in `StepSettled`, for the answer."""

    kind: Literal["run_finished"] = "run_finished"
    status: RunStatus
    code: str
    message: str = ""
    answer: JsonValue = None
    large: dict[str, str] = Field(default_factory=dict[str, str])


Event = Annotated[
    RunSubmitted | RunStarted | RunResumed | StepIntended | StepSettled | RunFinished,
    Discriminator("kind"),
]
KINDS: tuple[type[Journaled], ...] = (
    RunSubmitted, RunStarted, RunResumed, StepIntended, StepSettled, RunFinished,
)  # fmt: skip

_ADAPTER: TypeAdapter[Event] = TypeAdapter(Event)


def encode(event: Event) -> JsonObject:
    """The journal body of an event, without its kind: that is a column.

    Fields at their default are left out: a default is part of the wire format, and changing one
    needs a new version of the event. `tests/unit/actors/test_events.py` pins them.
    """
    return event.model_dump(mode="json", exclude={"kind"}, exclude_defaults=True)


def decode(kind: str, version: int, body: dict[str, Any]) -> Event:
    """An event from its journal row. Raises `ValueError` for what no version of us wrote."""
    if version != Journaled.version:  # a newer AOS wrote it; upcasters of older ones go here
        raise ValueError(f"{kind} has version {version}, and this AOS knows {Journaled.version}")
    return _ADAPTER.validate_python({"kind": kind, **readable(body)})
