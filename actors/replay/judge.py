"""Whether one event is what the machine, or the world, could have brought at its place. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from ..programs.recorded import REFUSED
from ..runs.commands import HALTED, LOOK_AGAIN, NOT_INSTALLED, Advance, Command, Dispatch
from ..runs.events import (
    Event,
    Heard,
    IntentWithdrawn,
    ProgramAdvanced,
    RunParked,
    RunSubmitted,
    Source,
    StepClosed,
    StepCompensated,
    StepReconciled,
    StepSettled,
)
from ..runs.state import RunState
from ..runs.submission import CODE_VERSION
from .contents import MissingValue
from .expected import Mismatch, expected, mismatch
from .told import commands_told, event_told, value_told
from .walk import LIFECYCLE, Walk


@dataclass(frozen=True, slots=True)
class Finding:
    """Why an event is not what was to come: recorded beside attempted."""

    recorded: str
    attempted: str
    cause: str


@dataclass
class Judge:
    """Judges events in order. `unchecked` says what could not be."""

    walk: Walk
    unchecked: list[str] = field(default_factory=list[str])

    def judge(self, event: Event) -> tuple[Finding | None, tuple[Command, ...]]:
        """Why the event is wrong, or None and the commands that it was one of."""
        if self.walk.copies and not isinstance(event, LIFECYCLE):
            return None, ()
        if isinstance(event, LIFECYCLE):
            return self._lifecycle(event), ()
        self.walk.look(event.at)
        if isinstance(event, RunSubmitted | Heard | IntentWithdrawn):
            return None, ()
        if not self.walk.state.epoch:
            why = "nothing happens before the run is taken up"
            return Finding(event_told(event), "run started", why), ()
        if (called := _call(event)) is not None:
            return self._landed(event, called), ()
        if isinstance(event, StepReconciled) and event.source is Source.PERSON:
            return None, ()
        return self._decided(event)

    def _lifecycle(self, event: Event) -> Finding | None:
        epoch: int = getattr(event, "epoch", 0)
        if epoch >= max(1, self.walk.state.epoch):
            return None
        attempted = f"an epoch of at least {max(1, self.walk.state.epoch)}"
        return Finding(event_told(event), attempted, "an activation that was fenced off wrote it")

    def _landed(self, event: Event, mode: str) -> Finding | None:
        assert isinstance(event, StepSettled | StepCompensated | StepReconciled)  # noqa: S101
        command = self.walk.possible.get(event.step_id)
        if command is None or command.mode != mode:
            return self._finding(event, "no such call was under way")
        for name, recorded, attempted in _facts_of(event, command):
            if recorded != attempted:
                return Finding(
                    f"{event_told(event)}: {name} {recorded}",
                    f"{name} {attempted}",
                    f"{name} is not that of the call",
                )
        return self._plan_fits(event) if isinstance(event, StepSettled) else None

    def _plan_fits(self, event: StepSettled) -> Finding | None:
        state, plan = self.walk.state, event.plan
        if plan is None:
            return None
        steps = len(plan.steps) + sum(not step.plans for step in state.steps.values())
        limit = state.origin.profile.limits.max_steps
        if steps <= limit:
            return None
        return Finding(f"a plan of {steps} steps", "ERR_INVALID_PLAN", f"at most {limit} may be")

    def _decided(self, event: Event) -> tuple[Finding | None, tuple[Command, ...]]:
        said = self.walk.said(event.at)
        nearest: Mismatch | None = None
        for instant, commands in said:
            for found in self._comparisons(event, instant, commands):
                if found is None:
                    return None, commands
                nearest = nearest or found
        if nearest is not None:
            return _beside(event, nearest), ()
        attempted = commands_told(next((c for at, c in said if at == event.at), said[0][1]))
        cause = "the machine decides otherwise in this state"
        return Finding(event_told(event), attempted, cause), ()

    def _comparisons(
        self, event: Event, instant: datetime, commands: tuple[Command, ...]
    ) -> Iterator[Mismatch | None]:
        """For each command that may be meant: how the event is not what it becomes, or None."""
        texts = self.walk.state.origin.code_version == CODE_VERSION
        for command in commands:
            if isinstance(event, ProgramAdvanced) and _advances(command, event):
                yield None  # what the program did is for `reexecute` to say
            try:
                becomes = expected(self.walk.state, command, event.at, self.walk.contents)
            except MissingValue as missing:
                self.unchecked.append(f"{event_told(event)}: value {missing} is not at hand")
                yield None
                continue
            for each in becomes:
                if each.kind == event.kind and _step(each) == _step(event):
                    # What is recorded as it is was recorded at the very instant of the decision.
                    told = texts and not _is_refusal(each)
                    yield mismatch(event, each, texts=told)
        if isinstance(event, RunParked) and _held_up(self.walk, event, commands):
            yield None
        if isinstance(event, StepClosed) and _refused(self.walk.state, event):
            yield None

    def _finding(self, event: Event, cause: str) -> Finding:
        said = self.walk.said(event.at)
        return Finding(event_told(event), commands_told(said[-1][1]), cause)


def _call(event: Event) -> str | None:
    """The mode of the call that an event is the end of."""
    match event:
        case StepSettled():
            return "execute"
        case StepCompensated():
            return "compensate"
        case StepReconciled(source=Source.HOOK):
            return "reconcile"
        case _:
            return None


def _facts_of(
    event: StepSettled | StepCompensated | StepReconciled, command: Dispatch
) -> Iterator[tuple[str, object, object]]:
    if not isinstance(event, StepReconciled):
        yield "attempt", event.attempt, command.attempt
    if isinstance(event, StepSettled):
        yield "key", event.idempotency_key, command.idempotency_key
        yield "plan", event.plan is not None, command.plans and event.outcome.ok
        if not command.plans:  # a planner's class is what is installed, which nobody pins
            yield "effects", event.effects.value, command.step.effects.value


def _held_up(walk: Walk, event: RunParked, commands: tuple[Command, ...]) -> bool:
    """Whether calls were wanted, and an emergency stop or a missing skill stood in the way."""
    wanted = any(isinstance(command, Dispatch) for command in commands)
    if not wanted or not event.reason.startswith((HALTED, NOT_INSTALLED)) or event.until is None:
        return False
    looked = event.until - LOOK_AGAIN
    before = walk.before or looked
    return min(before, event.at) <= looked <= max(before, event.at)


def _advances(command: Command, event: ProgramAdvanced) -> bool:
    """Whether a program was to be told something; or was found to have changed before a call."""
    return isinstance(command, Advance) or (event.error is not None and _calls(command))


def _calls(command: Command) -> bool:
    return isinstance(command, Dispatch)


def _refused(state: RunState, event: StepClosed) -> bool:
    """Whether a program had just asked for a step that it may not have."""
    if not state.turns or event.outcome.code not in REFUSED:
        return False
    return any(event.step_id == asked.id for asked in state.turns[-1].advanced.requests)


def _is_refusal(event: Event) -> bool:
    """Why a child run could not be made is for the world to say."""
    return isinstance(event, StepClosed) and event.outcome.code == "ERR_CHILD_FAILED"


def _step(event: Event) -> str:
    return getattr(event, "step_id", "")


def _beside(event: Event, found: Mismatch) -> Finding:
    name = found.field
    return Finding(
        f"{event_told(event)}: {name} = {value_told(found.recorded)}",
        f"{name} = {value_told(found.attempted)}",
        f"{name} does not follow from what came before",
    )
