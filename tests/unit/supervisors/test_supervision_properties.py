"""Whatever happens to a supervisor's children, in any order: what `Ward` asserts holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from random import Random
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.support.supervision import START, TEMPORARY, within
from tests.support.ward import Ward

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.spec import (
    NO_BACKOFF,
    AutoShutdown,
    Backoff,
    Budgets,
    ChildSpec,
    Restart,
    Shutdown,
    Strategy,
    SupervisorSpec,
)
from aos.supervisors.state import (
    DeleteChild,
    Dismissed,
    Due,
    Ended,
    Event,
    Ignored,
    Phase,
    Released,
    Report,
    RestartChild,
    Restored,
    StartChild,
    Started,
    StopAll,
    TerminateChild,
    Wanted,
)

NAMES = "abcde"
GAPS = (0.0, 0.0, 0.007, 0.7, 13.0, 4_000.0)
LIMITS = (None, within(0, 10), within(2, 10), within(5, 100))
T = TypeVar("T")
Choose = Callable[[Sequence[Any]], Any]


def child_of(choose: Choose, name: str, auto: AutoShutdown) -> ChildSpec:
    restart = choose(list(Restart))
    may = auto is not AutoShutdown.NEVER and restart is not Restart.PERMANENT
    return ChildSpec(
        name,
        "a.module:Class",
        restart,
        shutdown=choose([None, timedelta(0), Shutdown.INFINITY]),
        significant=may and choose([True, False]),
    )


def spec_of(choose: Choose) -> SupervisorSpec:
    strategy, auto = choose(list(Strategy)), choose(list(AutoShutdown))
    children = tuple(child_of(choose, name, auto) for name in NAMES[: choose(range(5))])
    budgets = Budgets(*(choose(LIMITS) for _ in range(4)))
    return SupervisorSpec(
        "tree",
        children,
        strategy=strategy,
        intensity=choose([*LIMITS, None, None]),
        auto_shutdown=auto,
        budgets=None if strategy.grouped else choose([None, budgets]),
        max_children=choose([None, None, max(3, len(children))]),
        backoff=choose([Backoff(), NO_BACKOFF]),
        strict_start=choose([True, False]),
    )


def request_of(choose: Choose, ward: Ward) -> Event:
    name = choose(NAMES)
    spec = child_of(choose, name, ward.spec.auto_shutdown)
    requests = (StartChild(spec), Wanted(spec), Wanted(spec), TerminateChild(name),
                RestartChild(name), DeleteChild(name), Dismissed(name), Released(name))  # fmt: skip
    return choose(requests)


def end_of(choose: Choose, ward: Ward) -> Event:
    name = choose(sorted(ward.alive))
    exit_ = Exit(choose(list(ExitReason)), "detail")
    return Ended(name, ward.alive[name].number, exit_, choose([False, False, True]))


def stale(choose: Choose, ward: Ward) -> Event:
    """News of a life that is over, of one that never was, or of nobody."""
    name = choose([*NAMES, "nobody"])
    current = ward.state.children[name].life if name in ward.state.children else 0
    life = choose([current - 1, current + 1] if name in ward.alive else [current, current + 1])
    made = choose([Started, Ignored, Ended])
    return Ended(name, life, Exit(ExitReason.CRASH)) if made is Ended else made(name, life)


def starting(ward: Ward) -> list[str]:
    """Who may come up, or find that it is not needed."""
    return sorted(name for name, life in ward.alive.items() if not life.up)


class AnySupervisor(RuleBasedStateMachine):
    """One supervisor of any specification."""

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        self.ward = Ward(spec_of(self.chooser(data)))

    def chooser(self, data: st.DataObject) -> Choose:
        return lambda options: data.draw(st.sampled_from(options))

    @rule(seconds=st.sampled_from(GAPS), look=st.booleans())
    def time_passes(self, seconds: float, look: bool) -> None:
        self.ward.later(seconds)
        if look:
            self.ward.feed(Due())

    @precondition(lambda self: starting(self.ward))
    @rule(data=st.data(), ignored=st.sampled_from([False, False, True]))
    def a_start_returns(self, data: st.DataObject, ignored: bool) -> None:
        name = data.draw(st.sampled_from(starting(self.ward)))
        made = Ignored if ignored else Started
        self.ward.feed(made(name, self.ward.alive[name].number))

    @precondition(lambda self: self.ward.alive)
    @rule(data=st.data())
    def a_child_ends(self, data: st.DataObject) -> None:
        self.ward.feed(end_of(self.chooser(data), self.ward))

    @rule(data=st.data())
    def somebody_asks(self, data: st.DataObject) -> None:
        self.ward.feed(request_of(self.chooser(data), self.ward))

    @rule(data=st.data())
    def old_news_arrives(self, data: st.DataObject) -> None:
        self.ward.feed(Due())
        before = self.ward.state.children
        self.ward.feed(stale(self.chooser(data), self.ward))
        assert self.ward.state.children == before

    @rule(data=st.data(), seconds=st.sampled_from((-9.0, 9.0)))
    def a_predecessor_left_a_quarantine(self, data: st.DataObject, seconds: float) -> None:
        choose = self.chooser(data)
        spec = child_of(choose, choose(NAMES), self.ward.spec.auto_shutdown)
        self.ward.feed(Restored(spec, self.ward.now + timedelta(seconds=seconds), 1))

    @precondition(lambda self: self.ward.now > START)
    @rule()
    def it_is_told_to_stop(self) -> None:
        self.ward.feed(StopAll(Exit(ExitReason.SHUTDOWN)))

    def teardown(self) -> None:
        if hasattr(self, "ward"):
            self.ward.calm()


TestAnySupervisor = AnySupervisor.TestCase
TestAnySupervisor.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


def lived(seed: int, length: int) -> tuple[Ward, Counter[str]]:
    """One supervisor with a long history, and how often what was reported and seen."""
    choose = Random(seed).choice  # noqa: S311 - a die, not a secret
    ward, seen = Ward(spec_of(choose)), Counter[str]()
    for _ in range(length):
        ward.later(choose(GAPS))
        asked = [request_of(choose, ward) for _ in range(2)]
        events: list[Event] = [Due(), stale(choose, ward), *asked]
        if ward.alive:
            events += [end_of(choose, ward)] * 2
        for name in starting(ward):
            number = ward.alive[name].number
            events += [Started(name, number)] * 3 + [Ignored(name, number)]
        if choose(range(150)) == 0:
            events = [StopAll(Exit(ExitReason.SHUTDOWN))]
        for command in ward.feed(choose(events)):
            seen[command.kind if isinstance(command, Report) else type(command).__name__] += 1
        seen.update(f"{child.phase} {child.fate}" for child in ward.state.children.values())
        if ward.state.over:
            break
    ward.calm()
    seen["over" if ward.state.over else "at rest"] += 1
    return ward, seen


def test_many_supervisors_that_live_long() -> None:
    """Rules above find small counterexamples; this one makes sure that everything does happen."""
    seen = Counter[str]()
    for seed in range(600):
        seen += lived(seed, 60)[1]
    expected = {
        "Start", "Stop", "Finish", "Refused", "started", "ignored", "ended", "pending",
        "restarting", "quarantined", "trial", "gave_up", "auto_shutdown", "over", "at rest",
    }  # fmt: skip
    expected |= {f"{phase} None" for phase in Phase if phase is not Phase.STOPPING}
    expected |= {f"{phase} {fate}" for phase in ("starting", "running", "stopping")
                 for fate in ("restart", "keep", "forget")}  # fmt: skip
    assert {name: seen[name] for name in expected if not seen[name]} == {}


def test_temporary_children_are_started_once_whatever_they_end_with() -> None:
    for reason in ExitReason:
        for strategy in Strategy:
            ward = Ward(SupervisorSpec("tree", (ChildSpec("a", "x", TEMPORARY),), strategy))
            ward.feed(Started("a", 1))
            ward.feed(Ended("a", 1, Exit(reason)))
            ward.calm()
            assert ward.state.children == {}
