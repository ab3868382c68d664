"""What is ours beyond OTP: delays, and budgets by cause."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.scripted import Script
from tests.support.simulation import Simulation
from tests.support.supervision import (
    DYNAMIC,
    PERMANENT,
    TRANSIENT,
    by_otp,
    child,
    seconds,
    supervisor,
    within,
)

from aos.cluster.exits import ExitReason
from aos.supervisors.spec import NO_BACKOFF, Backoff, Budgets, Cause
from aos.supervisors.state import Phase, Report

CRASH, START_ERROR, NORMAL = ExitReason.CRASH, ExitReason.START_ERROR, ExitReason.NORMAL
OOM, NODE_LOST = ExitReason.OUT_OF_MEMORY, ExitReason.NODE_LOST
PREEMPTED = ExitReason.PREEMPTED
WAITING, RUNNING, QUARANTINED = Phase.WAITING, Phase.RUNNING, Phase.QUARANTINED
UNLIMITED = Budgets(crash=None, out_of_memory=None)


def one(**fields: object) -> Simulation:
    """One child that nothing bounds."""
    return Simulation(supervisor(child("a"), **({"intensity": None} | fields)))


def delay_s(tree: Simulation) -> float:
    """The delay of the last restart or quarantine."""
    reports = [each for each in tree.top.reports if each.kind in ("restarting", "quarantined")]
    return reports[-1].delay.total_seconds()


def comes_back(tree: Simulation, who: str = "a") -> Simulation:
    return tree.until(lambda: tree.pid(who) is not None)


# delays


def test_a_lone_crash_is_repaired_at_once() -> None:
    tree = one().end("a")
    assert (tree.which(), delay_s(tree)) == ({"a": RUNNING}, 0)


def test_who_keeps_failing_waits_longer_and_longer_up_to_a_bound() -> None:
    tree, delays = one(), []
    for failures in range(1, 40):
        tree.end("a")
        ceiling = 0.0 if failures == 1 else min(60.0, 0.2 * 2 ** (failures - 1))
        assert 0 <= delay_s(tree) <= ceiling
        delays.append(delay_s(tree))
        comes_back(tree)
    assert max(delays) > 30
    assert len(set(delays)) > 30, "full jitter: children that failed together come back apart"


def test_a_start_waits_until_it_is_due_and_not_longer() -> None:
    tree = one().end("a").end("a")
    assert tree.which() == {"a": WAITING}
    died = tree.at("end", "a")
    tree.later(60)
    assert tree.at("start", "a") - died == pytest.approx(delay_s(tree), abs=1e-6)


def test_the_same_history_waits_alike_and_another_child_differently() -> None:
    def delays(name: str) -> list[float]:
        tree, found = Simulation(supervisor(child(name), intensity=None)), []
        for _ in range(8):
            found.append(delay_s(tree.end(name)))
            comes_back(tree, name)
        return found

    assert delays("a") == delays("a")
    assert delays("a")[1:] != delays("b")[1:]


def test_failed_starts_wait_like_crashes() -> None:
    tree = one()
    tree.scripts["a"] = Script(starts=[START_ERROR] * 4)
    tree.end("a")
    comes_back(tree)
    assert tree.child("a").failures == 5
    assert len(tree.did("start")) == 6
    assert tree.at("up", "a") > 0


def test_progress_makes_the_next_crash_a_lone_one() -> None:
    tree = one()
    for _ in range(3):
        comes_back(tree.end("a"))
    assert tree.child("a").failures == 3
    tree.end("a", progressed=True)
    assert (delay_s(tree), tree.child("a").failures) == (0, 1)


@pytest.mark.parametrize(("lived", "clean"), [(60, False), (60.001, True)])
def test_a_long_life_does_so_too(lived: float, clean: bool) -> None:
    """Static children cannot tell progress: for them a crash a day must not add up."""
    tree = one(backoff=Backoff(longest=seconds(1)))
    for _ in range(3):
        comes_back(tree.end("a"))
    tree.later(lived).end("a")
    assert tree.child("a").failures == (1 if clean else 4)


def test_a_life_is_long_when_it_is_longer_than_any_delay() -> None:
    tree = one(backoff=Backoff(longest=seconds(3_600)))
    comes_back(tree.end("a")).later(3_000).end("a")
    assert tree.child("a").failures == 2


def test_time_that_was_spent_waiting_is_no_life() -> None:
    """Only what it lived since its start counts, and a start that fails has not lived."""
    tree = one(backoff=NO_BACKOFF)
    tree.scripts["a"] = Script(start_seconds=1_000, starts=[START_ERROR] * 3)
    tree.end("a").later(4_000)
    assert (tree.pid("a") is not None, tree.child("a").failures) == (True, 4)


def test_children_wait_each_for_itself() -> None:
    tree = Simulation(supervisor(*map(child, "abc"))).end("a").end("a").end("b")
    assert tree.which() == {"a": WAITING, "b": RUNNING, "c": RUNNING}


def test_by_otps_rules_there_are_no_delays() -> None:
    for reason in ExitReason:
        tree = Simulation(by_otp(child("a"), intensity=within(100, 1)))
        for _ in range(5):
            tree.end("a", reason)
        assert (tree.which(), tree.now) == ({"a": RUNNING}, Simulation(by_otp()).now), reason


@given(
    st.timedeltas(timedelta(0), timedelta(hours=1)),
    st.timedeltas(timedelta(0), timedelta(hours=1)),
    st.integers(1, 10_000),
    st.floats(0, 1, exclude_max=True),
)
def test_a_delay_grows_and_is_never_longer_than_the_longest(
    one: timedelta, other: timedelta, failures: int, fraction: float
) -> None:
    backoff = Backoff(min(one, other), max(one, other))
    delay = backoff.delay(failures, fraction)
    assert timedelta(0) <= delay <= backoff.longest
    assert backoff.delay(1, fraction) == timedelta(0)
    assert backoff.delay(failures + 1, fraction) >= delay


# whose fault it was


@pytest.mark.parametrize(
    ("reason", "counts"),
    [
        (CRASH, 1), (ExitReason.KILLED, 1), (ExitReason.SUSPECT, 1), (NORMAL, 1),
        (ExitReason.SHUTDOWN, 1), (OOM, 2), (NODE_LOST, 0), (PREEMPTED, 0),
        (ExitReason.NOPROC, 0), (ExitReason.FENCED, 1),
    ],
)  # fmt: skip
def test_deviation_what_counts_against_the_intensity(reason: ExitReason, counts: int) -> None:
    """In OTP every restart counts one. The loss of a machine says nothing of the child, and who
    takes a machine's memory endangers more than itself.
    """
    tree = Simulation(by_otp(child("a"), intensity=within(5, 60))).end("a", reason)
    assert len(tree.top.state.restarts) == counts
    assert tree.child("a").failures == min(1, counts)


def test_a_lost_machine_takes_no_supervisor_down() -> None:
    """Fifty children die at once, and nobody is to blame."""
    names = [f"c{n}" for n in range(50)]
    tree = Simulation(supervisor(*map(child, names), intensity=within(1, 60)))
    for name in names:
        tree.end(name, NODE_LOST)
    tree.later(1)
    assert (tree.over, tree.which()) == (None, dict.fromkeys(names, RUNNING))


def test_after_a_lost_machine_restarts_are_spread() -> None:
    """Not all in one instant, and none later than twenty milliseconds for each of them."""
    names = [f"c{n}" for n in range(50)]
    tree = Simulation(supervisor(*map(child, names)))
    tree.log.clear()
    for name in names:
        tree.end(name, NODE_LOST)
    tree.later(1)
    starts = [entry.at for entry in tree.log if entry.what == "start"]
    assert (len(starts), len(set(starts))) == (50, 50)
    assert max(starts) <= 50 * 0.02
    assert max(starts) - min(starts) > 0.5


def test_who_was_preempted_comes_back_at_once() -> None:
    tree = one()
    for _ in range(20):
        tree.end("a", PREEMPTED)
    assert (tree.which(), delay_s(tree), tree.child("a").failures) == ({"a": RUNNING}, 0, 0)
    for _ in range(3):
        comes_back(tree.end("a"))
    assert delay_s(tree) > 0
    assert delay_s(tree.end("a", PREEMPTED)) == 0, "whatever it had done before"


def test_a_lost_machine_does_not_end_a_row_of_crashes() -> None:
    tree = one()
    comes_back(tree.end("a"))
    comes_back(tree.end("a", NODE_LOST))
    comes_back(tree.end("a"))
    assert tree.child("a").failures == 2


@pytest.mark.parametrize(
    ("cause", "reason"),
    [
        (Cause.CRASH, CRASH),
        (Cause.CRASH, ExitReason.KILLED),
        (Cause.OUT_OF_MEMORY, OOM),
        (Cause.NODE_LOSS, NODE_LOST),
        (Cause.NODE_LOSS, ExitReason.NOPROC),
        (Cause.PREEMPTION, PREEMPTED),
    ],
)
def test_each_cause_has_a_budget_of_its_own(cause: Cause, reason: ExitReason) -> None:
    budgets = Budgets(**{"crash": None, "out_of_memory": None, str(cause): within(2, 3_600)})
    tree = Simulation(supervisor(child("a"), budgets=budgets, backoff=NO_BACKOFF))
    other = NODE_LOST if cause is Cause.CRASH else CRASH
    for _ in range(5):
        comes_back(tree.end("a", other))
    for _ in range(2):
        comes_back(tree.end("a", reason))
    assert tree.end("a", reason).which() == {"a": QUARANTINED}


def test_ends_of_other_causes_do_not_count_in_a_budget() -> None:
    budgets = Budgets(out_of_memory=within(1, 600), crash=within(5, 600), node_loss=within(1, 600))
    tree = Simulation(supervisor(child("a"), budgets=budgets, backoff=NO_BACKOFF))
    for reason in (CRASH, OOM, NODE_LOST, CRASH):
        comes_back(tree.end("a", reason))
    assert tree.end("a", NODE_LOST).which() == {"a": QUARANTINED}


def test_a_budget_slides_like_an_intensity() -> None:
    budgets = Budgets(node_loss=within(1, 10))
    tree = Simulation(supervisor(child("a"), budgets=budgets))
    for _ in range(10):
        comes_back(tree.end("a", NODE_LOST)).later(11)
    assert "quarantined" not in {kind for _, kind in tree.reported()}
    comes_back(tree.end("a", NODE_LOST)).later(9)
    assert tree.end("a", NODE_LOST).which() == {"a": QUARANTINED}


def test_what_is_kept_of_a_childs_ends_is_what_budgets_look_at() -> None:
    tree = one(budgets=UNLIMITED)
    for reason in (CRASH, NODE_LOST, OOM) * 20:
        comes_back(tree.end("a", reason))
    assert len(tree.child("a").endings) <= 1


def test_an_end_that_is_not_followed_by_a_restart_is_not_charged() -> None:
    spec = supervisor(child("a", TRANSIENT), child("b", PERMANENT), intensity=within(0, 1e6))
    tree = Simulation(spec).end("a", NORMAL)
    assert tree.over is None


def test_the_delay_is_reported() -> None:
    tree = one().end("a").end("a")
    said = [each for each in tree.top.reports if each.kind == "restarting"]
    assert said[0] == Report("a", "restarting", "crash", "", seconds(0))
    assert said[1].delay > seconds(0)


def test_dynamic_children_wait_without_holding_up_others() -> None:
    tree = Simulation(supervisor(*map(child, "ab"), strategy=DYNAMIC)).end("a").end("a")
    assert tree.which() == {"a": WAITING, "b": RUNNING}
    assert comes_back(tree).which() == {"a": RUNNING, "b": RUNNING}
