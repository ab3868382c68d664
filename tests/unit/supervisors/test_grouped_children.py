"""Children that are restarted together, where time passes between the steps of it.

In OTP a group's restart is one step, since it waits for every stop and start in it.
"""

from __future__ import annotations

import pytest
from tests.support.scripted import Script
from tests.support.simulation import Simulation
from tests.support.supervision import (
    ONE_FOR_ALL,
    REST_FOR_ONE,
    by_otp,
    child,
    supervisor,
    within,
)

from aos.cluster.exits import ExitReason
from aos.supervisors.spec import Shutdown, Strategy
from aos.supervisors.state import Dismissed, Phase, TerminateChild

START_ERROR = ExitReason.START_ERROR
RUNNING, WAITING = Phase.RUNNING, Phase.WAITING
GROUPED = pytest.mark.parametrize("strategy", [ONE_FOR_ALL, REST_FOR_ONE])


def group(names: str, strategy: Strategy, **fields: object) -> Simulation:
    tree = Simulation(by_otp(*map(child, names), strategy=strategy, **fields))
    tree.log.clear()
    return tree


@GROUPED
def test_who_is_about_to_be_stopped_by_request_comes_back_too(strategy: Strategy) -> None:
    """OTP waits for the stop and then hears of the crash: the order of the two is the same here."""
    tree = Simulation(by_otp(*map(child, "ab"), strategy=strategy), {"b": Script(stop_seconds=1)})
    tree.ask(TerminateChild("b"))
    tree.end("a")
    tree.later(1)
    assert tree.which() == {"a": RUNNING, "b": RUNNING}


@GROUPED
def test_who_is_dismissed_does_not(strategy: Strategy) -> None:
    tree = Simulation(by_otp(*map(child, "ab"), strategy=strategy), {"b": Script(stop_seconds=1)})
    tree.ask(Dismissed("b"))
    tree.end("a")
    tree.later(1)
    assert tree.which() == {"a": RUNNING}


@GROUPED
def test_nobody_is_started_before_all_are_stopped(strategy: Strategy) -> None:
    tree = group("abc", strategy)
    tree.scripts["b"] = Script(stop_seconds=3)
    tree.end("a").later(2.9)
    assert tree.which() == {"a": WAITING, "b": Phase.STOPPING, "c": WAITING}
    assert tree.did("start") == []
    tree.later(0.1)
    assert tree.did("start") == ["a", "b", "c"]


@GROUPED
def test_a_second_death_in_the_group_while_it_is_being_stopped(strategy: Strategy) -> None:
    tree = group("abc", strategy)
    tree.scripts["c"] = Script(stop_seconds=3)
    tree.end("a").later(1).end("b").later(2)
    assert (tree.over, tree.did("start")) == (None, ["a", "b", "c"])


def test_rest_for_one_an_earlier_death_while_later_ones_are_being_stopped() -> None:
    tree = group("abc", REST_FOR_ONE, intensity=within(2, 5))
    tree.scripts["c"] = Script(stop_seconds=3)
    tree.end("b").later(1).end("a").later(2)
    assert tree.did("start") == ["a", "b", "c"]
    assert len(tree.top.state.restarts) == 2


@GROUPED
def test_a_groups_delay_is_the_failed_ones(strategy: Strategy) -> None:
    """Nobody starts before the one that failed may, and nobody after it before it is up."""
    tree = Simulation(supervisor(*map(child, "abc"), strategy=strategy))
    tree.end("a").end("a")
    delay = tree.top.reports[-3].delay.total_seconds()
    assert delay > 0
    assert tree.which() == dict.fromkeys("abc", WAITING)
    tree.log.clear()
    tree.later(delay - 0.000_002)
    assert tree.did("start") == []
    tree.scripts["a"] = Script(start_seconds=7)
    tree.later(0.000_002)
    assert tree.did("start") == ["a"]
    tree.later(7)
    assert tree.did("start") == ["a", "b", "c"]


def test_one_for_all_who_comes_before_the_failed_one_waits_for_its_delay_too() -> None:
    tree = Simulation(supervisor(*map(child, "ab"), strategy=ONE_FOR_ALL)).end("b").end("b")
    assert tree.which() == {"a": WAITING, "b": WAITING}
    assert tree.child("a").until == tree.child("b").until
    tree.until(lambda: tree.pid("b") is not None)
    assert tree.at("start", "a") == tree.at("start", "b") > 0


@GROUPED
def test_a_sibling_that_takes_longer_to_stop_than_the_delay_costs_no_time(
    strategy: Strategy,
) -> None:
    """Its restart is overdue while it is being stopped: the supervisor must wait for the stop, and
    not for a time that has passed.
    """
    slow = child("b", shutdown=Shutdown.INFINITY)
    tree = Simulation(supervisor(child("a"), slow, strategy=strategy))
    tree.end("a")
    tree.scripts["b"] = Script(stop_seconds=300)
    tree.end("a").later(299)
    assert tree.which() == {"a": WAITING, "b": Phase.STOPPING}
    tree.later(1)
    assert tree.which() == {"a": RUNNING, "b": RUNNING}


@GROUPED
def test_who_was_never_started_keeps_its_first_start_ahead(strategy: Strategy) -> None:
    """Its sibling's death does not make its first start a restart: a failure still is final."""
    spec = by_otp(*map(child, "abc"), strategy=strategy, intensity=within(9, 9))
    tree = Simulation(spec, {"b": Script(start_seconds=1), "c": Script(starts=[START_ERROR])})
    tree.end("a").later(1)
    assert tree.over is not None
    assert tree.over.detail.startswith("failed_to_start_child c")
