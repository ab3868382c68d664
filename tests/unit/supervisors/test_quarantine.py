"""A child that keeps failing is taken out of circulation alone, for a while that doubles."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.scripted import Script
from tests.support.simulation import Simulation
from tests.support.supervision import DYNAMIC, START, child, seconds, supervisor, within

from aos.cluster.exits import ExitReason
from aos.supervisors.budgets import LONGEST_QUARANTINE
from aos.supervisors.spec import NO_BACKOFF, Budgets, SupervisorSpec
from aos.supervisors.state import (
    Dismissed,
    Phase,
    Released,
    Report,
    RestartChild,
    Restored,
    StartChild,
    TerminateChild,
    Wanted,
)
from aos.supervisors.tree import agent_supervisor

CRASH, START_ERROR, NODE_LOST = ExitReason.CRASH, ExitReason.START_ERROR, ExitReason.NODE_LOST
RUNNING, QUARANTINED, STOPPED = Phase.RUNNING, Phase.QUARANTINED, Phase.STOPPED


def agents(**fields: object) -> SupervisorSpec:
    """One child that is quarantined at its third crash within ten seconds, and a neighbour."""
    defaults = {
        "budgets": Budgets(crash=within(2, 10)),
        "quarantine": seconds(60),
        "backoff": NO_BACKOFF,
        "intensity": None,
    }
    return supervisor(child("a"), child("b"), **(defaults | fields))


def in_quarantine(**fields: object) -> Simulation:
    tree = Simulation(agents(**fields))
    return tree.end("a").end("a").end("a")


def comes_back(tree: Simulation) -> Simulation:
    return tree.until(lambda: tree.pid("a") is not None)


def times(tree: Simulation) -> list[float]:
    return [each.delay.total_seconds() for each in tree.top.reports if each.kind == "quarantined"]


def test_a_child_that_keeps_failing_is_quarantined_alone() -> None:
    tree = in_quarantine()
    assert tree.which() == {"a": QUARANTINED, "b": RUNNING}
    assert tree.top.reports[-1] == Report("a", "quarantined", "crash", "by itself", seconds(60))


def test_ends_that_are_far_apart_quarantine_nobody() -> None:
    tree = Simulation(agents())
    for _ in range(10):
        tree.end("a", progressed=True).later(10.1)
    assert times(tree) == []


def test_failures_in_a_row_quarantine_however_far_they_are_apart() -> None:
    """Delays grow beyond the window: else who always dies would be started again for ever."""
    tree = Simulation(agents())
    for _ in range(2):
        tree.end("a").later(20)
    assert tree.end("a").which()["a"] is QUARANTINED


def test_progress_in_between_makes_them_no_row() -> None:
    tree = Simulation(agents())
    for _ in range(10):
        tree.end("a", progressed=True)
    assert times(tree) == []


def test_failed_starts_count() -> None:
    tree = Simulation(agents())
    tree.scripts["a"] = Script(starts=[START_ERROR] * 2)
    assert tree.end("a").which()["a"] is QUARANTINED
    assert tree.top.reports[-1].detail == "did not start"


def test_after_the_quarantine_it_is_tried_again() -> None:
    tree = in_quarantine().later(59.999)
    assert tree.which()["a"] is QUARANTINED
    tree.later(0.001)
    assert tree.which()["a"] is RUNNING
    assert tree.reported()[-2:] == [("a", "trial"), ("a", "started")]


def test_a_trial_that_fails_is_one_too_many_and_each_quarantine_is_twice_as_long() -> None:
    tree = in_quarantine()
    while len(times(tree)) < 9:
        comes_back(tree).end("a")
    assert times(tree) == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]
    assert LONGEST_QUARANTINE.total_seconds() == 3_600


def test_a_trial_that_ends_with_its_machine_is_not_held_against_it() -> None:
    tree = comes_back(in_quarantine())
    comes_back(tree.end("a", NODE_LOST))
    assert times(tree) == [60]
    assert tree.end("a").which()["a"] is QUARANTINED, "it still is a trial"


def test_progress_makes_the_next_quarantine_a_first_one() -> None:
    tree = comes_back(in_quarantine())
    comes_back(tree.end("a"))
    tree.end("a", progressed=True).end("a").end("a")
    assert times(tree) == [60, 120, 60]


def test_an_agent_that_always_dies_is_tried_hourly_in_the_end() -> None:
    """With the specification that is shipped, whose delays grow beyond its own window."""
    tree = Simulation(agent_supervisor(64))
    tree.ask(Wanted(child("a")))
    while tree.now < START + timedelta(days=1):
        comes_back(tree).end("a")
    assert len(tree.did("start")) < 60, "each life costs a process start"


def test_no_agent_can_take_the_others_down() -> None:
    tree = Simulation(agent_supervisor(64))
    for name in "ab":
        tree.ask(Wanted(child(name)))
    for _ in range(100):
        tree.until(lambda: tree.pid("a") is not None).end("a")
    assert (tree.over, tree.which()["b"]) == (None, RUNNING)
    assert tree.did("start").count("a") == 100


def test_budgets_and_intensity_both_bound() -> None:
    """What exhausts the supervisor's own window first ends it."""
    tree = Simulation(agents(intensity=within(1, 60))).end("a").end("a")
    assert tree.over is not None


