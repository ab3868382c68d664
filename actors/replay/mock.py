"""`mock` and `what_if`: a recorded run driven again, as it was or with something changed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from ...cluster.canonical import canonical
from ...skills.contracts import AgentProfile, JsonObject, JsonValue, StructuredOutcome
from ..runs.commands import Dispatch
from ..runs.events import Event, RunSubmitted, StepSettled
from ..runs.fold import fold
from ..runs.references import UnresolvedReference
from ..runs.state import IllegalTransition, RunState
from .behaviour import Difference, behaviour, first_difference, signature
from .contents import Contents, MissingValue
from .errors import ImpossibleReplay, NotReplayable
from .rerun import Known, Rerun
from .script import Script

LIMITS = ("max_steps", "max_rounds", "run_timeout_s", "concurrent_runs")


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be otherwise: the goal, params of steps, limits, the policy for effects in doubt.

    `params` has new values by step and parameter; `limits` are those of a profile, and
    `on_in_doubt`.
    """

    goal: str | None = None
    params: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    limits: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])

    @property
    def any(self) -> bool:
        """Whether anything is."""
        return self.goal is not None or bool(self.params or self.limits)


@dataclass(frozen=True, slots=True)
class WouldCall:
    """A call that the recording cannot answer."""

    step_id: str
    skill: str
    attempt: int
    why: str


@dataclass(frozen=True, slots=True)
class Replayed:
    """What came of it. `same`: both behaviours have one signature. `status` is where the replay
    ended, which is not an end if `would_call` says what it stopped at.
    """

    mode: str
    run_id: UUID
    same: bool
    recorded: str
    attempted: str
    difference: Difference | None
    status: str
    code: str
    events: int
    cost_microusd: int
    answered: tuple[str, ...]
    would_call: tuple[WouldCall, ...]


def mock(
    run_id: UUID, events: Sequence[Event], values: Mapping[str, JsonValue] | None = None
) -> Replayed:
    """Drive a recorded run again. Raises `NotReplayable`."""
    return _replayed("mock", run_id, events, Contents(values), {})


def what_if(
    run_id: UUID,
    events: Sequence[Event],
    change: Change,
    values: Mapping[str, JsonValue] | None = None,
) -> Replayed:
    """Drive it with something changed. Raises `NotReplayable`, `ImpossibleReplay`."""
    if not change.any:
        raise ImpossibleReplay("nothing is changed: give a goal, a parameter or a limit")
    contents = Contents(values)
    before = _folded(run_id, events)
    changed = _changed(before, change, contents)

    def altered(state: RunState, event: Event) -> Event:
        return _altered(state, event, changed)

    known = _known(before, change, contents)
    options: dict[str, Any] = {"strict": False, "known": known, "change": altered}
    return _replayed("what_if", run_id, events, contents, options)


def _replayed(
    mode: str, run_id: UUID, events: Sequence[Event], contents: Contents, options: dict[str, Any]
) -> Replayed:
    try:
        recorded = behaviour(run_id, events)
        rerun = Rerun(run_id, Script(events), contents, **options)
        state = rerun.run()
        attempted = behaviour(run_id, rerun.made)
    except (IllegalTransition, MissingValue) as error:
        raise NotReplayable(str(error)) from error
    difference = first_difference(recorded, attempted)
    if difference is not None and rerun.stuck is not None:
        step_id, why = rerun.stuck
        difference = Difference(step_id or difference.step_id, difference.recorded, why)
    return Replayed(
        mode=mode,
        run_id=run_id,
        same=difference is None,
        recorded=signature(recorded),
        attempted=signature(attempted),
        difference=difference,
        status=state.status.value,
        code=state.finished.code if state.finished is not None else "",
        events=len(rerun.made),
        cost_microusd=state.totals.cost_microusd,
        answered=tuple(dict.fromkeys(rerun.answered)),
        would_call=tuple(
            _would_call(state, step_id, command, why)
            for step_id, (command, why) in rerun.wanted.items()
        ),
    )


def _would_call(state: RunState, step_id: str, command: object, why: str) -> WouldCall:
    spec = state.steps[step_id].spec
    attempt = command.attempt if isinstance(command, Dispatch) else 1
    return WouldCall(step_id, f"{spec.skill}@{spec.version}", attempt, why)


def _folded(run_id: UUID, events: Sequence[Event]) -> RunState:
    try:
        state = fold(run_id, events)
    except IllegalTransition as error:
        raise NotReplayable(error.detail) from error
    if state.submitted is None:
        raise NotReplayable("the journal is empty")
    return state


def _changed(state: RunState, change: Change, contents: Contents) -> RunSubmitted:
    """How the run would have been submitted. Raises `ImpossibleReplay`."""
    origin = state.origin
    overrides = dict(origin.overrides)
    for step_id, params in change.params.items():
        if step_id not in state.steps:
            known = ", ".join(state.steps) or "none"
            raise ImpossibleReplay(f"there is no step {step_id!r}; known: {known}")
        try:
            overrides[step_id] = contents.params(state, step_id) | params
        except (UnresolvedReference, MissingValue) as error:
            raise ImpossibleReplay(f"the input of {step_id} is not known: {error}") from error
    update = {"overrides": overrides, "profile": _limited(origin.profile, change.limits)}
    return origin.model_copy(update=update | ({"goal": change.goal} if change.goal else {}))


def _limited(profile: AgentProfile, limits: Mapping[str, JsonValue]) -> AgentProfile:
    data = profile.model_dump(mode="json")
    for name, value in limits.items():
        if name == "on_in_doubt":
            data[name] = value
        elif name in LIMITS:
            data["limits"][name] = value
        else:
            known = ", ".join((*LIMITS, "on_in_doubt"))
            raise ImpossibleReplay(f"there is no limit {name!r}; known: {known}")
    try:
        return AgentProfile.model_validate(data)
    except ValidationError as error:
        issue = error.errors()[0]
        name = ".".join(map(str, issue["loc"]))
        raise ImpossibleReplay(f"{name}: {issue['msg']}") from None


def _known(before: RunState, change: Change, contents: Contents) -> Known:
    def known(state: RunState, command: Dispatch) -> str | None:
        """Why a call is not the recorded one: its input is another."""
        step_id = command.step.id
        if command.plans:
            return "the goal is another" if change.goal else None
        if step_id not in before.steps:
            return "the recording has no such step"
        now, then = contents.params(state, step_id), contents.params(before, step_id)
        return None if canonical(now) == canonical(then) else "its input is another"

    return known


def _altered(state: RunState, event: Event, changed: RunSubmitted) -> Event:
    """A recorded fact under the changed limits: a plan may be too long now."""
    if isinstance(event, RunSubmitted):
        return changed
    if not isinstance(event, StepSettled) or event.plan is None:
        return event
    limit = state.origin.profile.limits.max_steps
    steps = len(event.plan.steps) + sum(not step.plans for step in state.steps.values())
    if steps <= limit:
        return event
    outcome = StructuredOutcome.failure(
        "ERR_INVALID_PLAN", f"the plan goes over the limit of {limit} steps"
    )
    kept = {"cost_microusd", "usage", "duration_ms", "skill", "version"}
    outcome = outcome.model_copy(update={name: getattr(event.outcome, name) for name in kept})
    return event.model_copy(update={"plan": None, "outcome": outcome})
