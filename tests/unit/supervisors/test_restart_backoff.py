"""What is ours and not OTP's: delays, progress, quarantine, and dismissal while waiting."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.support.supervision import START, Tree, child, within

from aos.cluster.exits import ExitReason
from aos.supervisors.restart import LONGEST_QUARANTINE, Phase, Report, Started, Stop, Wanted
from aos.supervisors.spec import Backoff
from aos.supervisors.tree import agent_supervisor

BACKING_OFF, QUARANTINED = Phase.BACKING_OFF, Phase.QUARANTINED
START_ERROR = ExitReason.START_ERROR


def seconds(**fields: float) -> timedelta:
    return timedelta(**fields)


def agents(**fields: object) -> Tree:
    """One child that is quarantined at its third death within ten seconds."""
    return Tree(
        child("a"), child("b"), child_intensity=within(2, 10), quarantine=seconds(seconds=60),
        backoff=Backoff(timedelta(0), timedelta(0)), **fields,
    )  # fmt: skip


def until_quarantined(tree: Tree) -> Tree:
    for _ in range(100):
        if tree["a"] is QUARANTINED:
            return tree
        if tree.ends("a")["a"] is not QUARANTINED:
            tree.comes_back("a")
    raise AssertionError("never quarantined")


# delays


def test_a_lone_crash_is_repaired_at_once() -> None:
    tree = Tree(child("a")).ends("a")
    assert (tree.started, tree.delay_s) == (["a"], 0)


def test_who_keeps_failing_waits_longer_and_longer_up_to_a_bound() -> None:
    tree, ceilings = Tree(child("a"), intensity=None), []
    for failures in range(1, 40):
        tree.crash("a")
        ceiling = 0.0 if failures == 1 else min(60.0, 0.2 * 2 ** (failures - 1))
        assert 0 <= tree.delay_s <= ceiling
        ceilings.append(tree.delay_s)
    assert max(ceilings) > 30
    assert len(set(ceilings)) > 30, "full jitter: children that failed together come back apart"


def test_a_start_waits_until_it_is_due_and_not_longer() -> None:
    tree = Tree(child("a")).crash("a").ends("a")
    assert (tree.started, tree["a"], tree.reported) == ([], BACKING_OFF, ["ended", "restarting"])
    delay = tree.delay_s
    assert tree.later(delay - 0.000_001).started == []
    assert tree.later(0.000_001).started == ["a"]
    assert tree.later(0).started == []


def test_the_same_history_waits_alike_and_another_child_differently() -> None:
    def delays(name: str) -> list[float]:
        tree = Tree(child(name), intensity=None)
        return [tree.crash(name).delay_s for _ in range(8)]

    assert delays("a") == delays("a")
    assert delays("a") != delays("b")


def test_progress_makes_the_next_crash_a_lone_one() -> None:
    tree = Tree(child("a")).crash("a").crash("a").crash("a")
    assert tree.state.children["a"].failures == 3
    assert (tree.ends("a", progressed=True).delay_s, tree.started) == (0, ["a"])


def test_a_quiet_time_does_so_too() -> None:
    """Static children cannot tell progress: for them a crash a day must not add up."""
    tree = Tree(child("a"), intensity=within(10, 60))
    for _ in range(10):
        assert tree.crash("a").delay_s == 0
        tree.later(86_400)


def test_children_wait_each_for_itself() -> None:
    tree = Tree(child("a"), child("b"), child("c"))
    tree.crash("a").ends("a")
    tree.ends("b")
    assert (tree.started, tree["a"], tree["c"]) == (["b"], BACKING_OFF, Phase.RUNNING)


def test_all_who_are_due_are_started_together() -> None:
    tree = Tree(child("a"), child("b")).crash("a").crash("b").ends("a").ends("b")
    assert tree.later(60).started == ["a", "b"]


# quarantine


def test_a_child_that_keeps_failing_is_quarantined_alone() -> None:
    tree = agents().crash("a").crash("a").ends("a")
    assert (tree["a"], tree["b"], tree.started) == (QUARANTINED, Phase.RUNNING, [])
    assert tree.said[-1] == Report("a", "quarantined", "crash", "", seconds(seconds=60))


def test_deaths_that_are_far_apart_quarantine_nobody() -> None:
    tree = agents()
    for _ in range(10):
        assert tree.crash("a").reported == ["ended", "restarting"]
        tree.later(10.1)


def test_progress_in_between_too() -> None:
    tree = agents()
    for _ in range(10):
        assert tree.crash("a", progressed=True).reported == ["ended", "restarting"]


def test_failed_starts_count() -> None:
    tree = agents().ends("a").ends("a", START_ERROR).ends("a", START_ERROR)
    assert tree["a"] is QUARANTINED


def test_after_the_quarantine_it_is_tried_again() -> None:
    tree = until_quarantined(agents())
    assert tree.later(59.9).started == []
    assert tree.later(0.1).started == ["a"]
    assert tree.feed(Started("a"))["a"] is Phase.RUNNING


def test_each_quarantine_in_a_row_is_twice_as_long_up_to_an_hour() -> None:
    tree, times = agents(), []
    for _ in range(9):
        times.append(until_quarantined(tree).delay_s)
        tree.until_due().feed(Started("a"))
    assert times == [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]
    assert LONGEST_QUARANTINE.total_seconds() == 3_600


def test_progress_makes_the_next_quarantine_a_first_one() -> None:
    tree = until_quarantined(agents()).until_due().feed(Started("a"))
    until_quarantined(tree).until_due().feed(Started("a"))
    tree.crash("a", progressed=True)
    assert until_quarantined(tree).delay_s == 60


def test_an_agent_that_always_dies_is_tried_hourly_in_the_end() -> None:
    """With the specification that is shipped, whose delays grow beyond its own window."""
    spec = agent_supervisor(64)
    tree = Tree(
        child("a"), intensity=spec.intensity, child_intensity=spec.child_intensity,
        quarantine=spec.quarantine, backoff=spec.backoff,
    )  # fmt: skip
    lives = 0
    while tree.now < START + timedelta(days=1):
        tree.crash("a")
        lives += 1
    assert lives < 200, "each life costs a process start"


# dismissal


def test_dismissed_while_running() -> None:
    tree = Tree(child("a")).dismiss("a")
    assert (tree.said, tree["a"]) == ((Stop("a"),), Phase.STOPPING)


def test_dismissed_while_starting() -> None:
    """The stop may come too early for a process that is not there yet: it is repeated then."""
    tree = Tree().feed(Wanted(child("a"))).dismiss("a")
    assert tree["a"] is Phase.STOPPING
    assert tree.feed(Started("a")).said == (Stop("a"),)
    assert tree.ends("a", ExitReason.KILLED)["a"] is None
    failed = Tree().feed(Wanted(child("a"))).dismiss("a").ends("a", START_ERROR)
    assert (failed["a"], failed.started) == (None, [])


@pytest.mark.parametrize("waiting", [BACKING_OFF, QUARANTINED])
def test_dismissed_while_waiting(waiting: Phase) -> None:
    tree = agents() if waiting is QUARANTINED else Tree(child("a"), child("b"))
    tree.crash("a").ends("a")
    if waiting is QUARANTINED:
        tree.feed(Started("a")).ends("a")
    assert tree["a"] is waiting
    tree.dismiss("a")
    assert (tree.said, tree["a"]) == ((), None), "there is no process to stop"
    assert tree.later(3_600).started == []


def test_wanted_while_waiting_does_not_shorten_the_wait() -> None:
    tree = until_quarantined(agents())
    assert tree.feed(Wanted(child("a"))).said == ()
    assert tree["a"] is QUARANTINED
