"""A recording as a script: what the world did, in order, and when the machine decided what.

The order of a recording is the order in which its process heard and decided. A process that was
told two things at once decided after both, so a decision that the machine would take now is put off
while the recording has it later than what the world does next.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..runs.commands import Dispatch
from ..runs.events import (
    Event,
    RunFinished,
    RunParked,
    RunResumed,
    RunStarted,
    RunSubmitted,
    RunWoken,
    Source,
    StepCompensated,
    StepIntended,
    StepReconciled,
    StepSettled,
)
from .facts import is_fact

_BORDERS = (RunResumed, RunWoken, RunParked, RunFinished)
"""Where a process left the run: no call of before is heard of after."""


class Script:
    """Where a recording is being followed."""

    def __init__(self, events: Sequence[Event]) -> None:
        self.events = tuple(events)
        copied = _copied(self.events)
        self._facts = [
            place for place, event in enumerate(self.events) if place < copied or is_fact(event)
        ]
        self._next = 0
        self._open = set(range(copied, len(self.events))) - set(self._facts)

    @property
    def fact(self) -> Event | None:
        """What the world does next."""
        return self.events[self._place] if self._next < len(self._facts) else None

    @property
    def decision(self) -> Event | None:
        """The next decision that was not taken again, if it comes before the next fact."""
        places = [place for place in self._open if place < self._place]
        return self.events[min(places)] if places else None

    @property
    def copies(self) -> bool:
        """Whether the next fact is a copy from the run that this one was derived of."""
        return 0 < self._place < _copied(self.events)

    def happened(self) -> None:
        """The world has done it."""
        self._next += 1

    def skip_decision(self) -> None:
        """The machine does not take the next decision."""
        self._open.discard(min(place for place in self._open if place < self._place))

    def counterpart(self, *kinds: str, step_id: str = "") -> tuple[int, Event] | None:
        """The recorded decision that one of now stands for."""
        for place in sorted(self._open):
            event = self.events[place]
            if event.kind in kinds and getattr(event, "step_id", "") == step_id:
                return place, event
        return None

    def is_later(self, place: int) -> bool:
        """Whether the world does something before the decision at this place."""
        return self._place < place

    def taken(self, place: int) -> None:
        """A decision was taken again."""
        self._open.discard(place)

    def answers(self, command: Dispatch) -> bool:
        """Whether this very call was begun here and something is known of it: its outcome, or that
        its intent was on disk.
        """
        return any(_is_of(event, command) for event in self._until_border())

    @property
    def _place(self) -> int:
        return self._facts[self._next] if self._next < len(self._facts) else len(self.events)

    def _until_border(self) -> Iterator[Event]:
        opened = [place for place in self._open if place < self._place]
        for event in self.events[min([self._place, *opened]) :]:
            if isinstance(event, _BORDERS):
                return
            yield event


def _copied(events: Sequence[Event]) -> int:
    """How many events at the beginning were copied from another run, the first one included."""
    first = events[0]
    if not isinstance(first, RunSubmitted) or first.derived is None:
        return 1
    for place, event in enumerate(events):
        if isinstance(event, RunStarted):
            return place
    return len(events)


def _is_of(event: Event, command: Dispatch) -> bool:
    step_id, attempt = command.step.id, command.attempt
    match event:
        case StepSettled() | StepIntended():
            known = command.mode == "execute" and event.attempt == attempt
        case StepCompensated():
            known = command.mode == "compensate" and event.attempt == attempt
        case StepReconciled(source=Source.HOOK):
            known = command.mode == "reconcile"
        case _:
            return False
    return known and event.step_id == step_id
