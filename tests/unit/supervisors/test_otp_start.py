"""Starting, case by case as in OTP's supervisor_SUITE; at the end where we start otherwise."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.scripted import IGNORE, Script
from tests.support.simulation import Simulation
from tests.support.supervision import (
    DYNAMIC,
    ONE_FOR_ALL,
    ONE_FOR_ONE,
    PERMANENT,
    REST_FOR_ONE,
    TEMPORARY,
    TRANSIENT,
    by_otp,
    child,
    nested,
    seconds,
    supervisor,
    within,
)

from aos.cluster.exits import ExitReason
from aos.supervisors.restart import CAPACITY_PAUSE
from aos.supervisors.spec import Backoff, Restart, Strategy
from aos.supervisors.state import Phase, RestartChild, StartChild, TerminateChild

START_ERROR, NO_CAPACITY = ExitReason.START_ERROR, ExitReason.NO_CAPACITY
RUNNING, STOPPED, WAITING = Phase.RUNNING, Phase.STOPPED, Phase.WAITING


def failing(*reasons: ExitReason) -> Script:
    return Script(starts=list(reasons))


def test_otp_sup_start_normal() -> None:
    tree = Simulation(by_otp())
    assert (tree.over, tree.counts()) == (None, (0, 0, 0, 0))
    tree.stop()
    assert tree.over is not None
    assert tree.over.reason is ExitReason.SHUTDOWN


@pytest.mark.parametrize("strategy", [ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE])
def test_otp_start_order(strategy: Strategy) -> None:
    """Each start waits for the one before, as start_link returns after the child's init."""
    scripts = {name: Script(start_seconds=1) for name in "bca"}
    tree = Simulation(by_otp(child("b"), child("c"), child("a"), strategy=strategy), scripts)
    tree.later(3)
    assert [(entry.at, entry.what, entry.who) for entry in tree.log] == [
        (0, "start", "b"), (1, "up", "b"),
        (1, "start", "c"), (2, "up", "c"),
        (2, "start", "a"), (3, "up", "a"),
    ]  # fmt: skip
    assert list(tree.which()) == ["b", "c", "a"], "not sorted, but in start order"


def test_otp_sup_start_ignore_init() -> None:
    """A supervisor with nothing to do is no failure: its parent keeps its place and goes on."""
    below = nested(by_otp(child("a"), name="below"))
    tree = Simulation(by_otp(below, child("b")), {"below": Script(starts=[IGNORE])})
    assert (tree.which(), tree.did("up")) == ({"below": STOPPED, "b": RUNNING}, ["b"])


def test_otp_sup_start_ignore_child() -> None:
    tree = Simulation(by_otp(), {"a": Script(starts=[IGNORE])})
    assert tree.ask(StartChild(child("a"))) == "ok"
    assert tree.ask(StartChild(child("b"))) == "ok"
    assert tree.which() == {"a": STOPPED, "b": RUNNING}
    assert tree.counts() == (2, 1, 0, 2)


def test_otp_sup_start_ignore_temporary_child() -> None:
    """There is nothing to keep of a child that will never be started again."""
    ignored = {"a": Script(starts=[IGNORE])}
    tree = Simulation(by_otp(child("a", TEMPORARY), child("b")), ignored)
    assert (tree.which(), tree.counts()) == ({"b": RUNNING}, (1, 1, 0, 1))
    assert tree.stop().over is not None


def test_otp_sup_start_ignore_temporary_child_start_child() -> None:
    tree = Simulation(by_otp(), {"a": Script(starts=[IGNORE])})
    assert tree.ask(StartChild(child("a", TEMPORARY))) == "ok"
    assert tree.ask(StartChild(child("b"))) == "ok"
    assert (tree.which(), tree.counts()) == ({"b": RUNNING}, (1, 1, 0, 1))


@pytest.mark.parametrize("restart", [TEMPORARY, PERMANENT])
def test_otp_sup_start_ignore_child_start_child_simple(restart: Restart) -> None:
    """Both sup_start_ignore_temporary_ and _permanent_child_start_child_simple."""
    tree = Simulation(by_otp(strategy=DYNAMIC), {"a": Script(starts=[IGNORE])})
    for name in "ab":
        assert tree.ask(StartChild(child(name, restart))) == "ok"
    assert (tree.which(), tree.counts()) == ({"b": RUNNING}, (1, 1, 0, 1))
    assert tree.stop().over is not None


def test_otp_sup_start_fail() -> None:
    """What started before the failure is stopped in reverse order, and the reason is handed on."""
    tree = Simulation(
        by_otp(child("a"), child("b"), child("c"), child("d")), {"c": failing(START_ERROR)}
    )
    assert tree.did("up", "stop") == ["a", "b", "b", "a"]
    assert tree.over is not None
    assert tree.over.reason is ExitReason.SHUTDOWN
    assert tree.over.detail == "failed_to_start_child c: did not start"
    assert tree.did("start") == ["a", "b", "c"], "nobody is started after the failure"


@pytest.mark.parametrize("restart", [PERMANENT, TRANSIENT, TEMPORARY])
def test_otp_sup_start_fail_whatever_the_restart_type(restart: Restart) -> None:
    boot = by_otp(child("a", restart))
    assert Simulation(boot, {"a": failing(START_ERROR)}).over is not None


@pytest.mark.parametrize("strategy", list(Strategy))
def test_otp_sup_start_child_returns_error(strategy: Strategy) -> None:
    """And _simple: the specification is not kept, so the child can be added again."""
    tree = Simulation(by_otp(strategy=strategy), {"a": failing(START_ERROR)})
    assert tree.ask(StartChild(child("a"))) == "ok"
    assert (tree.which(), tree.over) == ({}, None)
    assert tree.reported() == [("a", "ended")]
    assert tree.ask(StartChild(child("a"))) == "ok"
    assert tree.which() == {"a": RUNNING}


