"""A journal, walked event by event: the state before each, and what the machine may have said."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from ..runs.commands import Command, Dispatch
from ..runs.events import (
    Event,
    RunResumed,
    RunStarted,
    RunWoken,
    StepCompensated,
    StepReconciled,
    StepRepaired,
    StepSettled,
)
from ..runs.fold import apply
from ..runs.state import RunState
from .contents import Contents
from .instants import dispatches, instants, said, turning_points

LIFECYCLE = (RunStarted, RunResumed, RunWoken)
_LANDED = (StepSettled, StepReconciled, StepCompensated, StepRepaired)


@dataclass
class Walk:
    """Where the walk stands.

    `possible` are the calls that may be under way: the machine asked for them since the run was
    taken up, and nothing was heard of them. `turn` are the commands that the last decision was one
    of: a process performs them all before it asks again.
    """

    run_id: UUID
    contents: Contents
    state: RunState = field(init=False)
    possible: dict[str, Dispatch] = field(default_factory=dict[str, Dispatch])
    turn: tuple[Command, ...] = ()
    before: datetime | None = None

    def __post_init__(self) -> None:
        self.state = RunState(self.run_id)

    @property
    def copies(self) -> bool:
        """Whether events are being copied from the run that this one was derived of."""
        state = self.state
        return state.submitted is not None and not state.epoch and state.origin.derived is not None

    def instants(self, at: datetime) -> list[datetime]:
        """When the machine may have been asked since the last event, if the next is at `at`."""
        return instants(self.state, self.before or at, at)

    def look(self, at: datetime) -> None:
        """Note the calls that may have been begun before the next event, which is at `at`."""
        if not self.state.epoch or self.state.finished is not None:
            return
        for instant in turning_points(self.state, self.before or at, at):
            known = frozenset(self.possible)
            for command in dispatches(self.state, known, instant):
                self.possible[command.step.id] = command

    def said(self, at: datetime) -> list[tuple[datetime, tuple[Command, ...]]]:
        """What the machine may have said, and when: first what is left of the turn under way."""
        asked = [(instant, said(self.state, instant)) for instant in self.instants(at)]
        return [(at, self.turn), *asked] if self.turn else asked

    def follow(self, event: Event, turn: tuple[Command, ...] = ()) -> None:
        """Go past an event. Raises `IllegalTransition`."""
        self.state = apply(self.state, event)
        if isinstance(event, LIFECYCLE):
            self.possible.clear()
        elif isinstance(event, _LANDED):
            self.possible.pop(event.step_id, None)
        self.before, self.turn = event.at, turn
