"""What the world brought about, as against what the machine decided. Pure."""

from __future__ import annotations

from typing import Any

from ..programs.recorded import REFUSED
from ..runs.commands import HALTED, NOT_INSTALLED
from ..runs.events import (
    ChildEnded,
    Event,
    Heard,
    IntentWithdrawn,
    MessageIgnored,
    ProgramAdvanced,
    RunParked,
    RunResumed,
    RunStarted,
    RunSubmitted,
    RunWoken,
    Source,
    StepClosed,
    StepCompensated,
    StepReconciled,
    StepSettled,
)
from ..runs.fold import apply
from ..runs.state import IllegalTransition, RunState

_FACTS = (
    RunSubmitted, RunStarted, RunResumed, RunWoken, Heard, IntentWithdrawn,
    StepSettled, StepCompensated,
)  # fmt: skip


def is_fact(event: Event) -> bool:
    """Whether the world, not the machine, brought an event about."""
    if isinstance(event, StepReconciled):
        return event.source is not Source.POLICY
    if isinstance(event, ProgramAdvanced):
        return event.error is not None
    if isinstance(event, StepClosed):
        return event.outcome.code in REFUSED
    if isinstance(event, RunParked):
        return event.reason.startswith((HALTED, NOT_INSTALLED))
    return isinstance(event, _FACTS)


def adapted(state: RunState, event: Event) -> Event:
    """A fact in terms of another replay: its own child runs; a message that has no meaning."""
    if isinstance(event, ChildEnded):
        step = state.steps.get(event.step_id)
        if step is not None and step.wait is not None and step.wait.child_run_id is not None:
            event = event.model_copy(update={"child_run_id": step.wait.child_run_id})
    if isinstance(event, Heard) and not isinstance(event, MessageIgnored):
        try:
            apply(state, event)
        except IllegalTransition as error:
            return MessageIgnored(
                at=event.at, number=event.number, about=event.kind, reason=error.detail
            )
    return event


def outcome_of(event: Event) -> str:
    """The step whose call an event ends, or nothing."""
    if isinstance(event, StepSettled | StepCompensated):
        return event.step_id
    if isinstance(event, StepReconciled) and event.source.value == "hook":
        return event.step_id
    return ""


def is_refusal(event: Event) -> bool:
    """Whether a child run could not be made: why is for the world to say."""
    outcome: Any = getattr(event, "outcome", None)
    return outcome is not None and outcome.code == "ERR_CHILD_FAILED"
