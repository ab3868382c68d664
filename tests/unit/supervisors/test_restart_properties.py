"""Whatever happens to the children of a supervisor, in any order, these things hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.supervision import START, child, within

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.restart import (
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
from aos.supervisors.spec import Backoff, ChildSpec, Intensity, Restart, SupervisorSpec

NAMES = "abc"
GAPS = (0.0, 0.007, 0.7, 13.0, 4_000.0)  # no sum of these is exactly a period long
LIMITS = (None, within(0, 10), within(2, 10), within(5, 100))


class Process:
    """One process of a child: `starting`, `running`; gone when it has ended."""

    def __init__(self, spec: ChildSpec) -> None:
        self.spec, self.running = spec, False


class World:
    """A supervisor's state and the processes that its commands made."""

    def __init__(self, spec: SupervisorSpec) -> None:
        self.state = State(spec)
        self.now = START
        self.processes: dict[str, Process] = {}
        self.wanted: dict[str, ChildSpec] = {}
        self.dismissed: set[str] = set()
        self.restarts: list[datetime] = []
        self.over = False
        self.seen: set[Phase] = set()

    def events(self, choose: Any) -> list[Event]:
        """What may happen next."""
        possible: list[Event] = [Due()]
        for name in NAMES:
            spec = self.wanted.get(name) or child(name, choose(list(Restart)))
            possible += [Wanted(spec), Dismissed(name)]
        for name, process in self.processes.items():
            reason = choose(list(ExitReason)) if process.running else ExitReason.START_ERROR
            ended = Ended(name, Exit(reason), process.running and choose([True, False]))
            possible += [ended, ended, ended]
            if not process.running:
                possible += [Started(name), Started(name)]
        return possible

    def feed(self, event: Event) -> None:
        before = self.state
        self.state, commands = decide(before, event, self.now)
        assert decide(before, event, self.now) == (self.state, commands), "decisions are pure"
        self._note(before, event)
        known = before.children.keys() | self.state.children.keys()
        for command in commands:
            if not isinstance(command, GiveUp):
                assert command.child in known
            self._perform(command)
        self._check_intensity(event, commands)
        self._check_phases()

    def _note(self, before: State, event: Event) -> None:
        match event:
            case Wanted(spec) if not before.given_up and spec.id not in before.children:
                self.wanted[spec.id] = spec
                self.dismissed.discard(spec.id)
            case Dismissed(name):
                self.dismissed.add(name)
            case Started(name):
                self.processes[name].running = True
            case Ended(name):
                del self.processes[name]
            case _:
                pass

    def _perform(self, command: Start | Stop | GiveUp | Report) -> None:
        match command:
            case Start(name):
                assert name not in self.processes, "a child has one process at most"
                assert name not in self.dismissed, "nobody who was dismissed comes back"
                self.processes[name] = Process(self.state.children[name].spec)
            case Report(name, "restarting", reason):
                restart = self.state.children[name].spec.restart
                assert restart is not Restart.TEMPORARY
                assert restart is Restart.PERMANENT or not ExitReason(reason).intended
            case _:
                pass

    def _check_intensity(self, event: Event, commands: Sequence[Any]) -> None:
        kinds = {each.kind for each in commands if isinstance(each, Report)}
        limit = self.state.spec.intensity
        if kinds & {"restarting", "quarantined", "gave_up"}:
            self.restarts.append(self.now)
        assert ("gave_up" in kinds) == (GiveUp in map(type, commands))
        if limit is None:
            assert not self.state.given_up
        elif isinstance(event, Ended) and not self.over:
            recent = [at for at in self.restarts if at >= self.now - limit.period]
            assert self.state.given_up == (len(recent) > limit.restarts)
        if self.state.given_up and not self.over:
            self.over = True
            stops = [each.child for each in commands if isinstance(each, Stop)]
            assert stops == list(reversed(self.state.children)), "all of them, last started first"

    def _check_phases(self) -> None:
        if self.state.given_up:
            return
        for name, each in self.state.children.items():
            self.seen.add(each.phase)
            process = self.processes.get(name)
            match each.phase:
                case Phase.STARTING:
                    assert process is not None
                    assert not process.running
                case Phase.RUNNING:
                    assert process is not None
                    assert process.running
                case Phase.STOPPING:
                    assert process is not None
                    assert name in self.dismissed
                case Phase.BACKING_OFF | Phase.QUARANTINED:
                    assert process is None
            waiting = each.phase in (Phase.BACKING_OFF, Phase.QUARANTINED)
            assert (each.until is not None) == waiting
            self._check_window(each.restarts, self.state.spec.child_intensity)
        assert self.processes.keys() <= self.state.children.keys(), "no process is forgotten"
        self._check_window(self.state.restarts, self.state.spec.intensity)

    def _check_window(self, window: tuple[datetime, ...], limit: Intensity | None) -> None:
        assert list(window) == sorted(window)
        assert not window or window[-1] <= self.now
        if limit is None:
            assert window == ()
        else:
            assert len(window) <= limit.restarts + 1
            assert not window or window[0] >= window[-1] - limit.period

    def calm(self) -> None:
        """No more trouble: then every child that may run must run."""
        for _ in range(2 * len(NAMES)):
            for name, process in self.processes.items():
                if not process.running:
                    self.feed(Started(name))
            if (due := next_due(self.state)) is not None:
                self.now = max(self.now, due)
                self.feed(Due())
        for name, each in self.state.children.items():
            assert each.phase is (Phase.STOPPING if name in self.dismissed else Phase.RUNNING)


