"""Runs made from other runs: forked, run again, repaired, put back. Pure.

The journal of a derived run begins with a `run_submitted` of its own and goes on with copies of the
source's events: those of the steps that it keeps, and of the program's turns up to the change. What
happened to the source as a run (taken up, parked, paused, cancelled, ended) is not copied, so what
follows from it is made up for: an intent over which a process died is told without the death.

Kept is every step that came to its end and does not depend on what is changed. Later rounds of
planning depend on all that was before them; a program's later turns on all that it was told. A step
whose failure would end the new run at once is not kept either.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from ...skills.contracts import JsonObject, JsonValue
from .cutting import Cut, cut
from .events import (
    Action,
    ChildEnded,
    ChildSpawned,
    DecisionMade,
    Derivation,
    Derived,
    Event,
    Heard,
    IntentWithdrawn,
    ProgramAdvanced,
    RunResumed,
    RunSubmitted,
    SignalReceived,
    StepClosed,
    StepCompensated,
    StepIntended,
    StepReconciled,
    StepRepaired,
    StepSettled,
    WaitBegan,
)
from .fold import apply
from .state import Phase, RunState, Step

_OF_A_STEP = (
    StepIntended, StepSettled, StepReconciled, StepCompensated, IntentWithdrawn, WaitBegan,
    ChildSpawned, StepClosed, DecisionMade, ChildEnded, StepRepaired,
)  # fmt: skip

_ANSWERS = (Action.SKIP, Action.SET_RESULT)


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different. `step_id`: from where on. `overrides`: params of steps that are to
    run again. `action` and `output` are those of a repair; `large` as in `StepRepaired`.
    """

    how: Derivation
    by: str
    reason: str = ""
    step_id: str | None = None
    goal: str | None = None
    overrides: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    action: Action | None = None
    output: JsonValue = None
    large: Mapping[str, str] = field(default_factory=dict[str, str])
    repeat_effects: bool = False


@dataclass(frozen=True, slots=True)
class Birth:
    """What is the new run's own."""

    run_id: UUID
    at: datetime
    trace_id: str
    code_version: str


def derive(source: UUID, events: Sequence[Event], change: Change, birth: Birth) -> list[Event]:
    """The first events of the new run. Raises `StepNeverRan`, `EffectsWouldRepeat`,
    `InvalidChange`; `IllegalTransition` if the source's journal cannot be read.
    """
    state, owners = _read(source, events)
    kept = cut(
        state, change.how, change.step_id, goal=change.goal, overrides=change.overrides,
        answered=change.action in _ANSWERS,
        repeat_effects=change.repeat_effects,
    )  # fmt: skip
    made = _Copy(birth.run_id, _origin(source, state, change, kept, birth))
    made.copy(_history(source, events), kept, owners)
    action = change.action
    if action in _ANSWERS and action is not None and change.step_id is not None:
        made.append(
            StepRepaired(
                at=birth.at, number=made.state.heard + 1, by=change.by, step_id=change.step_id,
                action=action, output=change.output, large=dict(change.large),
                reason=change.reason,
            )
        )  # fmt: skip
    return made.events


def large_values(events: Iterable[Event]) -> frozenset[str]:
    """The content hashes of what events keep outside of themselves."""
    found: set[str] = set()
    for event in events:
        large: Mapping[str, str] = getattr(event, "large", {})
        found.update(large.values())
        if isinstance(event, StepSettled) and event.plan is not None:
            found |= event.plan.all_large
        elif isinstance(event, ProgramAdvanced):
            found.update(digest for step in event.requests for digest in step.large.values())
    return frozenset(found)


def _history(source: UUID, events: Iterable[Event]) -> Iterator[tuple[RunState, Event, RunState]]:
    """Each event between what was before and after it. Not to be kept: states are large."""
    state = RunState(source)
    for event in events:
        after = apply(state, event)
        yield state, event, after
        state = after


def _origin(source: UUID, state: RunState, change: Change, kept: Cut, birth: Birth) -> RunSubmitted:
    overrides = {
        step_id: params
        for step_id, params in state.origin.overrides.items()
        if step_id in kept.planned
    }
    return state.origin.model_copy(
        update={
            "at": birth.at,
            "goal": change.goal or state.origin.goal,
            "trace_id": birth.trace_id,
            "code_version": birth.code_version,
            "parent": None,
            "overrides": {**overrides, **change.overrides},
            "derived": Derived(
                how=change.how, run_id=str(source), seq=state.seq, step_id=change.step_id or "",
                by=change.by, reason=change.reason,
            ),
        }
    )  # fmt: skip


