"""Rows and folds as what is shown. Pure: nothing here reads or decides anything.

What is not shown: profiles and seeds inside journals, idempotency keys of others' requests, and the
`details` of outcomes, which may quote a traceback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from ..actors.roster import RegisteredAgent
from ..actors.runs.events import (
    Plan,
    RunFinished,
    RunResumed,
    RunStarted,
    RunSubmitted,
    StepIntended,
    StepSettled,
)
from ..actors.runs.fold import fold
from ..actors.runs.state import Phase, RunState, Step, unreachable
from ..actors.runs.store import Recorded
from ..cluster.postgres import Row
from .client.models import AgentView, RunSummary, RunView, StepView, SupervisionEvent, Totals


def agent_view(agent: RegisteredAgent) -> AgentView:
    """An agent as it is answered."""
    return AgentView(
        id=agent.agent_id,
        name=agent.profile.name,
        profile=agent.profile,
        state=agent.state,
        epoch=agent.epoch,
        host=agent.host,
        pid=agent.pid,
        created_at=agent.created_at,
        activated_at=agent.activated_at,
        quarantined_until=agent.quarantined_until,
    )


def run_summary(row: Row) -> RunSummary:
    """A run's projection as lists show it."""
    return RunSummary(**_summary(row))


def run_view(row: Row, journal: Iterable[Recorded]) -> RunView:
    """A run's projection, with what its journal says about its steps and its answer."""
    events = [recorded.event for recorded in journal]
    state = fold(row["run_id"], events)
    settled = [event for event in events if isinstance(event, StepSettled)]
    return RunView(
        **_summary(row),
        answer=state.finished.answer if state.finished else None,
        steps=[_step(state, step, settled) for step in state.steps.values()],
        resumes=sum(isinstance(event, RunResumed) for event in events),
    )


def supervision_event(row: Row) -> SupervisionEvent:
    """What a supervisor did."""
    renamed = {"id": row["event_id"], "tenant": row["tenant_id"]}
    shown = {name: row[name] for name in SupervisionEvent.model_fields if name not in renamed}
    return SupervisionEvent(**renamed, **shown)


def event_data(recorded: Recorded) -> dict[str, Any]:
    """A journal event as streams show it: the common fields, then those of its kind."""
    event = recorded.event
    return {
        "seq": recorded.seq,
        "at": event.at.isoformat(),
        "kind": event.kind,
        **_SHOWN[type(event)](event),
    }


def _summary(row: Row) -> dict[str, Any]:
    return {
        "id": row["run_id"],
        "agent": row["agent_name"],
        "totals": Totals.model_validate(
            {name: row[name] for name in Totals.model_fields}
        ),
        "duration_ms": _milliseconds(row["created_at"], row["finished_at"]),
        **{
            name: row[name]
            for name in (
                "agent_id", "goal", "status", "planner", "priority", "trace_id", "last_seq", "code",
                "message", "created_at", "started_at", "finished_at",
            )
        },
    }  # fmt: skip


def _milliseconds(begin: datetime, end: datetime | None) -> int | None:
    """Not below zero: Postgres writes the one and the agent's machine the other."""
    return None if end is None else max(0, round((end - begin).total_seconds() * 1000))


def _step(state: RunState, step: Step, settled: Iterable[StepSettled]) -> StepView:
    outcomes = [event.outcome for event in settled if event.step_id == step.spec.id]
    return StepView(
        id=step.spec.id,
        skill=step.spec.skill,
        version=step.spec.version,
        round=step.round,
        plans=step.plans,
        status=_step_status(state, step),
        code=step.outcome.code if step.outcome else None,
        attempts=step.attempts,
        duration_ms=sum(outcome.duration_ms for outcome in outcomes),
        cost_microusd=sum(outcome.cost_microusd for outcome in outcomes),
        message=step.outcome.message if step.outcome else "",
    )


def _step_status(state: RunState, step: Step) -> str:
    if step.phase is Phase.OPEN and (state.finished is not None or unreachable(state, step)):
        return "skipped"
    return step.phase.value


def _submitted(event: RunSubmitted) -> dict[str, Any]:
    names = ("agent_id", "agent_name", "goal", "planner", "trace_id", "code_version")
    return {name: getattr(event, name) for name in names}


def _activated(event: RunStarted | RunResumed) -> dict[str, Any]:
    return {"epoch": event.epoch}


def _intended(event: StepIntended) -> dict[str, Any]:
    return {
        "step_id": event.step_id,
        "attempt": event.attempt,
        "skill": event.skill,
        "idempotency_key": event.idempotency_key,
    }


def _settled(event: StepSettled) -> dict[str, Any]:
    outcome = event.outcome
    shown: dict[str, Any] = {
        "step_id": event.step_id,
        "attempt": event.attempt,
        "effects": event.effects.value,
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
    if event.plan is not None:
        return {**shown, "plan": _plan(event.plan)}
    return {**shown, "output": outcome.output, "large": event.large}


def _plan(plan: Plan) -> dict[str, Any]:
    steps = [
        {
            "id": step.id,
            "skill": step.skill,
            "version": step.version,
            "depends_on": list(step.depends_on),
        }
        for step in plan.steps
    ]
    return {"steps": steps, "answers": plan.answer is not None}


def _finished(event: RunFinished) -> dict[str, Any]:
    return {
        "status": event.status.value,
        "code": event.code,
        "message": event.message,
        "answer": event.answer,
        "large": event.large,
    }


_SHOWN: dict[type[Any], Callable[[Any], dict[str, Any]]] = {
    RunSubmitted: _submitted,
    RunStarted: _activated,
    RunResumed: _activated,
    StepIntended: _intended,
    StepSettled: _settled,
    RunFinished: _finished,
}
