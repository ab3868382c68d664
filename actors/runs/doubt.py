"""What to do about effects that may have happened. Pure.

In this order: the skill's own reconciler is asked; if it cannot tell, the profile's policy decides;
if that is to ask, a person does. Nothing else of the run is begun meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from ...skills.call import Mode
from ...skills.contracts import InDoubtPolicy
from .commands import Command, Dispatch, Finish, Park, Record, WaitUntil
from .events import RunStatus, Source, StepReconciled, Verdict
from .fold_effects import ASKED_AT_MOST
from .state import Phase, RunState, Step


def in_doubt(state: RunState) -> Iterator[Step]:
    """The steps whose effect may have happened or not."""
    return (step for step in state.steps.values() if step.phase is Phase.IN_DOUBT)


def resolve_doubt(state: RunState, now: datetime) -> tuple[Command, ...] | None:
    """What to do about the steps in doubt, or None if there are none."""
    doubted = list(in_doubt(state))
    if not doubted:
        return None
    said = [_resolve(state, step, now) for step in doubted if step.spec.id not in state.in_flight]
    # What is under way is let come to its end before anything ends the run.
    acts = tuple(each for each in said if isinstance(each, Dispatch | Record))
    if acts or state.in_flight:
        return (*acts, WaitUntil(state.deadline))
    for each in said:
        if isinstance(each, Finish):
            return (each,)
    times = [each.until for each in said if isinstance(each, Park) and each.until is not None]
    if times:
        return (Park(min(times), "an effect is in doubt: it is asked about again"),)
    return (Park(None, f"a person has to decide about {doubted[0].spec.id}"),)


def _resolve(state: RunState, step: Step, now: datetime) -> Command:
    if step.retry_at is not None and step.retry_at > now and _goes_on(step):
        return Park(step.retry_at, "")
    if step.doubt.undoing:
        return _hook(state, step, Mode.COMPENSATE, step.doubt.undone + 1)
    if step.spec.reconciles and step.doubt.asked < ASKED_AT_MOST:
        return _hook(state, step, Mode.RECONCILE, step.doubt.asked + 1)
    return _by_policy(state, step, now)


def _goes_on(step: Step) -> bool:
    return step.doubt.undoing or (step.spec.reconciles and step.doubt.asked < ASKED_AT_MOST)


def _hook(state: RunState, step: Step, mode: Mode, attempt: int) -> Dispatch:
    key = state.idempotency_key(step.spec.id)
    return Dispatch(
        step=step.spec,
        attempt=attempt,
        seed=state.step_seed(step.spec.id, attempt),
        idempotency_key=key,
        intent_first=False,
        plans=False,
        mode=mode,
    )


def _by_policy(state: RunState, step: Step, now: datetime) -> Command:
    policy = state.origin.profile.on_in_doubt
    tried = step.doubt.undone >= ASKED_AT_MOST
    if policy is InDoubtPolicy.RETRY and step.attempts < step.spec.retry.max_attempts:
        return Record(_verdict(step, Verdict.RETRY, now))
    if policy is InDoubtPolicy.COMPENSATE and step.spec.compensates and not tried:
        return Record(_verdict(step, Verdict.COMPENSATE, now))
    if policy is InDoubtPolicy.ASK:
        return Park(None, "")
    return doubt_ends(state, step)


def _verdict(step: Step, verdict: Verdict, now: datetime) -> StepReconciled:
    return StepReconciled(at=now, step_id=step.spec.id, verdict=verdict, source=Source.POLICY)


def doubt_ends(state: RunState, step: Step) -> Finish:
    """The end of a run for the sake of a step in doubt."""
    policy = state.origin.profile.on_in_doubt
    status = RunStatus.FAILED if policy is InDoubtPolicy.FAIL else RunStatus.QUARANTINED
    key = state.idempotency_key(step.spec.id)
    message = f"step {step.spec.id} ({step.spec.skill}) may have happened or not; its key is {key}"
    return Finish(status, "ERR_IN_DOUBT", message)
