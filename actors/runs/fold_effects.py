"""The fold's share of effects that may have happened: reconciled, undone, withdrawn. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from ...skills.contracts import EffectState, RetryPolicy, StructuredOutcome
from .backoff import after, backoff_ms
from .events import (
    IntentWithdrawn,
    Source,
    StepCompensated,
    StepReconciled,
    Verdict,
)
from .state import IllegalTransition, Phase, RunState, Step, step_in, with_step

ASKED_AT_MOST = 3
"""Times that a reconciler is asked, and that undoing is tried, before somebody else decides."""
_PATIENCE = RetryPolicy(max_attempts=ASKED_AT_MOST, initial_delay_ms=1_000, max_delay_ms=30_000)


def _reconciled(state: RunState, event: StepReconciled) -> RunState:
    step = step_in(state, event.step_id, Phase.IN_DOUBT)
    landed = replace(state, in_flight=state.in_flight - {event.step_id}, heard=_heard(state, event))
    return with_step(landed, _judge(state, replace(step, retry_at=None), event))


def _heard(state: RunState, event: StepReconciled) -> int:
    if event.number and event.number != state.heard + 1:
        raise IllegalTransition(f"message {event.number} of {state.run_id} is out of order")
    return event.number or state.heard


def _judge(state: RunState, step: Step, event: StepReconciled) -> Step:
    match event.verdict:
        case Verdict.HAPPENED:
            done = _outcome(step, StructuredOutcome.success(event.output, effect=EffectState.DONE))
            return replace(step, phase=Phase.SUCCEEDED, outcome=done, large=event.large)
        case Verdict.RETRY:
            return _again(step)
        case Verdict.DID_NOT_HAPPEN:
            if step.outcome is not None and step.attempts >= step.spec.retry.max_attempts:
                known = step.outcome.model_copy(update={"effect": EffectState.NONE})
                return replace(step, phase=Phase.FAILED, outcome=known)
            return _again(step)
        case Verdict.FAIL:
            why = event.reason or f"given up by {event.source}"
            lost = StructuredOutcome.failure("ERR_IN_DOUBT", why, effect=EffectState.UNKNOWN)
            return replace(step, phase=Phase.FAILED, outcome=_outcome(step, lost))
        case Verdict.COMPENSATE:
            return replace(step, doubt=replace(step.doubt, undoing=True))
        case Verdict.UNCLEAR:
            asked = step.doubt.asked + (event.source is Source.HOOK)
            delay = backoff_ms(_PATIENCE, max(1, asked), state.step_seed(step.spec.id, asked))
            doubt = replace(step.doubt, asked=asked)
            return replace(step, doubt=doubt, retry_at=after(event.at, delay))


def _again(step: Step) -> Step:
    return replace(step, phase=Phase.OPEN, intended=False, doubt=type(step.doubt)())


def _compensated(state: RunState, event: StepCompensated) -> RunState:
    step = step_in(state, event.step_id, Phase.IN_DOUBT)
    undone = step.doubt.undone + 1
    if not step.doubt.undoing or event.attempt != undone:
        raise IllegalTransition(f"{event.step_id} is undone out of order in run {state.run_id}")
    state = replace(state, in_flight=state.in_flight - {event.step_id})
    if event.outcome.ok:
        code = StructuredOutcome.failure("ERR_COMPENSATED", f"{step.spec.skill} was undone")
        return with_step(state, replace(step, phase=Phase.FAILED, outcome=_outcome(step, code)))
    delay = backoff_ms(_PATIENCE, undone, state.step_seed(step.spec.id, undone))
    # In vain for the last time: it is not being undone any more, and a person has to see to it.
    doubt = replace(step.doubt, undone=undone, undoing=undone < ASKED_AT_MOST)
    return with_step(state, replace(step, doubt=doubt, retry_at=after(event.at, delay)))


def _withdrawn(state: RunState, event: IntentWithdrawn) -> RunState:
    step = step_in(state, event.step_id, Phase.OPEN)
    if not step.intended:
        raise IllegalTransition(f"{event.step_id} of run {state.run_id} has no intent to withdraw")
    state = replace(state, in_flight=state.in_flight - {event.step_id})
    return with_step(state, replace(step, intended=False))


def _outcome(step: Step, outcome: StructuredOutcome) -> StructuredOutcome:
    names = {"skill": step.spec.skill, "version": step.spec.version}
    return outcome.model_copy(update=names)


EFFECTS: dict[type[Any], Callable[[RunState, Any], RunState]] = {
    StepReconciled: _reconciled,
    StepCompensated: _compensated,
    IntentWithdrawn: _withdrawn,
}
