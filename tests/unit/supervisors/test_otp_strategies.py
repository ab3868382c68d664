"""one_for_all, rest_for_one and their order, case by case as in OTP's supervisor_SUITE."""

from __future__ import annotations

from math import inf

import pytest
from tests.support.scripted import IGNORE, Script
from tests.support.simulation import Simulation
from tests.support.supervision import (
    DYNAMIC,
    ONE_FOR_ALL,
    ONE_FOR_ONE,
    REST_FOR_ONE,
    TEMPORARY,
    TRANSIENT,
    by_otp,
    child,
    within,
)

from aos.cluster.exits import ExitReason
from aos.supervisors.spec import Strategy
from aos.supervisors.state import (
    Phase,
    RestartChild,
    StartChild,
    TerminateChild,
)

START_ERROR, NORMAL, CRASH = ExitReason.START_ERROR, ExitReason.NORMAL, ExitReason.CRASH
RUNNING, STOPPED, WAITING = Phase.RUNNING, Phase.STOPPED, Phase.WAITING
GROUPED = pytest.mark.parametrize("strategy", [ONE_FOR_ALL, REST_FOR_ONE])


def group(names: str, strategy: Strategy, **fields: object) -> Simulation:
    tree = Simulation(by_otp(*map(child, names), strategy=strategy, **fields))
    tree.log.clear()
    return tree


def test_otp_order_of_children() -> None:
    """Unsorted ids; the third of five dies: what was started after it is stopped in reverse order,
    then all three are started in order, and the first two never notice.
    """
    tree = group("cadeb", REST_FOR_ONE)
    kept = tree.pids("c", "a")
    tree.end("d")
    assert tree.did("stop") == ["b", "e"]
    assert tree.did("start") == ["d", "e", "b"]
    assert tree.pids("c", "a") == kept
    assert tree.which() == dict.fromkeys("cadeb", RUNNING)
    tree.log.clear()
    tree.stop()
    assert tree.did("stop") == ["b", "e", "d", "a", "c"]


def test_otp_one_for_all() -> None:
    tree = group("abc", ONE_FOR_ALL)
    before = tree.pids(*"abc")
    tree.end("b")
    assert (tree.did("stop"), tree.did("start")) == (["c", "a"], ["a", "b", "c"])
    assert not set(before) & set(tree.pids(*"abc"))
    tree.end("a")
    assert tree.over is not None, "over its intensity"
    assert tree.alive == {}


def test_otp_rest_for_one() -> None:
    tree = group("abc", REST_FOR_ONE)
    kept, *renewed = tree.pids(*"abc")
    tree.end("b")
    assert (tree.did("stop"), tree.did("start")) == (["c"], ["b", "c"])
    assert tree.pid("a") == kept
    assert not set(renewed) & set(tree.pids("b", "c"))
    tree.end("b")
    assert tree.over is not None
    assert tree.alive == {}


def test_otp_one_for_all_other_child_fails_restart() -> None:
    """The sibling that fails to start is retried with its whole group, and no process is there
    twice: the simulation asserts that at every start.
    """
    tree = group("abc", ONE_FOR_ALL, intensity=within(3, 5))
    tree.scripts["b"] = Script(starts=[START_ERROR])
    tree.end("c")
    assert tree.did("start", "stop", "end") == [
        "c", "b", "b", "a", "a",  # c ends, the others are stopped
        "a", "b", "b",  # a comes up, b does not
        "a", "a",  # so a is stopped once more
        "a", "b", "c",
    ]  # fmt: skip
    assert tree.which() == dict.fromkeys("abc", RUNNING)


def test_otp_rest_for_one_other_child_fails_restart() -> None:
    """What came before the sibling that fails to start is not started again."""
    tree = group("abcd", REST_FOR_ONE, intensity=within(3, 5))
    kept = tree.pid("a")
    tree.scripts["c"] = Script(starts=[START_ERROR])
    tree.end("b")
    assert tree.did("stop") == ["d", "c"]
    assert tree.did("start") == ["b", "c", "c", "d"]
    assert tree.pid("a") == kept


@GROUPED
def test_otp_temporary_bystander(strategy: Strategy) -> None:
    """A temporary child that is stopped with its group is gone; a transient one comes back."""
    children = (child("a"), child("b", TEMPORARY), child("c", TRANSIENT))
    tree = Simulation(by_otp(*children, strategy=strategy))
    tree.end("a")
    assert tree.which() == {"a": RUNNING, "c": RUNNING}
    assert tree.did("stop") == ["c", "b"]


