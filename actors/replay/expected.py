"""The events that a command may become, beside the one that is recorded. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ...cluster.canonical import canonical
from ...skills.contracts import JsonObject, JsonValue, StructuredOutcome
from ..runs.commands import Begin, Command, Dispatch, Finish, Park, Record, Spawn
from ..runs.events import (
    ChildSpawned,
    Event,
    RunFinished,
    RunParked,
    RunStatus,
    StepClosed,
    StepIntended,
    encode,
)
from ..runs.references import UnresolvedReference
from ..runs.state import RunState
from ..runs.waiting import begin, closed
from .contents import Contents, carries

_TEXTS = {"message", "reason", "details"}
_NOT_COMPARED = {"at"}


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first field in which an event is not the one that was expected."""

    field: str
    recorded: JsonValue
    attempted: JsonValue


def expected(
    state: RunState, command: Command, at: datetime, contents: Contents
) -> tuple[Event, ...]:
    """What a command may become at an instant; of a child run, that it was made or refused.

    A finished run's answer stands in it whole. Raises `MissingValue`.
    """
    match command:
        case Dispatch() if command.intent_first:
            return (intended(command, at),)
        case Begin(step_id):
            return (_begun(state, step_id, at, contents),)
        case Spawn(step_id):
            return _spawned(state, step_id, at)
        case Record(event):
            return (event,)
        case Park(until, reason, timed):
            return (RunParked(at=at, until=until, reason=reason, timed=timed),)
        case Finish():
            return (finished(state, command, at, contents),)
        case _:
            return ()


def intended(command: Dispatch, at: datetime) -> StepIntended:
    """The intent of a call that must not happen twice."""
    return StepIntended(
        at=at,
        step_id=command.step.id,
        attempt=command.attempt,
        skill=f"{command.step.skill}@{command.step.version}",
        idempotency_key=command.idempotency_key,
    )


def finished(state: RunState, command: Finish, at: datetime, contents: Contents) -> RunFinished:
    """The end of a run, with its whole answer. Raises `MissingValue`."""
    status, code, message, answer = command.status, command.code, command.message, None
    if status in (RunStatus.COMPLETED, RunStatus.PARTIAL):
        try:
            answer = _answer(state, command, contents)
        except UnresolvedReference as error:
            status, code, message = RunStatus.FAILED, "ERR_INVALID_REFERENCE", str(error)
    return RunFinished(at=at, status=status, code=code, message=message, answer=answer)


def _answer(state: RunState, command: Finish, contents: Contents) -> JsonValue:
    if state.origin.program is not None:
        return contents.whole(command.answer, state.turns[-1].advanced.large)
    template = contents.whole(command.answer, command.large)
    return template if command.literal else contents.answer(state, template)


def mismatch(recorded: Event, expected: Event, *, texts: bool) -> Mismatch | None:
    """The first field that is not the same; texts for people count only if `texts`."""
    if isinstance(recorded, RunFinished) and isinstance(expected, RunFinished):
        whole = expected.answer
        if not carries(recorded.answer, recorded.large, whole):
            return Mismatch("answer", recorded.answer, whole)
        kept: JsonObject = {"answer": None, "large": {}}
        recorded = recorded.model_copy(update=kept)
        expected = expected.model_copy(update=kept)
    elif isinstance(recorded, StepClosed) and recorded.at != expected.at:
        return Mismatch("at", recorded.at.isoformat(), expected.at.isoformat())
    ignored = _NOT_COMPARED if texts else _NOT_COMPARED | _TEXTS
    return _first(encode(recorded), encode(expected), ignored)


def _first(recorded: JsonObject, expected: JsonObject, ignored: set[str]) -> Mismatch | None:
    for name in sorted({*recorded, *expected} - ignored):
        one, other = recorded.get(name), expected.get(name)
        if isinstance(one, dict) and isinstance(other, dict):
            if (inner := _first(one, other, ignored)) is not None:
                return Mismatch(f"{name}.{inner.field}", inner.recorded, inner.attempted)
        elif canonical(one) != canonical(other):
            return Mismatch(name, one, other)
    return None


def _begun(state: RunState, step_id: str, at: datetime, contents: Contents) -> Event:
    step = state.steps[step_id]
    try:
        params = contents.params(state, step_id)
    except UnresolvedReference as error:
        return closed(step, at, StructuredOutcome.failure("ERR_INVALID_REFERENCE", str(error)))
    return begin(state, step, params, at)


def _spawned(state: RunState, step_id: str, at: datetime) -> tuple[Event, ...]:
    step = state.steps[step_id]
    child = step.wait.child_run_id if step.wait is not None else None
    refused = closed(step, at, StructuredOutcome.failure("ERR_CHILD_FAILED"))
    if child is None:
        return (refused,)
    return ChildSpawned(at=at, step_id=step_id, child_run_id=child), refused