def live(choose: Any, length: int) -> World:
    world = World(
        SupervisorSpec(
            "tree",
            intensity=choose(LIMITS),
            child_intensity=choose(LIMITS),
            quarantine=timedelta(seconds=choose([1, 60])),
            backoff=choose([Backoff(), Backoff(timedelta(0), timedelta(0))]),
        )
    )
    for _ in range(length):
        world.now += timedelta(seconds=choose(GAPS[:4] * 3 + GAPS))
        world.feed(choose(world.events(choose)))
    if not world.state.given_up:
        world.calm()
    return world


@given(st.data(), st.integers(0, 12))
def test_any_supervisor(data: st.DataObject, length: int) -> None:
    live(lambda options: data.draw(st.sampled_from(list(options))), length)


def test_many_supervisors_that_live_long() -> None:
    phases: set[Phase] = set()
    given_up = 0
    for seed in range(300):
        world = live(Random(seed).choice, 60)  # noqa: S311 - a die, not a secret
        given_up += world.state.given_up
        phases |= world.seen
    assert 50 < given_up < 250
    assert phases == set(Phase)


@given(st.lists(st.sampled_from([0.0, 0.007, 0.7, 13.0]), max_size=30), st.sampled_from(LIMITS[1:]))
def test_a_window_is_monotone_and_holds_only_what_is_recent(
    gaps: list[float], limit: Intensity
) -> None:
    state = State(SupervisorSpec("tree", intensity=limit, backoff=Backoff(timedelta(0))))
    now = START
    state, _ = decide(state, Wanted(child("a")), now)
    for gap in gaps:
        now += timedelta(seconds=gap)
        before = state.restarts
        state, _ = decide(state, Ended("a", Exit(ExitReason.CRASH)), now)
        if state.given_up:
            return
        assert state.restarts[-1] == now
        assert set(state.restarts) <= {*before, now}
        assert len(state.restarts) <= limit.restarts
        state, _ = decide(state, Due(), now := now + timedelta(seconds=0.0))
        state, _ = decide(state, Started("a"), now)


@given(st.sampled_from(list(Restart)), st.sampled_from(list(ExitReason)), st.booleans())
def test_temporary_children_never_come_back(
    restart: Restart, reason: ExitReason, progressed: bool
) -> None:
    state, _ = decide(State(SupervisorSpec("tree")), Wanted(child("a", restart)), START)
    state, _ = decide(state, Started("a"), START)
    state, commands = decide(state, Ended("a", Exit(reason), progressed), START)
    comes_back = restart is Restart.PERMANENT or (
        restart is Restart.TRANSIENT and not reason.intended
    )
    assert (Start("a") in commands) == comes_back == ("a" in state.children)
