"""Journal events as streams show them. Pure, and total: every kind that there is can be shown.

What is not shown: profiles and seeds inside journals, the params of calls, and the `details` of
outcomes, which may quote a traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ..actors.runs.events import (
    Plan,
    PlannedStep,
    ProgramAdvanced,
    RunSubmitted,
    StepClosed,
    StepCompensated,
    StepSettled,
)
from ..actors.runs.store import Recorded
from ..skills.contracts import StructuredOutcome


def event_data(recorded: Recorded) -> dict[str, Any]:
    """A journal event as streams show it: the common fields, then those of its kind."""
    event = recorded.event
    shown = _SHOWN.get(type(event), _whole)
    return {
        "seq": recorded.seq,
        "at": event.at.isoformat(),
        "kind": event.kind,
        **shown(event),
    }


def _whole(event: Any) -> dict[str, Any]:
    """All that it has, fields at their default included."""
    return event.model_dump(mode="json", exclude={"kind", "at"})


def _submitted(event: RunSubmitted) -> dict[str, Any]:
    names = ("agent_id", "agent_name", "goal", "planner", "trace_id", "code_version")
    shown = {name: getattr(event, name) for name in names}
    for name in ("program", "parent", "derived"):
        if (value := getattr(event, name)) is not None:
            shown[name] = value.model_dump(mode="json", exclude={"lineage"})
    if event.overrides:
        shown["overrides"] = event.overrides
    return shown


def _settled(event: StepSettled) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "step_id": event.step_id,
        "attempt": event.attempt,
        "effects": event.effects.value,
        **_outcome(event.outcome),
    }
    if event.plan is not None:
        return {**shown, "plan": _plan(event.plan)}
    return {**shown, "output": event.outcome.output, "large": event.large}


def _closed(event: StepClosed) -> dict[str, Any]:
    return {
        "step_id": event.step_id, **_outcome(event.outcome), "output": event.outcome.output,
    }  # fmt: skip


def _compensated(event: StepCompensated) -> dict[str, Any]:
    return {"step_id": event.step_id, "attempt": event.attempt, **_outcome(event.outcome)}


def _outcome(outcome: StructuredOutcome) -> dict[str, Any]:
    return {
        "skill": outcome.skill,
        "version": outcome.version,
        "status": outcome.status.value,
        "code": outcome.code,
        "message": outcome.message,
        "retryable": outcome.retryable,
        "duration_ms": outcome.duration_ms,
        "cost_microusd": outcome.cost_microusd,
        "usage": [usage.model_dump() for usage in outcome.usage],
    }


def _advanced(event: ProgramAdvanced) -> dict[str, Any]:
    return {
        **event.model_dump(mode="json", exclude={"kind", "at", "requests"}),
        "requests": _steps(event.requests),
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {"steps": _steps(plan.steps), "answers": plan.has_answer}


def _steps(steps: Iterable[PlannedStep]) -> list[dict[str, Any]]:
    return [
        {
            "id": step.id,
            "skill": step.skill,
            "version": step.version,
            "depends_on": list(step.depends_on),
            **({"line": step.line} if step.line else {}),
        }
        for step in steps
    ]


_SHOWN: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    RunSubmitted: _submitted,
    StepSettled: _settled,
    StepClosed: _closed,
    StepCompensated: _compensated,
    ProgramAdvanced: _advanced,
}
