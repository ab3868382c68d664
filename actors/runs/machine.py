"""`decide(state, now)`: the one place where it is decided what a run does next. Pure.

Read it as a table, first row that applies:

    finished                            nothing
    resumed 3 times without progress    finish: quarantined, ERR_POISON_RUN (*)
    past its deadline                   finish: failed, ERR_RUN_TIMEOUT (*)
    something in doubt or failed        let what is under way end, then finish accordingly
    too many rounds                     finish: failed, ERR_TOO_MANY_ROUNDS
    the round has its answer            finish: completed, or partial when steps of it failed
    otherwise                           dispatch every ready step; else wait for the next retry

(*) but ERR_IN_DOUBT if an unsafe step has an intent and no outcome: that is told before all else.

Commands name steps; the shell resolves references, reserves, calls and appends what came of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from ...skills.contracts import InDoubtPolicy
from ...skills.contracts.values import JsonValue
from .events import PlannedStep, RunStatus
from .state import Phase, RunState, Step, ends_run, round_over, round_steps, unreachable_steps

POISON_AFTER = 3
"""Activations in a row that died over a run without committing an outcome."""


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Call a skill. `intent_first`: commit the intent before, because it must not happen twice."""

    step: PlannedStep
    attempt: int
    seed: int
    idempotency_key: str
    intent_first: bool
    plans: bool


@dataclass(frozen=True, slots=True)
class WaitUntil:
    """Nothing to do before this instant."""

    instant: datetime


@dataclass(frozen=True, slots=True)
class Finish:
    """End the run. `answer` may hold references; a completed run's are resolved by the shell."""

    status: RunStatus
    code: str
    message: str = ""
    answer: JsonValue = None


Command = Dispatch | WaitUntil | Finish


def decide(state: RunState, now: datetime) -> tuple[Command, ...]:
    """What to do next. Nothing but a wait: for an outcome under way, a retry or the deadline."""
    if state.finished is not None:
        return ()
    deadline = state.origin.at + timedelta(seconds=state.origin.profile.limits.run_timeout_s)
    if (cut := _cut_short(state, now, deadline)) is not None:
        return (cut,)
    if (ending := _ending(state)) is not None:
        return (WaitUntil(deadline),) if state.in_flight else (ending,)
    return _work(state, now, deadline)


def _cut_short(state: RunState, now: datetime, deadline: datetime) -> Finish | None:
    """The end of a run that is not let go on; an effect nobody knows of is told before all else."""
    poisoned = state.crashes >= POISON_AFTER
    if not poisoned and now < deadline:
        return None
    for step in state.steps.values():
        if step.phase is Phase.IN_DOUBT or (step.intended and step.phase is Phase.OPEN):
            return _in_doubt(state, step)
    if poisoned:
        return _poisoned(state)
    limit = state.origin.profile.limits.run_timeout_s
    message = f"the run took longer than its limit of {limit:g} s"
    return Finish(RunStatus.FAILED, "ERR_RUN_TIMEOUT", message)


def _poisoned(state: RunState) -> Finish:
    hung = sorted(step.spec.id for step in _startable(state))
    message = (
        f"{state.crashes} activations in a row died without an outcome; "
        f"under way or next: {', '.join(hung) or 'nothing'}"
    )
    return Finish(RunStatus.QUARANTINED, "ERR_POISON_RUN", message)


def _ending(state: RunState) -> Finish | None:
    for step in state.steps.values():
        if step.phase is Phase.IN_DOUBT:
            return _in_doubt(state, step)
    for step in state.steps.values():
        if ends_run(step) and step.outcome is not None:
            message = f"step {step.spec.id}: {step.outcome.message}"
            return Finish(RunStatus.FAILED, step.outcome.code, message)
    limits = state.origin.profile.limits
    if state.round > limits.max_rounds:
        message = f"no answer after {limits.max_rounds} rounds of planning"
        return Finish(RunStatus.FAILED, "ERR_TOO_MANY_ROUNDS", message)
    if round_over(state) and state.plan is not None and state.plan.answer is not None:
        return _answered(state, state.plan.answer)
    return None


def _in_doubt(state: RunState, step: Step) -> Finish:
    policy = state.origin.profile.on_in_doubt
    status = RunStatus.FAILED if policy is InDoubtPolicy.FAIL else RunStatus.QUARANTINED
    key = state.idempotency_key(step.spec.id)
    message = f"step {step.spec.id} ({step.spec.skill}) may have happened or not; its key is {key}"
    return Finish(status, "ERR_IN_DOUBT", message)


def _answered(state: RunState, answer: JsonValue) -> Finish:
    lost = [step.spec.id for step in round_steps(state) if step.phase is not Phase.SUCCEEDED]
    if lost:
        return Finish(RunStatus.PARTIAL, "OK", f"without {', '.join(lost)}", answer)
    return Finish(RunStatus.COMPLETED, "OK", "", answer)


def _work(state: RunState, now: datetime, deadline: datetime) -> tuple[Command, ...]:
    startable = _startable(state)
    ready = [step for step in startable if step.retry_at is None or step.retry_at <= now]
    dispatches = tuple(_dispatch(state, step) for step in ready)
    waits = [step.retry_at for step in startable if step.retry_at and step.retry_at > now]
    return (*dispatches, WaitUntil(min([*waits, deadline])))


def _startable(state: RunState) -> list[Step]:
    """Steps that are open, not under way here, and have everything they need."""
    lost = unreachable_steps(state)
    return [
        step
        for step_id, step in state.steps.items()
        if step.phase is Phase.OPEN
        and step_id not in state.in_flight
        and step_id not in lost
        and all(needed.phase is Phase.SUCCEEDED for needed in _needs(state, step))
    ]


def _needs(state: RunState, step: Step) -> Iterator[Step]:
    return (state.steps[step_id] for step_id in step.spec.depends_on)


def _dispatch(state: RunState, step: Step) -> Dispatch:
    attempt = step.attempts + 1
    return Dispatch(
        step=step.spec,
        attempt=attempt,
        seed=state.step_seed(step.spec.id, attempt),
        idempotency_key=state.idempotency_key(step.spec.id),
        intent_first=step.spec.effects.must_not_repeat,
        plans=step.plans,
    )
