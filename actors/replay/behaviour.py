"""What counts as the same behaviour, as lines, and the signature over them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from uuid import UUID

from ...cluster.canonical import canonical
from ...skills.contracts import JsonValue, StructuredOutcome
from ..runs.events import (
    Event,
    ProgramAdvanced,
    RunFinished,
    StepClosed,
    StepCompensated,
    StepIntended,
    StepReconciled,
    StepRepaired,
    StepSettled,
    WaitBegan,
)
from ..runs.fold import apply
from ..runs.state import RunState

Line = tuple[JsonValue, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """Where two behaviours part: recorded beside attempted."""

    step_id: str
    recorded: str
    attempted: str


def behaviour(run_id: UUID, events: Iterable[Event]) -> list[Line]:
    """The lines of a journal's behaviour, in order. Raises `IllegalTransition`."""
    state, lines = RunState(run_id), list[Line]()
    for event in events:
        state = apply(state, event)
        if (line := _line(state, event)) is not None:
            lines.append(line)
    return lines


def signature(lines: Sequence[Line]) -> str:
    """`sha256:` and 64 hex digits over the lines."""
    digest = hashlib.sha256(b"aos-behaviour/1\n")
    for line in lines:
        digest.update(canonical(list(line)) + b"\n")
    return f"sha256:{digest.hexdigest()}"


def first_difference(recorded: Sequence[Line], attempted: Sequence[Line]) -> Difference | None:
    """The first line that is not the same in both."""
    for one, other in zip_longest(recorded, attempted):
        if one != other:
            step = one or other or ("", "")
            return Difference(str(step[1]) if step[0] != "finished" else "", told(one), told(other))
    return None


def told(line: Line | None) -> str:
    """A line as people read it."""
    if line is None:
        return "nothing more"
    return " ".join(
        each if isinstance(each, str) else canonical(each).decode()
        for each in line
        if each is not None
    )


def _line(state: RunState, event: Event) -> Line | None:
    match event:
        case StepIntended():
            return "intended", event.step_id, event.attempt
        case StepSettled():
            spec = state.steps[event.step_id].spec
            skill = f"{spec.skill}@{spec.version}"
            end = _outcome(event.outcome)
            return "settled", event.step_id, skill, event.attempt, event.effects.value, *end
        case StepCompensated():
            return "compensated", event.step_id, event.attempt, *_outcome(event.outcome)
        case StepReconciled():
            return "reconciled", event.step_id, event.verdict.value, event.source.value
        case StepRepaired():
            return "repaired", event.step_id, event.action.value
        case WaitBegan():
            return "waits", event.step_id, _what_for(event)
        case StepClosed():
            return "closed", event.step_id, event.outcome.code
        case ProgramAdvanced():
            asked = [f"{each.id} {each.skill}" for each in event.requests]
            code = event.error.code if event.error else None
            return "advanced", ",".join(asked), list(event.abandoned), event.finished, code
        case RunFinished():
            return "finished", event.status.value, event.code
        case _:
            return None


def _outcome(outcome: StructuredOutcome) -> Line:
    done: list[JsonValue] = [
        [each.type, each.target, each.reversible] for each in outcome.side_effects
    ]
    tokens: list[JsonValue] = [
        [each.model, each.input_tokens, each.output_tokens] for each in outcome.usage
    ]
    return (
        outcome.code, outcome.retryable, outcome.effect.value, done or None,
        outcome.cost_microusd, tokens or None,
    )  # fmt: skip


def _what_for(event: WaitBegan) -> str:
    if event.signal is not None:
        return f"signal {event.signal}"
    if event.question is not None:
        return f"decision {event.question}"
    return "timer" if event.child_run_id is None else "child"
