"""The fold's share of what people say to a run: cancel, pause, repair. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...skills.contracts import StructuredOutcome
from .events import (
    Action,
    CancelRequested,
    MessageIgnored,
    RunContinued,
    RunPaused,
    StepRepaired,
)
from .state import Doubt, IllegalTransition, Phase, RunState, Step, with_step


def _cancelled(state: RunState, event: CancelRequested) -> RunState:
    return replace(state, cancelling=state.cancelling or event)


def _paused(state: RunState, event: RunPaused) -> RunState:
    return replace(state, paused=event)


def _continued(state: RunState, event: RunContinued) -> RunState:
    return replace(state, paused=None)


def _ignored(state: RunState, event: MessageIgnored) -> RunState:
    return state


def _repaired(state: RunState, event: StepRepaired) -> RunState:
    step = state.steps.get(event.step_id)
    if step is None or step.over or event.step_id in state.in_flight:
        raise IllegalTransition(f"step {event.step_id} of run {state.run_id} cannot be repaired")
    return with_step(state, _set_right(step, event))


def _set_right(step: Step, event: StepRepaired) -> Step:
    if event.action is Action.REDRIVE:
        # A new effect by an operator's word: a new key, or the target would take it for the old.
        group = step.group + 1 if step.phase is Phase.IN_DOUBT else step.group
        return replace(
            step, phase=Phase.OPEN, group=group, intended=False, retry_at=None, attempts=0,
            outcome=None, doubt=Doubt(), wait=None, spawned=False,
        )  # fmt: skip
    value = event.output if event.action is Action.SET_RESULT else None
    by = f"{event.action.value} by {event.by or 'an operator'}"
    outcome = StructuredOutcome.success(
        value, message=by, skill=step.spec.skill, version=step.spec.version
    )
    return replace(
        step, phase=Phase.SUCCEEDED, outcome=outcome, large=event.large, intended=False,
        retry_at=None,
    )  # fmt: skip


OUTSIDE: dict[type[Any], Callable[[RunState, Any], RunState]] = {
    CancelRequested: _cancelled,
    RunPaused: _paused,
    RunContinued: _continued,
    MessageIgnored: _ignored,
    StepRepaired: _repaired,
}
