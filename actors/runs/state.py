"""`RunState`: what a run is at one instant, and the small questions that can be asked of it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from ...cluster.errors import RunError
from ...skills.contracts import Effects, JsonValue, RetryPolicy, StructuredOutcome
from .events import (
    CancelRequested,
    OnError,
    Plan,
    PlannedStep,
    ProgramAdvanced,
    RunFinished,
    RunParked,
    RunPaused,
    RunStatus,
    RunSubmitted,
    SignalReceived,
    WaitBegan,
)

_PLANNING = "plan"
PLANNER_RETRY = RetryPolicy(max_attempts=3, initial_delay_ms=500, max_delay_ms=30_000)


class IllegalTransition(RunError):
    """A journal holds an event that its predecessors do not allow."""

    code = "AOS-3001"
    title = "The journal of this run contradicts itself."
    next_action = "Report it with the run id: no version of AOS writes such a journal."


class Phase(StrEnum):
    """Where one step stands."""

    OPEN = "open"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"


@dataclass(frozen=True, slots=True)
class Doubt:
    """What was done so far about an effect that may have happened: how often its reconciler was
    asked in vain, whether it is being undone, and how often that failed.
    """

    asked: int = 0
    undoing: bool = False
    undone: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A step and what is known of it. `attempts` counts attempts that have an outcome; `group` is
    the part of its idempotency key that only an operator's word changes.
    """

    spec: PlannedStep
    round: int
    plans: bool = False
    phase: Phase = Phase.OPEN
    attempts: int = 0
    outcome: StructuredOutcome | None = None
    large: Mapping[str, str] = field(default_factory=dict[str, str])
    retry_at: datetime | None = None
    intended: bool = False
    group: int = 1
    doubt: Doubt = Doubt()
    wait: WaitBegan | None = None
    spawned: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing is expected of the step any more."""
        return self.phase in (Phase.SUCCEEDED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a program: the steps whose ends it was told, in order, and what it then did."""

    news: tuple[str, ...]
    advanced: ProgramAdvanced


@dataclass(frozen=True, slots=True)
class Totals:
    """What the run has consumed so far."""

    attempts: int = 0
    cost_microusd: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def plus(self, outcome: StructuredOutcome) -> Totals:
        """These totals and one more attempt's."""
        return Totals(
            self.attempts + 1,
            self.cost_microusd + outcome.cost_microusd,
            self.input_tokens + sum(usage.input_tokens for usage in outcome.usage),
            self.output_tokens + sum(usage.output_tokens for usage in outcome.usage),
        )


@dataclass(frozen=True, slots=True)
class RunState:
    """Everything that decisions are made from.

    `in_flight` is the one part that no journal holds: steps that this process has dispatched. It is
    empty after a fold, which is why a resumed run dispatches them again. `heard` is the number of
    the last message heard; `parked_for` is time that does not count towards the run's limit;
    `news` are the steps whose end a program has not been told.
    """

    run_id: UUID
    seq: int = 0
    status: RunStatus = RunStatus.PENDING
    submitted: RunSubmitted | None = None
    epoch: int = 0
    progress_epoch: int = 0
    started_at: datetime | None = None
    crashes: int = 0
    round: int = 0
    plan: Plan | None = None
    memos: tuple[tuple[JsonValue, Mapping[str, str]], ...] = ()
    steps: Mapping[str, Step] = field(default_factory=dict[str, Step])
    totals: Totals = Totals()
    finished: RunFinished | None = None
    heard: int = 0
    signals: Mapping[str, tuple[SignalReceived, ...]] = field(
        default_factory=dict[str, "tuple[SignalReceived, ...]"]
    )
    paused: RunPaused | None = None
    cancelling: CancelRequested | None = None
    parked: RunParked | None = None
    parked_for: timedelta = timedelta()
    turns: tuple[Turn, ...] = ()
    news: tuple[str, ...] = ()
    in_flight: frozenset[str] = frozenset()

    @property
    def origin(self) -> RunSubmitted:
        """How the run began. Raises `IllegalTransition` on an empty journal."""
        if self.submitted is None:
            raise IllegalTransition(f"run {self.run_id} has no run_submitted event")
        return self.submitted

    def idempotency_key(self, step_id: str) -> str:
        """The key under which a step's effect may happen once: the same for every attempt."""
        step = self.steps.get(step_id)
        return f"{self.run_id}/{step_id}/{1 if step is None else step.group}"

    @property
    def deadline(self) -> datetime:
        """When the run's time is over, unless it is parked before."""
        limit = timedelta(seconds=self.origin.profile.limits.run_timeout_s)
        return self.origin.at + limit + self.parked_for

    def step_seed(self, step_id: str, attempt: int) -> int:
        """A seed of 63 bits from the run's seed, the step and the attempt."""
        text = f"{self.origin.seed}:{step_id}:{attempt}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def dispatched(state: RunState, step_id: str) -> RunState:
    """Note that this process has a step under way."""
    return replace(state, in_flight=state.in_flight | {step_id})