class _Copy:
    """The new journal in the making. Every event is applied, so an illegal one cannot get in."""

    def __init__(self, run_id: UUID, origin: RunSubmitted) -> None:
        self.events: list[Event] = []
        self.state = RunState(run_id)
        self._lost: set[str] = set()
        self.append(origin)

    def append(self, event: Event) -> None:
        self.state = apply(self.state, event)
        self.events.append(event)

    def copy(
        self,
        history: Iterator[tuple[RunState, Event, RunState]],
        kept: Cut,
        owners: Mapping[int, str],
    ) -> None:
        """Go through the source's history, and append what is kept of it."""
        turns = 0
        for place, (before, event, after) in enumerate(history):
            if isinstance(event, RunResumed):
                self._lost |= kept.steps & _doubted(before, after)
            elif isinstance(event, ProgramAdvanced):
                turns += 1
                if turns <= kept.turns:
                    self.append(event)
            elif isinstance(event, SignalReceived):
                if owners.get(place) in kept.steps:
                    self._hear(event)
            elif isinstance(event, _OF_A_STEP) and event.step_id in kept.steps:
                self._step(event, after.steps[event.step_id])

    def _step(self, event: Any, after: Step) -> None:
        if event.step_id in self._lost:
            self._without_the_death(event, after)
        else:
            self._hear(event)

    def _without_the_death(self, event: Any, after: Step) -> None:
        """A process died over this step's intent. What was found out about it then stands for the
        end of the attempt; that nothing had happened, for the intent's withdrawal.
        """
        if after.phase is Phase.IN_DOUBT:
            return
        self._lost.discard(event.step_id)
        if isinstance(event, StepRepaired) or not after.over:
            why = getattr(event, "reason", "") or "its process had died"
            self.append(IntentWithdrawn(at=event.at, step_id=event.step_id, reason=why))
            if isinstance(event, StepRepaired):
                self._hear(event)
            return
        self.append(self._end_of_attempt(event, after))
        if self.state.steps[event.step_id].phase is Phase.IN_DOUBT:
            self._hear(event)

    def _end_of_attempt(self, event: Any, after: Step) -> StepSettled:
        outcome = after.outcome
        if outcome is None:
            raise LookupError(f"step {event.step_id} is over without an outcome")
        # What earlier attempts cost is told by their own events.
        free = outcome.model_copy(update={"cost_microusd": 0, "usage": (), "duration_ms": 0})
        return StepSettled(
            at=event.at,
            step_id=event.step_id,
            attempt=self.state.steps[event.step_id].attempts + 1,
            effects=after.spec.effects,
            idempotency_key=self._key_of(event.step_id),
            outcome=free,
            large=dict(after.large),
        )

    def _key_of(self, step_id: str) -> str:
        """The key that the intent was committed with."""
        for event in reversed(self.events):
            if isinstance(event, StepIntended) and event.step_id == step_id:
                return event.idempotency_key
        raise LookupError(f"step {step_id} has no intent")

    def _hear(self, event: Any) -> None:
        """Messages are counted anew: those that are not kept leave no gaps."""
        if isinstance(event, Heard) or (isinstance(event, StepReconciled) and event.number):
            event = event.model_copy(update={"number": self.state.heard + 1})
        self.append(event)


def _doubted(before: RunState, after: RunState) -> set[str]:
    """The steps that a process's death has brought into doubt."""
    return {
        step_id
        for step_id, step in after.steps.items()
        if step.phase is Phase.IN_DOUBT and before.steps[step_id].phase is Phase.OPEN
    }


def _read(source: UUID, events: Sequence[Event]) -> tuple[RunState, dict[int, str]]:
    """The state that a journal leads to, and which step each signal went to, by the signal's place.
    One that none had is not there.
    """
    state = RunState(source)
    owners: dict[int, str] = {}
    early: dict[str, list[int]] = {}
    for place, (before, event, after) in enumerate(_history(source, events)):
        state = after
        if isinstance(event, SignalReceived):
            waiting = next(_waiting(before, event.name), None)
            if waiting is None:
                early.setdefault(event.name, []).append(place)
            else:
                owners[place] = waiting
        elif isinstance(event, WaitBegan) and event.signal and early.get(event.signal):
            owners[early[event.signal].pop(0)] = event.step_id
    return state, owners


def _waiting(state: RunState, name: str) -> Iterator[str]:
    for step_id, step in state.steps.items():
        if step.phase is Phase.WAITING and step.wait is not None and step.wait.signal == name:
            yield step_id
