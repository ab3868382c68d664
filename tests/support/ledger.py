"""What a journal obliges everybody to, told without the machine: an oracle for its tests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from aos.actors.runs.events import (
    Event,
    OnError,
    Plan,
    PlannedStep,
    RunResumed,
    StepIntended,
    StepReconciled,
    StepSettled,
)
from aos.actors.runs.state import PLANNER_RETRY
from aos.skills.contracts import Effects, EffectState


@dataclass
class Ledger:
    """The facts of one journal. `over`: never to be dispatched again."""

    specs: dict[str, PlannedStep] = field(default_factory=dict)
    plans: list[Plan] = field(default_factory=list)
    settled: dict[str, int] = field(default_factory=dict)
    succeeded: set[str] = field(default_factory=set)
    over: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    fatal: dict[str, str] = field(default_factory=dict)
    not_before: dict[str, datetime] = field(default_factory=dict)
    intended: set[str] = field(default_factory=set)
    crashes: int = 0

    @classmethod
    def of(cls, events: Iterable[Event]) -> Ledger:
        """The facts of these events, in order."""
        ledger = cls()
        for event in events:
            ledger.enter(event)
        return ledger

    def enter(self, event: Event) -> None:
        """One more event."""
        match event:
            case RunResumed():
                self.crashes += 1
                self.doubtful |= self.intended
                self.over |= self.intended
                self.intended.clear()
            case StepIntended(step_id=step_id):
                self.intended.add(step_id)
            case StepReconciled(step_id=step_id):
                self.crashes = 0
                self.doubtful.discard(step_id)
                self.over.discard(step_id)
            case StepSettled():
                self.crashes = 0
                self._settle(event)
            case _:
                pass

    def _settle(self, event: StepSettled) -> None:
        step_id, outcome = event.step_id, event.outcome
        self.intended.discard(step_id)
        self.settled[step_id] = self.settled.get(step_id, 0) + 1
        spec = self.specs.get(step_id)
        allowed = spec.retry.max_attempts if spec else PLANNER_RETRY.max_attempts
        if event.plan is not None:
            self.plans.append(event.plan)
            self.specs |= {each.id: each for each in event.plan.steps}
        unsafe = event.effects is Effects.UNSAFE
        if outcome.ok:
            self.succeeded.add(step_id)
        elif unsafe and outcome.effect is EffectState.UNKNOWN:
            self.doubtful.add(step_id)
        elif (
            outcome.retryable
            and self.settled[step_id] < allowed
            and not (unsafe and outcome.effect is EffectState.DONE)
        ):
            wait = timedelta(milliseconds=outcome.retry_after_ms or 0)
            self.not_before[step_id] = event.at + wait
            return
        elif spec is None or spec.on_error is OnError.ABORT:
            self.fatal[step_id] = outcome.code
        self.over.add(step_id)

    def may_repeat(self) -> bool:
        """Whether attempts are left of any step that is in doubt."""
        return any(
            self.settled.get(step_id, 0) < self.specs[step_id].retry.max_attempts
            for step_id in self.doubtful
        )

    def lost(self) -> set[str]:
        """The steps of the last plan that failed, or will never run because of one that did."""
        gone = self.over - self.succeeded
        for spec in self.specs.values():  # planned before what depends on them
            if gone & set(spec.depends_on):
                gone = gone | {spec.id}
        return gone & {spec.id for spec in self.plans[-1].steps}

    @property
    def round_over(self) -> bool:
        """Whether each step of the last plan has succeeded or is lost."""
        if not self.plans:
            return False
        return {spec.id for spec in self.plans[-1].steps} <= self.succeeded | self.lost()