@GROUPED
def test_otp_a_temporary_death_concerns_nobody(strategy: Strategy) -> None:
    tree = Simulation(by_otp(child("a", TEMPORARY), child("b"), strategy=strategy))
    kept = tree.pid("b")
    tree.end("a")
    assert (tree.which(), tree.pid("b"), tree.did("stop")) == ({"b": RUNNING}, kept, [])


@GROUPED
def test_otp_a_groups_restart_brings_back_who_was_stopped(strategy: Strategy) -> None:
    children = (child("a"), child("b"), child("c", TRANSIENT), child("d"))
    tree = Simulation(by_otp(*children, strategy=strategy))
    tree.ask(TerminateChild("b"))
    tree.end("c", NORMAL)
    tree.scripts["d"] = Script(starts=[IGNORE])
    tree.ask(TerminateChild("d"))
    tree.ask(RestartChild("d"))
    assert tree.which() == {"a": RUNNING, "b": STOPPED, "c": STOPPED, "d": STOPPED}
    tree.end("a")
    assert tree.which() == dict.fromkeys("abcd", RUNNING)


@GROUPED
def test_what_a_siblings_restart_stops_is_no_end_by_itself(strategy: Strategy) -> None:
    """However it ends then, it is neither counted nor judged."""
    names = "abcde"
    tree = group(names, strategy)
    for name, reason in zip("bcde", [CRASH, NORMAL, ExitReason.OUT_OF_MEMORY, CRASH], strict=True):
        tree.scripts[name] = Script(stop_reason=reason)
    tree.end("a")
    assert (tree.over, len(tree.top.state.restarts)) == (None, 1)
    assert tree.which() == dict.fromkeys(names, RUNNING)
    assert {tree.child(name).failures for name in "bcde"} == {0}
    assert {tree.child(name).restarts for name in "bcde"} == {0}


def test_one_for_one_and_dynamic_concern_nobody_else() -> None:
    for strategy in (ONE_FOR_ONE, DYNAMIC):
        tree = group("abc", strategy)
        kept = tree.pids("a", "c")
        tree.end("b")
        assert (tree.pids("a", "c"), tree.did("stop")) == (kept, [])


def test_the_report_of_a_restart_names_who_is_restarted_with_it() -> None:
    tree = group("abc", REST_FOR_ONE).end("b")
    assert [each.detail for each in tree.top.reports if each.kind == "restarting"] == ["with c"]


def test_one_for_one_who_comes_back_waits_for_nobodys_first_start() -> None:
    """Only first starts have an order."""
    scripts = {"a": Script(start_seconds=1), "b": Script(start_seconds=inf)}
    tree = Simulation(by_otp(*map(child, "abc")), scripts)
    tree.ask(TerminateChild("b"))
    tree.later(1).ask(RestartChild("b"))
    assert tree.which() == {"a": RUNNING, "b": Phase.STARTING, "c": RUNNING}
    assert tree.end("c").which()["c"] is RUNNING


# Where we differ from OTP on purpose.


@GROUPED
def test_deviation_who_waited_for_a_child_that_is_stopped_by_request_is_started(
    strategy: Strategy,
) -> None:
    """In OTP nobody tries again for the rest of the group, and it stays down until asked for."""
    tree = group("ab", strategy, intensity=within(8, 10))
    tree.scripts["a"] = Script(starts=[START_ERROR], start_seconds=inf)
    tree.end("a")
    assert tree.which() == {"a": Phase.STARTING, "b": WAITING}
    assert tree.ask(TerminateChild("a")) == "ok"
    assert tree.which() == {"a": STOPPED, "b": RUNNING}


@GROUPED
def test_deviation_who_is_added_waits_for_a_group_that_is_not_up(strategy: Strategy) -> None:
    """OTP starts it at once, though what it may need is not there."""
    tree = group("a", strategy)
    tree.scripts["a"] = Script(start_seconds=2)
    tree.end("a")
    assert tree.ask(StartChild(child("b"))) == "ok"
    assert (tree.which()["b"], tree.did("start")) == (WAITING, ["a"])
    tree.later(2)
    assert tree.which() == {"a": RUNNING, "b": RUNNING}
