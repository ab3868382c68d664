"""`decide(state, now)`: the one place where it is decided what a run does next. Pure.

Read it as a table, first row that applies:

    finished                            nothing
    parked                              nothing: it has to be woken first
    resumed 3 times without progress    finish: quarantined, ERR_POISON_RUN (*)
    past its deadline                   finish: failed, ERR_RUN_TIMEOUT (*)
    cancelled by somebody               stop what is under way, then finish: cancelled
    a wait's time has come              record its end
    paused by somebody                  let what is under way end, then park
    an effect in doubt                  ask its reconciler, the policy, a person (doubt.py)
    something failed for good           let what is under way end, then finish: failed
    too many rounds                     finish: failed, ERR_TOO_MANY_ROUNDS
    the round has its answer            finish: completed, or partial when steps of it failed
    a program has news, or its end      tell it; finish
    otherwise                           begin every ready step; else wait, or park if it is for long

(*) but ERR_IN_DOUBT if an unsafe step has an intent and no outcome: that is told before all else.

Commands name steps; the shell resolves references, reserves, calls and appends what came of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from .commands import (
    Advance,
    Begin,
    Command,
    Dispatch,
    Finish,
    Park,
    Record,
    Spawn,
    Stop,
    WaitUntil,
)
from .doubt import doubt_ends, in_doubt, resolve_doubt
from .events import CancelRequested, Plan, RunStatus
from .state import Phase, RunState, Step, ends_run, round_over, round_steps, unreachable_steps
from .waiting import due, is_wait

__all__ = [
    "POISON_AFTER", "Advance", "Begin", "Command", "Dispatch", "Finish", "Park", "Record", "Spawn",
    "Stop", "WaitUntil", "decide", "dispatch_of",
]  # fmt: skip

POISON_AFTER = 3
"""Activations in a row that died over a run without committing an outcome."""

PATIENCE, RETRY_PATIENCE = timedelta(seconds=1), timedelta(seconds=10)
"""A wait, or a retry's, that is no longer is not worth parking the run for."""

FAR = datetime.max.replace(tzinfo=UTC)


def decide(state: RunState, now: datetime) -> tuple[Command, ...]:
    """What to do next. Nothing but a wait: for an outcome under way, a retry or the deadline."""
    if state.finished is not None or state.parked is not None:
        return ()
    if (cut := _cut_short(state, now)) is not None:
        return (cut,)
    if (request := state.cancelling) is not None:
        return (_cancel(state, request),)
    if ended := tuple(_waits_over(state, now)):
        return ended
    if state.paused is not None:
        return (_rest(state, None, f"paused by {state.paused.by or 'an operator'}"),)
    if (doubted := resolve_doubt(state, now)) is not None:
        return doubted
    if (ending := _ending(state)) is not None:
        return (WaitUntil(state.deadline),) if state.in_flight else (ending,)
    return _work(state, now)


def _cut_short(state: RunState, now: datetime) -> Finish | None:
    """The end of a run that is not let go on; an effect nobody knows of is told before all else."""
    poisoned = state.crashes >= POISON_AFTER
    if not poisoned and now < state.deadline:
        return None
    for step in state.steps.values():
        if step.phase is Phase.IN_DOUBT or (step.intended and step.phase is Phase.OPEN):
            return doubt_ends(state, step)
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


def _cancel(state: RunState, request: CancelRequested) -> Command:
    if state.in_flight:
        return Stop(tuple(sorted(state.in_flight)))
    message = f"cancelled by {request.by or 'an operator'}"
    if request.reason:
        message += f": {request.reason}"
    for step in in_doubt(state):
        key = state.idempotency_key(step.spec.id)
        message += f"; step {step.spec.id} may have happened or not, its key is {key}"
    return Finish(RunStatus.CANCELLED, "ERR_CANCELLED", message)


def _waits_over(state: RunState, now: datetime) -> Iterator[Command]:
    for step in state.steps.values():
        if step.phase is Phase.WAITING and (event := due(step, now)) is not None:
            yield Record(event)


def _rest(state: RunState, until: datetime | None, reason: str) -> Command:
    return WaitUntil(state.deadline) if state.in_flight else Park(until, reason)


def _ending(state: RunState) -> Finish | None:
    for step in state.steps.values():
        if ends_run(step) and step.outcome is not None:
            message = f"step {step.spec.id}: {step.outcome.message}"
            return Finish(RunStatus.FAILED, step.outcome.code, message)
    if state.origin.program is not None:
        return _program_ended(state)
    limits = state.origin.profile.limits
    if state.round > limits.max_rounds:
        message = f"no answer after {limits.max_rounds} rounds of planning"
        return Finish(RunStatus.FAILED, "ERR_TOO_MANY_ROUNDS", message)
    if round_over(state) and state.plan is not None and state.plan.has_answer:
        return _answered(state, state.plan)
    return None


