"""Supervisors of supervisors, case by case as in OTP's supervisor_SUITE."""

from __future__ import annotations

import pytest
from tests.support.scripted import Script
from tests.support.simulation import Simulation
from tests.support.supervision import (
    DYNAMIC,
    ONE_FOR_ALL,
    PERMANENT,
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
from aos.supervisors.spec import Backoff, Restart
from aos.supervisors.state import Phase, StartChild, TerminateChild

START_ERROR = ExitReason.START_ERROR
RUNNING = Phase.RUNNING


def otp_tree() -> Simulation:
    """The tree of OTP's case: two static supervisors and a dynamic one under a one_for_all."""
    one = by_otp(child("a1"), child("a2"), name="one")
    two = by_otp(child("b1"), child("b2"), name="two")
    dynamic = by_otp(name="dynamic", strategy=DYNAMIC)
    spec = by_otp(nested(one), nested(two), nested(dynamic), strategy=ONE_FOR_ALL)
    tree = Simulation(spec)
    for name in ("d1", "d2"):
        assert tree.ask(StartChild(child(name)), of="dynamic") == "ok"
    return tree


def test_otp_tree() -> None:
    tree = otp_tree()
    assert (tree.counts(), tree.counts("one")) == ((3, 3, 3, 0), (2, 2, 0, 2))
    assert tree.did("up") == ["a1", "a2", "one", "b1", "b2", "two", "dynamic", "d1", "d2"]

    # Only the dead child is restarted.
    others = ("one", "a2", "two", "b1", "b2", "dynamic", "d1", "d2")
    kept = tree.pids(*others)
    tree.end("a1")
    assert tree.pids(*others) == kept
    assert tree.pid("a1") is not None

    # A supervisor that is stopped by request takes its own with it, and nobody else.
    tree.ask(TerminateChild("two"))
    assert tree.counts() == (3, 2, 3, 0)
    assert tree.pids("two", "b1", "b2") == [None] * 3

    # One death more is over one's intensity: the top's whole group is built again, the one that
    # was stopped included. Dynamic children are gone: nobody but who added them knows of them.
    tree.log.clear()
    tree.end("a2")
    assert tree.over is None
    assert tree.counts() == (3, 3, 3, 0)
    assert tree.counts("one") == tree.counts("two") == (2, 2, 0, 2)
    assert tree.counts("dynamic") == (0, 0, 0, 0)
    assert not set(kept) & {process.pid for process in tree.alive.values()}
    assert tree.did("start") == ["one", "a1", "a2", "two", "b1", "b2", "dynamic"]


def test_otp_tree_stops_from_the_end_to_the_beginning() -> None:
    tree = otp_tree()
    tree.scripts["d1"] = Script(stop_seconds=1)
    tree.log.clear()
    tree.stop().later(1)
    assert tree.over is not None
    assert tree.did("end") == [
        "d2", "d1", "dynamic", "b2", "b1", "two", "a2", "a1", "one", "top",
    ]  # fmt: skip


def test_otp_tree_escalates_to_the_top() -> None:
    """Over every intensity on the way: the top ends, which is its keeper's business."""
    leaf = by_otp(child("x"), name="leaf", intensity=within(1, 60))
    middle = by_otp(nested(leaf), name="middle", intensity=within(1, 60))
    tree = Simulation(by_otp(nested(middle), intensity=within(1, 60)))
    deaths = 0
    while tree.over is None:
        tree.end("x")
        deaths += 1
    assert deaths == 2 * 2 * 2, "allowed restarts multiply over the levels"
    assert tree.alive == {}


@pytest.mark.parametrize("restart", list(Restart))
def test_otp_a_supervisor_that_gives_up_is_restarted_by_its_type(restart: Restart) -> None:
    below = by_otp(child("x"), name="below", intensity=within(0, 1))
    tree = Simulation(by_otp(nested(below, restart), child("z"))).end("x")
    if restart is PERMANENT:
        assert tree.which() == {"below": RUNNING, "z": RUNNING}
        assert tree.pid("x") is not None
    elif restart is TRANSIENT:
        assert tree.which() == {"below": Phase.STOPPED, "z": RUNNING}
    else:
        assert (restart, tree.which()) == (TEMPORARY, {"z": RUNNING})


@pytest.mark.parametrize("reason", [ExitReason.CRASH, ExitReason.NODE_LOST])
def test_a_supervisor_whose_process_dies_takes_its_children_with_it(reason: ExitReason) -> None:
    tree = otp_tree()
    before = tree.pids("b1", "b2")
    tree.end("two", reason)
    assert tree.counts("two") == (2, 2, 0, 2)
    assert not set(before) & set(tree.pids("b1", "b2"))


def test_otp_a_supervisor_that_cannot_start_is_a_failed_start_of_its_parent() -> None:
    below = by_otp(child("x"), name="below")
    spec = supervisor(nested(below), intensity=within(2, 60), backoff=Backoff(seconds(0)))
    tree = Simulation(spec, {"x": Script(starts=[START_ERROR] * 9)})
    assert tree.over is not None
    assert len(tree.did("start")) == 2 * 3
    reports = [(each.reason, each.detail) for each in tree.top.reports if each.kind == "ended"]
    assert reports == [("start_error", "failed_to_start_child x: did not start")] * 3


def test_a_supervisor_is_up_when_its_children_are() -> None:
    below = by_otp(child("x"), child("y"), name="below")
    scripts = {name: Script(start_seconds=2) for name in "xy"}
    tree = Simulation(by_otp(nested(below), child("z")), scripts)
    assert tree.later(3.9).which() == {"below": Phase.STARTING, "z": Phase.WAITING}
    assert tree.later(0.1).which() == {"below": RUNNING, "z": RUNNING}


def test_a_supervisor_is_stopped_while_its_children_start() -> None:
    below = by_otp(child("x"), child("y"), name="below")
    tree = Simulation(by_otp(nested(below)), {"y": Script(start_seconds=1e6)}).stop()
    assert (tree.over is not None, tree.alive) == (True, {})


def test_one_subtree_that_keeps_failing_is_restarted_with_backoff_and_disturbs_nobody() -> None:
    """Ours: between a subtree's deaths there is time, so its parent is not exhausted at once."""
    below = supervisor(child("x"), name="below", intensity=within(0, 1))
    tree = Simulation(supervisor(nested(below), child("z"), intensity=within(5, 30)))
    kept = tree.pid("z")
    for _ in range(4):
        tree.end("x")
        tree.until(lambda: tree.pid("x") is not None)
    assert tree.child("below").failures == 4
    assert tree.at("start", "below") > 0
    assert (tree.over, tree.pid("z")) == (None, kept)
