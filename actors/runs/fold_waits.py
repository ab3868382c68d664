"""The fold's share of waiting: timers, signals, decisions, children, and programs. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from ...skills.contracts import JsonValue, StructuredOutcome
from .events import (
    ChildEnded,
    ChildSpawned,
    DecisionMade,
    ProgramAdvanced,
    RunParked,
    RunStatus,
    RunWoken,
    SignalReceived,
    StepClosed,
    WaitBegan,
)
from .state import IllegalTransition, Phase, RunState, Step, Turn, step_in, with_step
from .waiting import answered, said


def _parked(state: RunState, event: RunParked) -> RunState:
    if state.in_flight or not state.epoch:
        raise IllegalTransition(f"run {state.run_id} is parked with calls under way")
    status = RunStatus.PAUSED if state.paused is not None else RunStatus.WAITING
    return replace(state, parked=event, status=status)


def _woken(state: RunState, event: RunWoken) -> RunState:
    if state.parked is None:
        raise IllegalTransition(f"run {state.run_id} is woken and was not parked")
    none = timedelta()
    rested = none if state.parked.timed else max(event.at - state.parked.at, none)
    return replace(
        state,
        parked=None,
        parked_for=state.parked_for + rested,
        status=RunStatus.RUNNING,
        epoch=event.epoch,
    )


def _wait_began(state: RunState, event: WaitBegan) -> RunState:
    step = replace(step_in(state, event.step_id, Phase.OPEN), phase=Phase.WAITING, wait=event)
    if event.signal is not None and (kept := state.signals.get(event.signal)):
        first, *others = kept
        state = replace(state, signals={**state.signals, event.signal: tuple(others)})
        return with_step(state, _succeeded(step, first.payload, first.large))
    return with_step(state, step)


def _spawned(state: RunState, event: ChildSpawned) -> RunState:
    step = step_in(state, event.step_id, Phase.WAITING)
    if step.wait is None or step.wait.child_run_id != event.child_run_id:
        raise IllegalTransition(f"step {event.step_id} does not wait for {event.child_run_id}")
    return with_step(state, replace(step, spawned=True))


def _closed(state: RunState, event: StepClosed) -> RunState:
    step = step_in(state, event.step_id, Phase.OPEN, Phase.WAITING)
    phase = Phase.SUCCEEDED if event.outcome.ok else Phase.FAILED
    return with_step(state, replace(step, phase=phase, outcome=event.outcome))


def _signalled(state: RunState, event: SignalReceived) -> RunState:
    for step in state.steps.values():
        if step.phase is Phase.WAITING and step.wait and step.wait.signal == event.name:
            return with_step(state, _succeeded(step, event.payload, event.large))
    kept = (*state.signals.get(event.name, ()), event)
    return replace(state, signals={**state.signals, event.name: kept})


def _decided(state: RunState, event: DecisionMade) -> RunState:
    step = step_in(state, event.step_id, Phase.WAITING)
    if step.wait is None or step.wait.question is None:
        raise IllegalTransition(f"step {event.step_id} asks nobody anything")
    if event.approved:
        return with_step(state, _succeeded(step, event.value, event.large))
    denied = StructuredOutcome.failure("ERR_DECISION_DENIED", event.comment)
    return with_step(state, replace(step, phase=Phase.FAILED, outcome=said(step, denied)))


def _child_ended(state: RunState, event: ChildEnded) -> RunState:
    step = step_in(state, event.step_id, Phase.WAITING)
    if step.wait is None or step.wait.child_run_id != event.child_run_id:
        raise IllegalTransition(f"step {event.step_id} does not wait for {event.child_run_id}")
    if event.status in (RunStatus.COMPLETED, RunStatus.PARTIAL):
        return with_step(state, _succeeded(step, event.answer, event.large))
    why = f"child run {event.child_run_id} is {event.status} with {event.code}: {event.message}"
    failed = StructuredOutcome.failure("ERR_CHILD_FAILED", why, details={"code": event.code})
    return with_step(state, replace(step, phase=Phase.FAILED, outcome=said(step, failed)))


def _advanced(state: RunState, event: ProgramAdvanced) -> RunState:
    if state.origin.program is None:
        raise IllegalTransition(f"run {state.run_id} has no program")
    for spec in event.requests:
        if spec.id in state.steps:
            raise IllegalTransition(f"step {spec.id} is asked for twice in run {state.run_id}")
        state = with_step(state, Step(spec, round=0))
    turn = Turn(state.news, event)
    return replace(state, turns=(*state.turns, turn), news=())


def _succeeded(step: Step, value: JsonValue, large: dict[str, str]) -> Step:
    return replace(step, phase=Phase.SUCCEEDED, outcome=answered(step, value), large=large)


WAITS: dict[type[Any], Callable[[RunState, Any], RunState]] = {
    RunParked: _parked,
    RunWoken: _woken,
    WaitBegan: _wait_began,
    ChildSpawned: _spawned,
    StepClosed: _closed,
    SignalReceived: _signalled,
    DecisionMade: _decided,
    ChildEnded: _child_ended,
    ProgramAdvanced: _advanced,
}
