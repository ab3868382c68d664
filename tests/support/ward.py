"""A supervisor under random histories: after every decision, what must always hold is asserted.

The ward keeps its own account of processes, restarts and of who is rightly down, from events and
commands alone, and compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.restart import decide, next_due
from aos.supervisors.spec import Restart, Strategy, SupervisorSpec
from aos.supervisors.state import (
    Child,
    Command,
    DeleteChild,
    Dismissed,
    Due,
    Ended,
    Event,
    Fate,
    Finish,
    Ignored,
    Origin,
    Phase,
    Refused,
    Report,
    Request,
    RestartChild,
    StartChild,
    Started,
    State,
    Stop,
    TerminateChild,
    Wanted,
)
from aos.supervisors.state import Start as StartCommand

from .supervision import START

WEIGHTS = {
    ExitReason.OUT_OF_MEMORY: 2,
    ExitReason.NODE_LOST: 0,
    ExitReason.NOPROC: 0,
    ExitReason.PREEMPTED: 0,
}
MANY = 500


@dataclass
class Life:
    """One process."""

    number: int
    up: bool = False
    told_to_stop: bool = False


class Ward:
    """The supervisor, its processes, and the time."""

    def __init__(self, spec: SupervisorSpec) -> None:
        self.spec, self.state, self.now = spec, State.of(spec), START
        self.alive: dict[str, Life] = {}
        self.down: set[str] = set()
        """Who is rightly not up, and will not be by itself."""
        self.excused: set[str] = set()
        """Temporary children that may be started once more: for want of a machine, or wanted."""
        self.to_end: set[str] = set()
        """Whose end their group's restart waits for."""
        self.charges: list[datetime] = []
        self.finishes = 0
        self.feed(Due())

    @property
    def grouped(self) -> bool:
        return self.spec.strategy in (Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE)

    def later(self, seconds: float) -> None:
        """Time passes, and nothing else."""
        self.now += timedelta(seconds=seconds)

    def feed(self, event: Event) -> tuple[Command, ...]:
        """One event: decided, checked, and its commands carried out."""
        before, children = self.state, list(self.state.children.items())
        self.state, commands = decide(before, event, self.now)
        again, same = decide(before, event, self.now)
        assert (again, same) == (self.state, commands), "decisions are pure"
        assert list(again.children) == list(self.state.children)
        assert list(before.children.items()) == children, "what was decided on is not changed"
        if before.over:
            assert self.state == before
            assert all(isinstance(each, Refused) for each in commands)
            assert bool(commands) == isinstance(event, Request)
            return commands
        self._note(before, event, commands)
        for command in commands:
            self._perform(before, command)
        self._check(before, event)
        return commands

    def calm(self) -> None:
        """No more trouble: starts succeed, stops are confirmed, time passes. Then all is well."""
        for _ in range(MANY):
            if self.state.over:
                return
            if (event := self._good_news()) is None:
                due = next_due(self.state)
                if due is None:
                    break
                self.now, event = max(self.now, due), Due()
            self.feed(event)
        else:
            raise AssertionError("it does not come to rest")
        assert self.state.ending is None, "whoever is doomed and alone must finish"
        for name, child in self.state.children.items():
            expected = Phase.STOPPED if name in self.down else Phase.RUNNING
            assert child.phase is expected, f"{name} is {child.phase}"

    def _good_news(self) -> Event | None:
        for name, life in self.alive.items():
            if life.told_to_stop:
                return Ended(name, life.number, Exit(ExitReason.SHUTDOWN))
            if not life.up:
                return Started(name, life.number)
        return None

    # what an event means

    def _note(self, before: State, event: Event, commands: Sequence[Command]) -> None:
        refused = any(isinstance(each, Refused) for each in commands)
        match event:
            case Started(name, life) if self._is_current(name, life):
                self.alive[name].up = True
            case Ended(name, life, exit_) if self._is_current(name, life):
                self._end(before, before.children[name], exit_, commands)
            case Ignored(name, life) if self._is_current(name, life) and not self.alive[name].up:
                del self.alive[name]
                self.to_end.discard(name)
                if before.children[name].fate is None:
                    self.down.add(name)
            case StartChild(spec) | Wanted(spec) if not refused:
                self.down.discard(spec.id)
                self.excused.add(spec.id)
            case RestartChild(name) if not refused:
                self.down.discard(name)
            case TerminateChild(name) | Dismissed(name) if not refused:
                self.down.add(name)
            case _:
                pass

    def _is_current(self, name: str, life: int) -> bool:
        return name in self.alive and self.alive[name].number == life

    def _end(self, before: State, child: Child, exit_: Exit, commands: Sequence[Command]) -> None:
        name = child.spec.id
        starting = not self.alive.pop(name).up
        self.to_end.discard(name)
        kinds = {each.kind for each in commands if isinstance(each, Report)}
        if child.fate is not None:
            assert not kinds & {"restarting", "quarantined", "gave_up", "auto_shutdown", "pending"}
            return
        if starting and exit_.reason is ExitReason.NO_CAPACITY:
            assert kinds <= {"pending"}
            self.excused.add(name)
            return
        self.excused.discard(name)
        if starting and child.origin is not Origin.RESTARTED and self.spec.strict_start:
            self.down.add(name)
            assert (self.state.ending is not None) == (child.origin is Origin.BOOT)
        elif child.spec.restart is Restart.PERMANENT or (
            child.spec.restart is Restart.TRANSIENT and not exit_.reason.intended
        ):
            self._restart(before, name, exit_, kinds)
        else:
            self.down.add(name)
            assert not kinds & {"restarting", "quarantined", "gave_up"}
            assert "auto_shutdown" not in kinds or child.spec.significant

    def _restart(self, before: State, name: str, exit_: Exit, kinds: set[str]) -> None:
        self.charges += [self.now] * WEIGHTS.get(exit_.reason, 1)
        limit = self.spec.intensity
        recent = [at for at in self.charges if limit and at >= self.now - limit.period]
        assert ("gave_up" in kinds) == (limit is not None and len(recent) > limit.restarts)
        assert len(kinds & {"restarting", "quarantined", "gave_up"}) == 1
        assert "quarantined" not in kinds or self.spec.budgets is not None
        if "restarting" in kinds and self.grouped:
            names = list(before.children)
            first = names.index(name) + 1 if self.spec.strategy is Strategy.REST_FOR_ONE else 0
            concerned = {each for each in names[first:] if each != name}
            forgotten = {each for each in concerned if before.children[each].fate is Fate.FORGET}
            self.down -= concerned - forgotten
            self.to_end |= concerned & self.alive.keys()

    # what a command does

    def _perform(self, before: State, command: Command) -> None:
        match command:
            case StartCommand(name, number):
                self._start(name, number)
            case Stop(name, number, patience):
                self._stop(name, number)
                assert patience == self.state.children[name].spec.patience
            case Finish(exit_):
                self.finishes += 1
                assert self.finishes == 1
                assert not self.alive, "it ends before its children"
                assert (self.state.over, self.state.ending) == (True, exit_)
            case Report(name):
                assert name in before.children or name in self.state.children
            case Refused():
                pass

    def _start(self, name: str, number: int) -> None:
        child = self.state.children[name]
        assert name not in self.alive, "two lives of one child"
        assert number == child.life
        assert self.state.ending is None
        assert name not in self.down, "nobody wants it"
        if child.spec.restart is Restart.TEMPORARY:
            assert number == 1 or name in self.excused, "temporary children do not come back"
        if self.grouped:
            assert not self.to_end, "somebody of the group is still to end"
            for earlier, other in self.state.children.items():
                if earlier == name:
                    break
                assert other.phase not in (Phase.WAITING, Phase.STARTING, Phase.STOPPING)
        self.alive[name] = Life(number)

    def _stop(self, name: str, number: int) -> None:
        life = self.alive[name]
        assert life.number == number
        assert not life.told_to_stop
        life.told_to_stop = True
        if self.spec.strategy is not Strategy.DYNAMIC:
            others = [each for each in self.alive.values() if each is not life]
            assert not any(each.told_to_stop for each in others), "one at a time"
            names = list(self.state.children)
            for later in names[names.index(name) + 1 :]:
                assert later not in self.alive or self.state.children[later].fate is None
                assert later not in self.to_end

    # what holds whatever happened

    def _check(self, before: State, event: Event) -> None:
        self.down &= self.state.children.keys()
        assert self.alive.keys() <= self.state.children.keys(), "a process is forgotten"
        for name, child in self.state.children.items():
            self._check_child(name, child)
        for name in before.children.keys() - self.state.children.keys():
            self._check_forgotten(before.children[name], event)
        if self.state.ending is not None:
            assert self.state.over == (not self.alive)
        limit, window = self.spec.intensity, self.state.restarts
        assert list(window) == sorted(window)
        assert set(window) <= {*before.restarts, self.now}
        if limit is None:
            assert window == ()
        else:
            assert len(window) <= limit.restarts + 2
            assert not window or window[0] >= window[-1] - limit.period
        if isinstance(event, Due):
            due = next_due(self.state)
            assert due is None or due > self.now, "it would be asked at once, and for ever"

    def _check_child(self, name: str, child: Child) -> None:
        life = self.alive.get(name)
        assert (life is not None) == child.phase.alive
        if life is None:
            assert child.fate is None
            assert child.running_since is None
            assert child.phase is Phase.STOPPED or not self.state.ending
        else:
            assert life.number == child.life
            assert life.told_to_stop == (child.phase is Phase.STOPPING)
            if not life.told_to_stop:
                assert life.up == (child.phase is Phase.RUNNING)
                assert child.until is None or child.fate is not None
        assert (child.until is not None) or child.phase is not Phase.QUARANTINED
        if child.phase is Phase.STOPPED:
            assert self.state.ending or name in self.down, "somebody wants it"
            assert child.until is None
            assert self.state.ending or child.spec.restart is not Restart.TEMPORARY
        assert len(child.endings) <= 20

    def _check_forgotten(self, child: Child, event: Event) -> None:
        name, fate = child.spec.id, child.fate
        match event:
            case Ended() | Ignored():
                assert event.child == name
                if child.spec.restart is not Restart.TEMPORARY and fate is None:
                    added = self.spec.strict_start and child.origin is Origin.ADDED
                    assert added or self.spec.strategy is Strategy.DYNAMIC
            case DeleteChild() | Dismissed() | TerminateChild():
                assert event.child == name
            case _:
                raise AssertionError(f"{name} is forgotten over {event}")
