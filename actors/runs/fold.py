"""`apply`: one event's consequence. Total over legal histories, and refuses the others. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any
from uuid import UUID

from ...skills.contracts import Effects, EffectState
from .backoff import after, backoff_ms
from .events import (
    ChildEnded,
    Event,
    Heard,
    Plan,
    ProgramAdvanced,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStatus,
    RunSubmitted,
    RunWoken,
    StepClosed,
    StepCompensated,
    StepIntended,
    StepReconciled,
    StepSettled,
)
from .fold_effects import EFFECTS
from .fold_outside import OUTSIDE
from .fold_waits import WAITS
from .state import (
    IllegalTransition,
    Phase,
    RunState,
    Step,
    ends_run,
    planner_step,
    round_over,
    step_in,
    with_step,
)


def fold(run_id: UUID, events: Iterable[Event]) -> RunState:
    """The state that a journal, in order of `seq` from 1, leads to."""
    state = RunState(run_id)
    for event in events:
        state = apply(state, event)
    return state


def apply(state: RunState, event: Event) -> RunState:
    """The state after one more event. Raises `IllegalTransition`."""
    if state.finished is not None:
        raise IllegalTransition(f"{event.kind} after run_finished in run {state.run_id}")
    if (state.submitted is None) != isinstance(event, RunSubmitted):
        raise IllegalTransition(f"{event.kind} at seq {state.seq + 1} of run {state.run_id}")
    if (state.parked is not None) and not isinstance(event, RunWoken):
        raise IllegalTransition(f"{event.kind} while run {state.run_id} is parked")
    if isinstance(event, Heard):
        if event.number != state.heard + 1:
            raise IllegalTransition(f"message {event.number} of {state.run_id} is out of order")
        state = replace(state, heard=event.number)
    state = _APPLY[type(event)](state, event)
    if isinstance(event, _PROGRESS):
        state = replace(state, crashes=0, progress_epoch=state.epoch)
    return replace(_advance(state), seq=state.seq + 1)


_PROGRESS = (StepSettled, StepReconciled, StepCompensated, StepClosed, ChildEnded, ProgramAdvanced)
"""What shows that an activation got somewhere."""


def _submitted(state: RunState, event: RunSubmitted) -> RunState:
    return replace(state, submitted=event)


def _started(state: RunState, event: RunStarted) -> RunState:
    if state.epoch:
        raise IllegalTransition(f"run {state.run_id} is started twice")
    return replace(state, status=RunStatus.RUNNING, epoch=event.epoch, started_at=event.at)


def _resumed(state: RunState, event: RunResumed) -> RunState:
    if not state.epoch:
        raise IllegalTransition(f"run {state.run_id} is resumed and never started")
    # The previous activation is fenced off: what it had under way will never be heard of.
    steps = {
        step_id: replace(step, phase=Phase.IN_DOUBT)
        if step.intended and step.phase is Phase.OPEN
        else step
        for step_id, step in state.steps.items()
    }
    return replace(
        state,
        status=RunStatus.RUNNING,
        epoch=event.epoch,
        crashes=state.crashes + 1,
        steps=steps,
        in_flight=frozenset(),
    )


def _intended(state: RunState, event: StepIntended) -> RunState:
    step = step_in(state, event.step_id, Phase.OPEN)
    if event.attempt != step.attempts + 1 or not step.spec.effects.must_not_repeat:
        raise IllegalTransition(f"the intent of {event.step_id} is not one of its next attempt")
    return with_step(
        replace(state, in_flight=state.in_flight | {event.step_id}), replace(step, intended=True)
    )


def _settled(state: RunState, event: StepSettled) -> RunState:
    step = step_in(state, event.step_id, Phase.OPEN)
    if event.attempt != step.attempts + 1:
        raise IllegalTransition(f"attempt {event.attempt} of {event.step_id} settles out of order")
    if step.spec.effects.must_not_repeat and not step.intended:
        raise IllegalTransition(f"{event.step_id} is unsafe and settles without an intent")
    state = replace(
        state,
        totals=state.totals.plus(event.outcome),
        in_flight=state.in_flight - {event.step_id},
    )
    state = with_step(state, _judge(state, step, event))
    return state if event.plan is None else _adopt(state, event.plan)


def _finished(state: RunState, event: RunFinished) -> RunState:
    if not event.status.final:
        raise IllegalTransition(f"run_finished with status {event.status}")
    return replace(state, status=event.status, finished=event, in_flight=frozenset())


_APPLY: dict[type[Any], Callable[[RunState, Any], RunState]] = {
    RunSubmitted: _submitted,
    RunStarted: _started,
    RunResumed: _resumed,
    StepIntended: _intended,
    StepSettled: _settled,
    RunFinished: _finished,
    **WAITS,
    **EFFECTS,
    **OUTSIDE,
}


def _judge(state: RunState, step: Step, event: StepSettled) -> Step:
    """What one attempt's outcome makes of its step: succeeded, failed, in doubt, or open again."""
    outcome = event.outcome
    judged = replace(
        step,
        attempts=event.attempt,
        outcome=outcome,
        large=event.large,
        intended=False,
        retry_at=None,
    )
    if outcome.ok:
        return replace(judged, phase=Phase.SUCCEEDED)
    unsafe = event.effects is Effects.UNSAFE
    if unsafe and outcome.effect is EffectState.UNKNOWN:
        return replace(judged, phase=Phase.IN_DOUBT)
    exhausted = event.attempt >= step.spec.retry.max_attempts
    done = unsafe and outcome.effect is EffectState.DONE
    if not outcome.retryable or exhausted or done:
        return replace(judged, phase=Phase.FAILED)
    delay = backoff_ms(step.spec.retry, event.attempt, state.step_seed(step.spec.id, event.attempt))
    return replace(judged, retry_at=after(event.at, max(delay, outcome.retry_after_ms or 0)))


def _adopt(state: RunState, plan: Plan) -> RunState:
    steps = dict(state.steps)
    for spec in plan.steps:
        if spec.id in steps:
            raise IllegalTransition(f"step {spec.id} is planned twice in run {state.run_id}")
        steps[spec.id] = Step(spec, round=state.round)
    return replace(
        state, plan=plan, memos=(*state.memos, (plan.memo, plan.memo_large)), steps=steps
    )


def _advance(state: RunState) -> RunState:
    """Open the first planning round, or the next one once the current is over without an answer."""
    if state.origin.program is not None or state.finished is not None:
        return state
    if state.round == 0:
        return _next_round(state)
    if not round_over(state) or state.plan is None or state.plan.has_answer:
        return state
    return state if any(map(ends_run, state.steps.values())) else _next_round(state)


def _next_round(state: RunState) -> RunState:
    step = planner_step(state, state.round + 1)
    return replace(
        state, round=state.round + 1, plan=None, steps={**state.steps, step.spec.id: step}
    )
