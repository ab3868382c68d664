"""Rows and folds as what is shown. Pure: nothing here reads or decides anything.

What is not shown: idempotency keys of others' requests, and the `details` of outcomes, which may
quote a traceback.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from ..actors.roster import RegisteredAgent
from ..actors.runs.control import waits_for
from ..actors.runs.eligibility import wake_time
from ..actors.runs.events import RunResumed, StepSettled
from ..actors.runs.fold import fold
from ..actors.runs.state import Phase, RunState, Step, unreachable
from ..actors.runs.store import Recorded
from ..cluster.postgres import Row
from .client.models import (
    AgentView,
    RunPage,
    RunSummary,
    RunView,
    StepView,
    SupervisionEvent,
    Totals,
)
from .pages import cursor_of


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


def run_page(rows: Iterable[Row], last: Row | None) -> RunPage:
    """A page of them; `last` is its last row if there is more."""
    return RunPage(
        items=[run_summary(row) for row in rows],
        next_cursor=cursor_of(last["run_id"]) if last else None,
    )


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
                "message", "created_at", "started_at", "finished_at", "parent_run_id",
                "derived_from", "derived_how", "program",
            )
        },
        "waits_for": None if row["finished_at"] else row["waits_for"],
        "wake_at": None if row["finished_at"] else wake_time(row["wake_at"]),
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
        waits_for=waits_for(step) if step.phase is Phase.WAITING else None,
        until=step.wait.until if step.phase is Phase.WAITING and step.wait else None,
        child_run_id=_child(step),
    )


def _child(step: Step) -> UUID | None:
    if step.wait is None or step.wait.child_run_id is None or not step.spawned:
        return None
    return UUID(step.wait.child_run_id)


def _step_status(state: RunState, step: Step) -> str:
    if step.phase is Phase.OPEN and (state.finished is not None or unreachable(state, step)):
        return "skipped"
    return step.phase.value
