"""What a journal can contain. Frozen, versioned; old versions are upcast when read."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, TypeAdapter

from ...cluster.canonical import readable
from ...skills.contracts import AgentProfile, Effects, StructuredOutcome
from ...skills.contracts.values import JsonObject, JsonValue
from .heard import (
    CancelRequested,
    ChildEnded,
    DecisionMade,
    Heard,
    MessageIgnored,
    RunContinued,
    RunPaused,
    SignalReceived,
    StepRepaired,
)
from .words import (
    Action,
    Derivation,
    Derived,
    Journaled,
    OnError,
    Parent,
    Plan,
    PlannedStep,
    ProgramError,
    ProgramRef,
    RunStatus,
    Source,
    Verdict,
)

__all__ = [
    "KINDS",
    "Action",
    "CancelRequested",
    "ChildEnded",
    "ChildSpawned",
    "DecisionMade",
    "Derivation",
    "Derived",
    "Event",
    "Heard",
    "IntentWithdrawn",
    "Journaled",
    "MessageIgnored",
    "OnError",
    "Parent",
    "Plan",
    "PlannedStep",
    "ProgramAdvanced",
    "ProgramError",
    "ProgramRef",
    "RunContinued",
    "RunFinished",
    "RunParked",
    "RunPaused",
    "RunResumed",
    "RunStarted",
    "RunStatus",
    "RunSubmitted",
    "RunWoken",
    "SignalReceived",
    "Source",
    "StepClosed",
    "StepCompensated",
    "StepIntended",
    "StepReconciled",
    "StepRepaired",
    "StepSettled",
    "Verdict",
    "WaitBegan",
    "decode",
    "encode",
]


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
    program: ProgramRef | None = None
    parent: Parent | None = None
    derived: Derived | None = None
    overrides: dict[str, JsonObject] = Field(default_factory=dict[str, JsonObject])


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


class StepReconciled(Journaled):
    """Something was said about a step in doubt. `number` is that of a person's message, else 0."""

    kind: Literal["step_reconciled"] = "step_reconciled"
    step_id: str
    verdict: Verdict
    source: Source
    output: JsonValue = None
    large: dict[str, str] = Field(default_factory=dict[str, str])
    by: str = ""
    reason: str = ""
    number: int = 0


class StepCompensated(Journaled):
    """An attempt to undo a step's effect ended."""

    kind: Literal["step_compensated"] = "step_compensated"
    step_id: str
    attempt: int
    outcome: StructuredOutcome


class IntentWithdrawn(Journaled):
    """An intent was committed and its call never made: nothing has happened."""

    kind: Literal["intent_withdrawn"] = "intent_withdrawn"
    step_id: str
    reason: str


class WaitBegan(Journaled):
    """A step waits. Which of the fields it has says for what: a signal's name, a child, a question;
    `until` alone is a timer, and beside one of them the end of patience.
    """

    kind: Literal["wait_began"] = "wait_began"
    step_id: str
    until: datetime | None = None
    signal: str | None = None
    child_run_id: str | None = None
    question: str | None = None


class ChildSpawned(Journaled):
    """The child run that a step waits for exists."""

    kind: Literal["child_spawned"] = "child_spawned"
    step_id: str
    child_run_id: str


class StepClosed(Journaled):
    """A step that is no skill call ended: its time came, its patience ended, it was refused."""

    kind: Literal["step_closed"] = "step_closed"
    step_id: str
    outcome: StructuredOutcome


class RunParked(Journaled):
    """Nothing is under way, and nothing to do before `until` or before somebody says something.
    From here on the run holds no process. `timed`: its time limit goes on counting.
    """

    kind: Literal["run_parked"] = "run_parked"
    until: datetime | None = None
    reason: str = ""
    timed: bool = False


class RunWoken(Journaled):
    """An activation took up a parked run. No process died over it."""

    kind: Literal["run_woken"] = "run_woken"
    epoch: int


class ProgramAdvanced(Journaled):
    """A program was told what had come of its awaits, and ran until it could do nothing but wait.

    `requests` are its new steps. `error` is its own exception, which ends the run.
    """

    kind: Literal["program_advanced"] = "program_advanced"
    requests: tuple[PlannedStep, ...] = ()
    abandoned: tuple[str, ...] = ()
    patches: tuple[str, ...] = ()
    finished: bool = False
    answer: JsonValue = None
    large: dict[str, str] = Field(default_factory=dict[str, str])
    error: ProgramError | None = None


class RunFinished(Journaled):
    """The last event of every run. `large` as in `StepSettled`, for the answer."""

    kind: Literal["run_finished"] = "run_finished"
    status: RunStatus
    code: str
    message: str = ""
    answer: JsonValue = None
    large: dict[str, str] = Field(default_factory=dict[str, str])


Event = Annotated[
    RunSubmitted | RunStarted | RunResumed | RunParked | RunWoken | RunFinished
    | StepIntended | StepSettled | StepReconciled | StepCompensated | IntentWithdrawn
    | WaitBegan | ChildSpawned | StepClosed | ProgramAdvanced
    | SignalReceived | DecisionMade | ChildEnded | CancelRequested | RunPaused | RunContinued
    | StepRepaired | MessageIgnored,
    Discriminator("kind"),
]  # fmt: skip
KINDS: tuple[type[Journaled], ...] = (
    RunSubmitted, RunStarted, RunResumed, RunParked, RunWoken, RunFinished,
    StepIntended, StepSettled, StepReconciled, StepCompensated, IntentWithdrawn,
    WaitBegan, ChildSpawned, StepClosed, ProgramAdvanced,
    SignalReceived, DecisionMade, ChildEnded, CancelRequested, RunPaused, RunContinued,
    StepRepaired, MessageIgnored,
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