def test_otp_sup_start_restart_child_returns_error() -> None:
    """A stopped child that cannot be started again stays what it was."""
    tree = Simulation(by_otp(child("a")))
    tree.scripts["a"] = failing(START_ERROR)
    assert tree.ask(TerminateChild("a")) == "ok"
    assert tree.ask(RestartChild("a")) == "ok"
    assert (tree.which(), tree.counts()) == ({"a": STOPPED}, (1, 0, 0, 1))
    assert tree.child("a").failures == 0, "a request that fails is no crash"


def test_otp_faulty_application_shutdown() -> None:
    """The reason of a failure deep down reaches the top whole."""
    below = nested(by_otp(child("a"), name="below"))
    tree = Simulation(by_otp(below), {"a": failing(START_ERROR)})
    assert tree.over is not None
    assert tree.over.detail == (
        "failed_to_start_child below: failed_to_start_child a: did not start"
    )


# Where we differ from OTP on purpose.


def test_deviation_a_first_start_that_fails_is_tried_again_and_holds_nobody_up() -> None:
    """OTP gives up at once; a port that is taken for a second must not keep AOS from starting."""
    tree = Simulation(supervisor(child("a"), child("b")), {"a": failing(*[START_ERROR] * 3)})
    assert tree.which() == {"a": WAITING, "b": RUNNING}
    tree.until(lambda: tree.pid("a") is not None)
    assert (tree.which(), tree.over) == ({"a": RUNNING, "b": RUNNING}, None)
    assert tree.did("start") == ["a", "a", "b", "a", "a"]


@pytest.mark.parametrize("strategy", [ONE_FOR_ALL, REST_FOR_ONE])
def test_deviation_grouped_children_wait_for_a_first_start_that_fails(strategy: Strategy) -> None:
    """They are grouped because they need each other."""
    spec = supervisor(child("a"), child("b"), strategy=strategy)
    tree = Simulation(spec, {"a": failing(START_ERROR, START_ERROR)})
    assert tree.which() == {"a": WAITING, "b": WAITING}
    tree.until(lambda: tree.pid("b") is not None)
    assert tree.did("start") == ["a", "a", "a", "b"]


def test_deviation_a_first_start_that_fails_is_charged_like_a_crash() -> None:
    spec = supervisor(child("a"), intensity=within(1, 60), backoff=Backoff(seconds(0)))
    tree = Simulation(spec, {"a": failing(*[START_ERROR] * 5)})
    assert tree.over is not None
    assert tree.over.detail == "reached_max_restart_intensity: more than 1 in 60 s"
    assert len(tree.did("start")) == 2


def test_deviation_a_temporary_child_that_cannot_start_is_forgotten() -> None:
    tree = Simulation(supervisor(child("a", TEMPORARY)), {"a": failing(START_ERROR)})
    assert (tree.which(), tree.over, tree.did("start")) == ({}, None, ["a"])


@pytest.mark.parametrize("make", [by_otp, supervisor])
@pytest.mark.parametrize("restart", [PERMANENT, TRANSIENT, TEMPORARY])
def test_deviation_no_machine_for_a_child_is_nobodys_failure(make: Any, restart: Restart) -> None:
    """It waits, uncounted and reported once for what it lacks, and nobody waits for it."""
    scripts = {"a": failing(*[NO_CAPACITY] * 1_000)}
    spec = make(child("a", restart), child("b"), intensity=within(0, 1e6))
    tree = Simulation(spec, scripts).later(3_600)
    assert (tree.which(), tree.over) == ({"a": WAITING, "b": RUNNING}, None)
    assert tree.reported() == [("a", "pending"), ("b", "started")]
    assert tree.child("a").waits_for == "did not start"
    assert len(tree.did("start")) == 2 + 3_600 / CAPACITY_PAUSE.total_seconds()
    tree.scripts["a"].starts.clear()
    tree.later(CAPACITY_PAUSE.total_seconds())
    assert (tree.which(), tree.child("a").waits_for) == ({"a": RUNNING, "b": RUNNING}, "")


def test_who_is_stopped_while_it_waits_for_a_machine_waits_for_nothing() -> None:
    tree = Simulation(supervisor(child("a")), {"a": failing(NO_CAPACITY)})
    assert tree.ask(TerminateChild("a")) == "ok"
    assert (tree.child("a").waits_for, tree.later(60).which()) == ("", {"a": STOPPED})


@pytest.mark.parametrize("strategy", [ONE_FOR_ALL, REST_FOR_ONE])
def test_deviation_grouped_children_wait_for_the_one_without_a_machine(strategy: Strategy) -> None:
    spec = supervisor(child("a"), child("b"), strategy=strategy)
    tree = Simulation(spec, {"a": failing(NO_CAPACITY)})
    assert tree.which() == {"a": WAITING, "b": WAITING}
    tree.later(5)
    assert tree.which() == {"a": RUNNING, "b": RUNNING}


def test_deviation_a_start_that_hangs_does_not_keep_the_supervisor_from_answering() -> None:
    """In OTP a start blocks the supervisor: it answers nobody until init returns."""
    tree = Simulation(by_otp(child("a"), child("b")), {"b": Script(start_seconds=1e6)})
    before = tree.pid("a")
    tree.end("a")
    assert tree.pid("a") not in (None, before), "it notices an end, and restarts"
    assert tree.ask(StartChild(child("a"))) == "already_started"
    assert tree.ask(StartChild(child("b"))) == "already_started"
    tree.stop()
    assert (tree.over is not None, tree.alive) == (True, {})
