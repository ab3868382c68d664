"""What was said to a run becomes events: exactly one for each message, in order. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from ...skills.contracts import JsonObject
from .events import (
    Action,
    CancelRequested,
    ChildEnded,
    DecisionMade,
    Event,
    MessageIgnored,
    RunContinued,
    RunPaused,
    SignalReceived,
    Source,
    StepReconciled,
    StepRepaired,
    Verdict,
)
from .fold import apply
from .state import IllegalTransition, Phase, RunState


@dataclass(frozen=True, slots=True)
class Message:
    """One message. `body` is what the door checked; a run may have moved on since."""

    number: int
    kind: str
    by: str
    body: JsonObject


def hear(
    state: RunState, message: Message, now: datetime, *, large: dict[str, str] | None = None
) -> Event:
    """The event that a message becomes. What has no meaning any more becomes `message_ignored`:
    a message is never lost, and never stops a run. `large` as in `StepSettled`, for its value.
    """
    try:
        event = _event(state, message, now, large or {})
        apply(state, event)
    except (IllegalTransition, ValidationError, ValueError, KeyError, TypeError) as error:
        reason = error.detail if isinstance(error, IllegalTransition) else str(error)
        return MessageIgnored(
            at=now, number=message.number, by=message.by, about=message.kind, reason=reason[:500]
        )
    return event


def value_field(kind: str) -> str | None:
    """The field of a message's body that may hold a large value."""
    return {
        "signal": "payload", "decide": "value", "repair": "output", "verdict": "output",
        "child": "answer",
    }.get(kind)  # fmt: skip


def _event(state: RunState, message: Message, now: datetime, large: dict[str, str]) -> Event:
    said: dict[str, Any] = {
        **message.body, "at": now, "number": message.number, "by": message.by,
    }  # fmt: skip
    match message.kind:
        case "signal":
            return SignalReceived(**said, large=large)
        case "cancel":
            return CancelRequested(**said)
        case "pause":
            return RunPaused(**said)
        case "continue":
            return RunContinued(**said)
        case "decide":
            return DecisionMade(**said, large=large)
        case "child":
            return ChildEnded(**said, large=large)
        case "verdict":
            return _verdict(state, said, large)
        case "repair":
            said["action"] = Action(said["action"])
            return StepRepaired(**said, large=large)
        case _:
            raise ValueError(f"nobody knows what {message.kind!r} means")


def _verdict(state: RunState, said: dict[str, Any], large: dict[str, str]) -> StepReconciled:
    verdict = Verdict(said.pop("verdict"))
    step = state.steps.get(said["step_id"])
    if step is None or step.phase is not Phase.IN_DOUBT:
        raise ValueError(f"step {said['step_id']} is not in doubt")
    if said["step_id"] in state.in_flight:
        raise ValueError(f"step {said['step_id']} is being asked about at this moment")
    if verdict is Verdict.COMPENSATE and not step.spec.compensates:
        raise ValueError(f"{step.spec.skill} cannot undo what it did")
    return StepReconciled(**said, verdict=verdict, source=Source.PERSON, large=large)
