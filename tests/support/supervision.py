"""A supervisor's decisions as a story: `Tree(child("a")).crash("a")`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.restart import (
    Command,
    Dismissed,
    Due,
    Ended,
    Event,
    GiveUp,
    Phase,
    Report,
    Start,
    Started,
    State,
    Stop,
    Wanted,
    decide,
    next_due,
)
from aos.supervisors.spec import ChildSpec, Intensity, Restart, SupervisorSpec

START = datetime(2026, 1, 1, tzinfo=UTC)


def child(child_id: str, restart: Restart = Restart.PERMANENT, **fields: Any) -> ChildSpec:
    """A child's spec."""
    return ChildSpec(child_id, "a.module:Class", restart, **fields)


def within(restarts: int, seconds: float) -> Intensity:
    """At most `restarts` within `seconds`."""
    return Intensity(restarts, timedelta(seconds=seconds))


class Tree:
    """A supervisor's state, fed event by event. Children given at the start are running.

    `said` are the commands of the last event.
    """

    def __init__(self, *children: ChildSpec, **fields: Any) -> None:
        defaults: dict[str, Any] = {"intensity": within(100, 1)}
        self.state = State(SupervisorSpec("tree", children, **(defaults | fields)))
        self.now = START
        self.said: tuple[Command, ...] = ()
        for spec in children:
            self.feed(Wanted(spec)).feed(Started(spec.id))

    def feed(self, event: Event) -> Tree:
        """One event."""
        self.state, self.said = decide(self.state, event, self.now)
        return self

    def ends(
        self, child_id: str, reason: ExitReason = ExitReason.CRASH, *, progressed: bool = False
    ) -> Tree:
        """A child's process ends, or its start fails."""
        return self.feed(Ended(child_id, Exit(reason, "detail"), progressed))

    def comes_back(self, child_id: str) -> Tree:
        """Whatever the child waits for passes, and it runs again."""
        if self.state.children[child_id].until is not None:
            self.until_due()
        return self.feed(Started(child_id))

    def crash(self, child_id: str, **fields: Any) -> Tree:
        """A running child dies and, if it may, runs again."""
        self.ends(child_id, **fields)
        said = self.said
        if not self.state.given_up and child_id in self.state.children:
            self.comes_back(child_id)
        self.said = said
        return self

    def later(self, seconds: float) -> Tree:
        """Time passes, and the supervisor looks who is due."""
        self.now += timedelta(seconds=seconds)
        return self.feed(Due())

    def until_due(self) -> Tree:
        """Time passes until somebody is due."""
        due = next_due(self.state)
        assert due is not None
        return self.later((due - self.now).total_seconds())

    def dismiss(self, child_id: str) -> Tree:
        """A child is not wanted any more."""
        return self.feed(Dismissed(child_id))

    def __getitem__(self, child_id: str) -> Phase | None:
        found = self.state.children.get(child_id)
        return None if found is None else found.phase

    @property
    def started(self) -> list[str]:
        """Whom the last event had started."""
        return [each.child for each in self.said if isinstance(each, Start)]

    @property
    def stopped(self) -> list[str]:
        """Whom the last event had stopped."""
        return [each.child for each in self.said if isinstance(each, Stop)]

    @property
    def reported(self) -> list[str]:
        """What the last event had recorded."""
        return [each.kind for each in self.said if isinstance(each, Report)]

    @property
    def delay_s(self) -> float:
        """The longest delay that the last event had recorded."""
        reports = [each for each in self.said if isinstance(each, Report)]
        return max((each.delay.total_seconds() for each in reports), default=0.0)

    @property
    def gave_up(self) -> bool:
        """Whether the last event was one too many."""
        return any(isinstance(each, GiveUp) for each in self.said)