def planner_step(state: RunState, number: int) -> Step:
    """The pseudo-step of a planning round, counted from 1: planning is a skill call like others."""
    return Step(
        PlannedStep(
            id=_PLANNING if number == 1 else f"{_PLANNING}-{number}",
            skill=f"planner.{state.origin.planner}",
            version="1.0.0",
            effects=Effects.READ,
            retry=PLANNER_RETRY,
        ),
        round=number,
        plans=True,
    )


def with_step(state: RunState, step: Step) -> RunState:
    """The state with one step replaced. A step of a program that has come to its end is news."""
    known = state.steps.get(step.spec.id)
    if state.origin.program is not None and step.over and not (known is not None and known.over):
        state = replace(state, news=(*state.news, step.spec.id))
    return replace(state, steps={**state.steps, step.spec.id: step})


def step_in(state: RunState, step_id: str, *phases: Phase) -> Step:
    """A step that must be in one of these phases. Raises `IllegalTransition`."""
    step = state.steps.get(step_id)
    if step is None or step.phase not in phases:
        is_now, expected = "unknown" if step is None else step.phase, " or ".join(phases)
        raise IllegalTransition(f"step {step_id} of run {state.run_id} is {is_now}, not {expected}")
    return step


def is_planning_step(step_id: str) -> bool:
    """Whether an id belongs to a planning round: no step of a plan may use it."""
    head, _, number = step_id.partition("-")
    return head == _PLANNING and (step_id == _PLANNING or number.isdecimal())


def round_steps(state: RunState) -> Iterator[Step]:
    """The steps that the current round's plan brought, in plan order."""
    return (step for step in state.steps.values() if step.round == state.round and not step.plans)


def unreachable_steps(state: RunState) -> frozenset[str]:
    """Open steps that will never run because something they need has failed. Linear in the plan:
    plans may be long chains and wide ladders.
    """
    lost = [step_id for step_id, step in state.steps.items() if step.phase is Phase.FAILED]
    if not lost:
        return frozenset()
    waiting: dict[str, list[str]] = {}
    for step_id, step in state.steps.items():
        for needed in step.spec.depends_on:
            waiting.setdefault(needed, []).append(step_id)
    found: set[str] = set()
    while lost:
        for step_id in waiting.get(lost.pop(), ()):
            if step_id not in found:
                found.add(step_id)
                lost.append(step_id)
    return frozenset(step_id for step_id in found if state.steps[step_id].phase is Phase.OPEN)


def unreachable(state: RunState, step: Step) -> bool:
    """Whether a step will never run because something it needs has failed."""
    return step.spec.id in unreachable_steps(state)


def round_over(state: RunState) -> bool:
    """Whether the current round has a plan and each of its steps has come to its end."""
    if state.plan is None:
        return False
    lost = unreachable_steps(state)
    return all(step.over or step.spec.id in lost for step in round_steps(state))


def ends_run(step: Step) -> bool:
    """Whether this step's failure is the run's failure."""
    return step.phase is Phase.FAILED and (step.plans or step.spec.on_error is OnError.ABORT)
