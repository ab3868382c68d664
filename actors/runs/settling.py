"""What the end of a call becomes in the journal. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ...skills.call import Mode
from ...skills.contracts import Effects, SkillDescriptor, StructuredOutcome
from .commands import Dispatch
from .events import (
    Event,
    Plan,
    Source,
    StepCompensated,
    StepReconciled,
    StepSettled,
    Verdict,
)

_CHEAP_MS = 20


def is_cheap(outcome: StructuredOutcome, effects: Effects) -> bool:
    """Whether having to do it again would cost nearly nothing: it changed nothing in the world,
    used no model and took no time. Then the outcome travels with the next commit.
    """
    if effects is Effects.PURE:
        return True
    spent = outcome.usage or outcome.cost_microusd or outcome.duration_ms >= _CHEAP_MS
    return effects is Effects.READ and not spent


def effects_of_call(command: Dispatch, descriptor: SkillDescriptor | None) -> Effects:
    """The class that a call is committed as: planners are what their descriptors say."""
    if command.plans and descriptor is not None:
        return descriptor.effects
    return command.step.effects


def settled_event(
    command: Dispatch,
    effects: Effects,
    outcome: StructuredOutcome,
    large: dict[str, str],
    plan: Plan | None,
    now: datetime,
) -> Event:
    """The event that a call's end is."""
    step_id = command.step.id
    if command.mode is Mode.RECONCILE:
        return _reconciled(step_id, outcome, large, now)
    if command.mode is Mode.COMPENSATE:
        return StepCompensated(at=now, step_id=step_id, attempt=command.attempt, outcome=outcome)
    return StepSettled(
        at=now,
        step_id=step_id,
        attempt=command.attempt,
        effects=effects,
        idempotency_key=command.idempotency_key,
        outcome=outcome,
        plan=plan,
        large=large,
    )


def _reconciled(
    step_id: str, outcome: StructuredOutcome, large: dict[str, str], now: datetime
) -> StepReconciled:
    """A reconciler that could not answer has said that it is unclear, and why."""
    found: Any = outcome.output if outcome.ok and isinstance(outcome.output, dict) else {}
    verdict = Verdict(found.get("verdict", Verdict.UNCLEAR))
    reason = str(found.get("reason") or (outcome.message if not outcome.ok else ""))
    return StepReconciled(
        at=now,
        step_id=step_id,
        verdict=verdict,
        source=Source.HOOK,
        output=found.get("output"),
        large={"": large["output"]} if "output" in large else {},
        reason=reason if outcome.ok else f"{outcome.code}: {reason}",
    )
