"""What can be known of a message before it is heard: whether it makes sense now. Pure.

The run may move on before it hears it, so this is a courtesy to whoever asks, and `mailbox.hear`
decides: there a message that has no meaning any more becomes `message_ignored`.
"""

from __future__ import annotations

from ...cluster.errors import Blame, RunError
from .events import Action, Verdict
from .state import Phase, RunState, Step, unreachable


class StepNotReady(RunError):
    """The step is not where this could be said to it."""

    code = "AOS-3011"
    title = "The step does not stand where this makes sense."
    next_action = "See how it stands with `aos runs show RUN`."
    blame = Blame.CALLER


def check_decision(state: RunState, step_id: str) -> None:
    """Raises `StepNotReady` unless the step waits for a person's decision."""
    step = _step(state, step_id)
    if step.phase is Phase.WAITING and step.wait is not None and step.wait.question is not None:
        return
    raise StepNotReady(f"step {step_id} asks nobody anything: it {stands(state, step)}")


def check_verdict(state: RunState, step_id: str, verdict: Verdict) -> None:
    """Raises `StepNotReady` unless the step is in doubt, and can be undone if it is to be."""
    step = _step(state, step_id)
    if step.phase is not Phase.IN_DOUBT:
        raise StepNotReady(f"step {step_id} is not in doubt: it {stands(state, step)}")
    if verdict is Verdict.COMPENSATE and not step.spec.compensates:
        raise StepNotReady(f"{step.spec.skill} has no compensation: it cannot undo what it did")


def check_repair(state: RunState, step_id: str, action: Action) -> None:
    """Raises `StepNotReady` if the step is over, under way, or planning is to get a result."""
    step = _step(state, step_id)
    if step.over:
        raise StepNotReady(f"step {step_id} {stands(state, step)}: fork the run from it instead")
    if step_id in state.in_flight:
        raise StepNotReady(f"step {step_id} is under way")
    _check_answerable(step, action)


def check_repair_afterwards(state: RunState, step_id: str, action: Action) -> None:
    """The same for a run that is over: raises `StepNotReady` for a step that has succeeded. That is
    also what a repetition finds, whose run was repaired and came to its end in between.
    """
    step = _step(state, step_id)
    if step.phase is Phase.SUCCEEDED:
        raise StepNotReady(f"step {step_id} has succeeded: fork the run from it instead")
    _check_answerable(step, action)


def _check_answerable(step: Step, action: Action) -> None:
    """A round of planning brings steps, which nobody can give it by hand."""
    if step.plans and action is not Action.REDRIVE:
        raise StepNotReady(f"{step.spec.id} is a round of planning: it can only be driven again")


def stands(state: RunState, step: Step) -> str:
    """Where a step stands, in words that follow its name."""
    match step.phase:
        case Phase.SUCCEEDED:
            return "has succeeded"
        case Phase.FAILED:
            return f"has failed with {step.outcome.code if step.outcome else 'no outcome'}"
        case Phase.IN_DOUBT:
            return "is in doubt: it may have happened or not"
        case Phase.WAITING:
            return f"waits for {waits_for(step)}"
        case _ if step.spec.id in state.in_flight:
            return "is under way"
        case _ if unreachable(state, step):
            return "will never run, because something that it needs has failed"
        case _:
            return "has not ended yet"


def waits_for(step: Step) -> str:
    """What a waiting step waits for."""
    wait = step.wait
    if wait is None:
        return "nothing"
    if wait.signal is not None:
        return f"signal {wait.signal!r}"
    if wait.question is not None:
        return f"a decision: {wait.question}"
    if wait.child_run_id is not None:
        return f"child run {wait.child_run_id}"
    return f"its time, {wait.until.isoformat() if wait.until else 'which never comes'}"


def _step(state: RunState, step_id: str) -> Step:
    step = state.steps.get(step_id)
    if step is None:
        there = ", ".join(list(state.steps)[:10]) or "none"
        raise StepNotReady(f"run {state.run_id} has no step {step_id!r}; its steps: {there}")
    return step
