"""Steps that wait: for a time, a signal, a person's decision, a child run. Pure.

They are steps with reserved skill names, so plans and programs use them like any other, and no
skill is called for them. A step that is ready begins to wait (`wait_began`), and ends when what it
waits for is there.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, Field, ValidationError, model_validator

from ...cluster.canonical import canonical
from ...skills.contracts import (
    Contract,
    Effects,
    JsonObject,
    JsonValue,
    RetryPolicy,
    SkillDescriptor,
    StructuredOutcome,
)
from .events import Event, StepClosed, WaitBegan
from .state import RunState, Step

TIMER, SIGNAL, DECISION, CHILD = "wait.timer", "wait.signal", "wait.decision", "run.child"
LONGEST_WAIT = timedelta(days=3_653)
DEEPEST_LINEAGE = 16


class TimerParams(Contract):
    """`seconds` from now, or `until` an instant. One that has passed ends the wait at once."""

    seconds: float | None = Field(default=None, ge=0, le=LONGEST_WAIT.total_seconds())
    until: AwareDatetime | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> TimerParams:
        if (self.seconds is None) == (self.until is None):
            raise ValueError("give either seconds or until")
        return self


class SignalParams(Contract):
    """A signal's name, and how many seconds to wait for it (None: as long as it takes)."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$")
    timeout_s: float | None = Field(default=None, ge=0, le=LONGEST_WAIT.total_seconds())


class DecisionParams(Contract):
    """What a person is asked, and how many seconds to wait for the answer."""

    question: str = Field(min_length=1, max_length=2_000)
    timeout_s: float | None = Field(default=None, ge=0, le=LONGEST_WAIT.total_seconds())


class ChildParams(Contract):
    """A run of another agent, or of the same one, or of a program."""

    goal: str = Field(min_length=1, max_length=100_000)
    agent: str | None = None
    program: str | None = None


_PARAMS: dict[str, tuple[type[Contract], str]] = {
    TIMER: (TimerParams, "Wait for a number of seconds, or until an instant."),
    SIGNAL: (SignalParams, "Wait for a named signal; the result is its payload."),
    DECISION: (DecisionParams, "Ask a person and wait for the answer."),
    CHILD: (ChildParams, "Run a goal as a child run; the result is its answer."),
}

WAITS: dict[str, SkillDescriptor] = {
    name: SkillDescriptor(
        name=name,
        version="1.0.0",
        summary=summary,
        input_schema=params.model_json_schema(),
        output_schema={},
        effects=Effects.PURE,
        retry=RetryPolicy(max_attempts=1),
    )
    for name, (params, summary) in _PARAMS.items()
}
"""What plans may name, as descriptors."""


def is_wait(step: Step) -> bool:
    """Whether a step is one of these, and no skill call."""
    return step.spec.skill in WAITS


def begin(state: RunState, step: Step, params: JsonObject, now: datetime) -> Event:
    """What a step that is ready becomes: it begins to wait, or ends at once because it cannot."""
    try:
        given: Any = _PARAMS[step.spec.skill][0].model_validate(params)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, issue['loc'])) or 'params'}: {issue['msg']}"
            for issue in error.errors()[:5]
        )
        return closed(step, now, StructuredOutcome.failure("ERR_VALIDATION_FAILED", problems))
    match given:
        case TimerParams():
            until = given.until or now + timedelta(seconds=given.seconds or 0.0)
            return WaitBegan(at=now, step_id=step.spec.id, until=min(until, now + LONGEST_WAIT))
        case SignalParams():
            until = _patience(now, given.timeout_s)
            return WaitBegan(at=now, step_id=step.spec.id, signal=given.name, until=until)
        case DecisionParams():
            until = _patience(now, given.timeout_s)
            return WaitBegan(at=now, step_id=step.spec.id, question=given.question, until=until)
        case _:
            return _child(state, step, given, now)


def _child(state: RunState, step: Step, given: ChildParams, now: datetime) -> Event:
    lineage = lineage_of(state)
    if len(lineage) > DEEPEST_LINEAGE:
        message = f"children of children, {len(lineage)} deep"
        return closed(step, now, StructuredOutcome.failure("ERR_CHILD_DEPTH", message))
    origin = state.origin
    program = given.program or ""
    if work_hash(given.agent or origin.agent_name, given.goal, program) in lineage:
        message = f"{given.goal[:80]!r} is what an ancestor of this run does"
        return closed(step, now, StructuredOutcome.failure("ERR_CHILD_CYCLE", message))
    child = child_run_id(state.run_id, step.spec.id, now)
    return WaitBegan(at=now, step_id=step.spec.id, child_run_id=str(child))


def lineage_of(state: RunState) -> tuple[str, ...]:
    """One hash for each piece of work from the root's to this run's own."""
    origin = state.origin
    above = () if origin.parent is None else origin.parent.lineage
    program = "" if origin.program is None else origin.program.name
    return (*above, work_hash(origin.agent_name, origin.goal, program))


def work_hash(agent: str, goal: str, program: str) -> str:
    """Short, for lineages: the same agent with the same goal is the same work."""
    return hashlib.sha256(canonical([agent, goal, program])).hexdigest()[:16]


def child_run_id(parent: UUID, step_id: str, now: datetime) -> UUID:
    """A UUIDv7 that follows from the parent's step: making the child twice makes one child."""
    digest = hashlib.sha256(f"{parent}/{step_id}/{now.isoformat()}".encode()).digest()
    raw = bytearray(round(now.timestamp() * 1000).to_bytes(6, "big") + digest[:10])
    raw[6] = raw[6] & 0x0F | 0x70
    raw[8] = raw[8] & 0x3F | 0x80
    return UUID(bytes=bytes(raw))


def due(step: Step, now: datetime) -> Event | None:
    """The end of a wait whose time has come."""
    wait = step.wait
    if wait is None or wait.until is None or wait.until > now:
        return None
    if wait.signal is None and wait.question is None:
        return closed(step, now, StructuredOutcome.success(wait.until.isoformat()))
    what = f"signal {wait.signal!r}" if wait.signal is not None else "decision"
    return closed(step, now, StructuredOutcome.failure("ERR_WAIT_TIMEOUT", f"no {what} came"))


def closed(step: Step, now: datetime, outcome: StructuredOutcome) -> StepClosed:
    """The end of a step that is no skill call."""
    return StepClosed(at=now, step_id=step.spec.id, outcome=said(step, outcome))


def said(step: Step, outcome: StructuredOutcome) -> StructuredOutcome:
    """An outcome in the name of a waiting step."""
    return outcome.model_copy(update={"skill": step.spec.skill, "version": step.spec.version})


def answered(step: Step, value: JsonValue) -> StructuredOutcome:
    """The outcome of a wait that ended with a value."""
    return said(step, StructuredOutcome.success(value))


def _patience(now: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)