def _program_ended(state: RunState) -> Finish | None:
    last = state.turns[-1].advanced if state.turns else None
    if last is None:
        return None
    if last.error is not None:
        # What went another way than is recorded is nobody's failure: a person has to look at it.
        diverged = last.error.code == "ERR_PROGRAM_DIVERGED"
        status = RunStatus.QUARANTINED if diverged else RunStatus.FAILED
        where = f" ({last.error.line})" if last.error.line else ""
        return Finish(status, last.error.code, f"{last.error.message}{where}")
    if last.finished:
        return Finish(RunStatus.COMPLETED, "OK", "", last.answer, literal=True)
    return None


def _answered(state: RunState, plan: Plan) -> Finish:
    lost = [step.spec.id for step in round_steps(state) if step.phase is not Phase.SUCCEEDED]
    status, message = RunStatus.COMPLETED, ""
    if lost:
        status, message = RunStatus.PARTIAL, f"without {', '.join(lost)}"
    return Finish(status, "OK", message, plan.answer, plan.literal, plan.answer_large)


def _work(state: RunState, now: datetime) -> tuple[Command, ...]:
    if state.origin.program is not None and (state.news or not state.turns):
        return (Advance(),)
    startable = _startable(state)
    ready = [step for step in startable if step.retry_at is None or step.retry_at <= now]
    acts: list[Command] = [_start(state, step) for step in ready]
    acts += [Spawn(step.spec.id) for step in _unborn(state)]
    if acts or state.in_flight:
        waits = [step.retry_at for step in startable if step.retry_at and step.retry_at > now]
        return (*acts, WaitUntil(min([*waits, *_patience(state), state.deadline])))
    return (_wait(state, startable, now),)


def _start(state: RunState, step: Step) -> Command:
    return Begin(step.spec.id) if is_wait(step) else dispatch_of(state, step)


def _wait(state: RunState, startable: list[Step], now: datetime) -> Command:
    """Nothing is under way: wait here for what comes soon, and leave the process for the rest."""
    retries = [step.retry_at for step in startable if step.retry_at]
    times = [*retries, *_patience(state)]
    if times and (min(times) - now <= PATIENCE or min([*retries, FAR]) - now <= RETRY_PATIENCE):
        return WaitUntil(min(*times, state.deadline))
    if any(step.phase is Phase.WAITING for step in state.steps.values()):
        return Park(min(times, default=None), _why(state, startable))
    # Trying again is the run's own business: its limit holds.
    return Park(min([*times, state.deadline]), _why(state, startable), timed=True)


def _why(state: RunState, startable: list[Step]) -> str:
    reasons: list[str] = []
    for step in state.steps.values():
        if step.phase is not Phase.WAITING or step.wait is None:
            continue
        if step.wait.signal is not None:
            reasons.append(f"signal {step.wait.signal!r}")
        elif step.wait.question is not None:
            reasons.append(f"a decision about {step.spec.id}")
        elif step.wait.child_run_id is not None:
            reasons.append(f"child run {step.wait.child_run_id}")
        else:
            reasons.append(f"the time of {step.spec.id}")
    reasons += [f"another attempt of {step.spec.id}" for step in startable]
    shown = ", ".join(reasons[:3])
    more = f" and {len(reasons) - 3} more" if len(reasons) > 3 else ""
    return f"waits for {shown or 'nothing'}{more}"


def _patience(state: RunState) -> Iterator[datetime]:
    for step in state.steps.values():
        if step.phase is Phase.WAITING and step.wait is not None and step.wait.until is not None:
            yield step.wait.until


def _unborn(state: RunState) -> Iterator[Step]:
    for step in state.steps.values():
        waits = step.phase is Phase.WAITING and step.wait is not None and not step.spawned
        if waits and step.wait is not None and step.wait.child_run_id is not None:
            yield step


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


def dispatch_of(state: RunState, step: Step) -> Dispatch:
    """The call that a step's next attempt is."""
    attempt = step.attempts + 1
    return Dispatch(
        step=step.spec,
        attempt=attempt,
        seed=state.step_seed(step.spec.id, attempt),
        idempotency_key=state.idempotency_key(step.spec.id),
        intent_first=step.spec.effects.must_not_repeat,
        plans=step.plans,
    )
