"""What is said to runs, made of runs and done about them: the shapes on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ...skills.contracts import JsonObject, JsonValue
from .models import Shape


def storable(text: str) -> str:
    """Text without NUL, which Postgres does not take."""
    if "\x00" in text:
        raise ValueError("Text must not contain NUL characters")
    return text


Words = Annotated[str, Field(max_length=2_000), AfterValidator(storable)]
StepId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")]


class Request(BaseModel):
    """Base of what is sent: other fields are refused."""

    model_config = ConfigDict(extra="forbid")


class SignalRequest(Request):
    """A named signal. One that nobody waits for yet is kept for whoever will."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")
    payload: JsonValue = None


class ReasonRequest(Request):
    """Why somebody cancels or pauses."""

    reason: Words = ""


class DecisionRequest(Request):
    """The answer to the question that a step waits with. `value` is the step's result."""

    step_id: StepId
    approved: bool
    value: JsonValue = None
    comment: Words = ""


class VerdictRequest(Request):
    """What a person says about an effect that may have happened. `output`: what it returned."""

    step_id: StepId
    verdict: Literal["happened", "did_not_happen", "retry", "fail", "compensate"]
    output: JsonValue = None
    reason: Words = ""


class PriorityRequest(Request):
    """A run's place in its agent's queue: higher goes first."""

    priority: int = Field(ge=-100, le=100)


class RepairRequest(Request):
    """What an operator does to a step: skip it, give it a result, or have it run again."""

    step_id: StepId
    action: Literal["skip", "set_result", "redrive"]
    output: JsonValue = None
    reason: Words = ""
    repeat_effects: bool = False


class ForkRequest(Request):
    """A new run from a step on. `overrides`: other params for it, or for steps after it."""

    step_id: StepId
    overrides: dict[StepId, JsonObject] = Field(default_factory=dict[str, JsonObject])
    goal: (
        Annotated[str, Field(min_length=1, max_length=10_000), AfterValidator(storable)] | None
    ) = None
    reason: Words = ""
    repeat_effects: bool = False


class RerunRequest(Request):
    """The same once more, from the start; or a dead letter once more, from where it was."""

    reason: Words = ""
    repeat_effects: bool = False


class StopRequest(Request):
    """Why nothing is to have effects any more. `everyone`: not this tenant alone."""

    reason: Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(storable)]
    everyone: bool = False


class ProgramRequest(Request):
    """A durable program: its text, and the async function in it."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_.-]{0,99}$")
    entry: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,99}$")
    source: Annotated[str, AfterValidator(storable)]


class MessageView(Shape):
    """Something that a run will hear. `number`: its place among all that was said to the run; null
    for a change of its priority, which is no message. `warning`: the value is nearly too large.
    """

    run_id: UUID
    kind: str
    number: int | None = None
    warning: str | None = None


class RepairView(Shape):
    """A repair. Of an unfinished run it is message `number` to it; of one that was over, `run_id`
    is a new run, and `derived_from` the old one.
    """

    run_id: UUID
    number: int | None = None
    derived_from: UUID | None = None


class DeadLetterView(Shape):
    """That a dead letter is off the list."""

    run_id: UUID
    action: str
    by: str
    reason: str = ""


class StopView(Shape):
    """An emergency stop in force. `everyone`: it is not one tenant's alone."""

    reason: str
    everyone: bool
    by: str
    since: datetime


class StopsView(Shape):
    """What holds this tenant's effects up now; nothing, if the list is empty. `woken`: how many
    runs go on at once, after a stop was lifted.
    """

    stops: list[StopView]
    woken: int | None = None


class ProgramView(Shape):
    """A program that runs can be made with."""

    name: str
    entry: str
    hash: str


class ProgramList(Shape):
    """What each name stands for now."""

    items: list[ProgramView]


class EligibilityView(Shape):
    """Why a run gets a process, or does not. `standing`: running, queued, starting, waiting,
    paused, stopped, in_doubt, not_installed, agent_quarantined, unreadable or over. `until`: when
    that may change by itself. `position` in its agent's queue, from 1.
    """

    run_id: UUID
    agent: str
    status: str
    standing: str
    eligible: bool
    why: str
    until: datetime | None = None
    position: int | None = None
    next_action: str = ""


class EligibilityPage(Shape):
    """Unfinished runs, oldest first. `next_cursor` is null on the last page."""

    items: list[EligibilityView]
    next_cursor: str | None