# What may be asked meanwhile.


def test_wanting_it_does_not_shorten_the_quarantine() -> None:
    tree = in_quarantine()
    assert tree.ask(Wanted(child("a"))) == "ok"
    assert tree.ask(StartChild(child("a"))) == "already_present"
    assert tree.ask(RestartChild("a")) == "quarantined"
    assert tree.later(59).which()["a"] is QUARANTINED


def test_releasing_it_ends_the_quarantine_and_forgives() -> None:
    tree = comes_back(in_quarantine()).end("a")
    assert tree.ask(Released("a")) == "ok"
    assert tree.which()["a"] is RUNNING
    assert tree.end("a").end("a").which()["a"] is RUNNING
    assert tree.end("a").which()["a"] is QUARANTINED
    assert times(tree) == [60, 120, 60]


@pytest.mark.parametrize("strategy", [DYNAMIC, None])
def test_dismissing_or_terminating_it_ends_it(strategy: object) -> None:
    fields = {"strategy": strategy} if strategy else {}
    for request in (Dismissed("a"), TerminateChild("a")):
        tree = in_quarantine(**fields)
        assert tree.ask(request) == "ok"
        kept = isinstance(request, TerminateChild) and not strategy
        assert tree.which().get("a") is (STOPPED if kept else None)
        assert tree.later(3_600).pid("a") is None


def test_a_supervisor_that_ends_does_not_wait_for_a_quarantine() -> None:
    assert in_quarantine().stop().over is not None


# What a successor is told.


def test_a_successor_holds_to_a_quarantine_of_its_predecessor() -> None:
    tree = Simulation(agents()).hear(Restored(child("c"), START + seconds(30), 3))
    assert tree.which()["c"] is QUARANTINED
    assert tree.ask(Wanted(child("c"))) == "ok"
    assert tree.later(29.9).which()["c"] is QUARANTINED
    assert tree.later(0.1).which()["c"] is RUNNING
    assert tree.end("c").which()["c"] is QUARANTINED, "that was a trial"
    assert times(tree) == [480]


def test_a_quarantine_that_passed_meanwhile_is_a_trial_at_once() -> None:
    tree = Simulation(agents()).later(60).hear(Restored(child("c"), START + seconds(30), 0))
    assert tree.which()["c"] is RUNNING
    assert tree.end("c").which()["c"] is QUARANTINED
    assert times(tree) == [120]


def test_whom_it_knows_already_it_knows_better() -> None:
    tree = Simulation(agents()).hear(Restored(child("a"), START + seconds(30), 1))
    assert tree.which() == {"a": RUNNING, "b": RUNNING}


def test_a_supervisor_that_ends_takes_nobody_up_any_more() -> None:
    tree = Simulation(agents(), {"b": Script(stop_seconds=3)})
    tree.stop()
    tree.hear(Restored(child("c"), START + seconds(1), 1)).later(3)
    assert tree.over is not None
    assert "c" not in tree.which()
    assert ("c", "trial") not in tree.reported()
