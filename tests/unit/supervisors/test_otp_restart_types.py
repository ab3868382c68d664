"""Restart type by exit reason, case by case as in OTP's supervisor_SUITE."""

from __future__ import annotations

import pytest
from tests.support.simulation import Simulation
from tests.support.supervision import (
    PERMANENT,
    REST_FOR_ONE,
    TEMPORARY,
    TRANSIENT,
    by_otp,
    child,
    within,
)

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.spec import Restart, Strategy
from aos.supervisors.state import Ended, Ignored, Phase, Report, Started, TerminateChild

NORMAL, SHUTDOWN = ExitReason.NORMAL, ExitReason.SHUTDOWN
ABNORMAL = [reason for reason in ExitReason if not reason.intended]
STRATEGIES = pytest.mark.parametrize("strategy", list(Strategy))


def tree_of(restart: Restart, strategy: Strategy) -> Simulation:
    # Two are allowed, for the one end that counts twice: what takes the machine's memory.
    return Simulation(by_otp(child("a", restart), strategy=strategy, intensity=within(2, 5)))


def is_restarted(tree: Simulation, reason: ExitReason) -> bool:
    """Whether an end with this reason has the child started again. Asserts what goes with it."""
    before = tree.pid("a")
    tree.end("a", reason)
    after = tree.pid("a")
    assert after != before
    assert tree.over is None
    ended = Report("a", "ended", reason, "by itself")
    assert ended in tree.top.reports
    assert (("a", "restarting") in tree.reported()) == (after is not None)
    return after is not None


def kept(strategy: Strategy) -> dict[str, Phase]:
    """What is left of a static or dynamic child that has ended for good and is not temporary."""
    return {} if strategy is Strategy.DYNAMIC else {"a": Phase.STOPPED}


@STRATEGIES
def test_otp_permanent_normal(strategy: Strategy) -> None:
    assert is_restarted(tree_of(PERMANENT, strategy), NORMAL)


@STRATEGIES
def test_otp_permanent_shutdown(strategy: Strategy) -> None:
    assert is_restarted(tree_of(PERMANENT, strategy), SHUTDOWN)


@STRATEGIES
@pytest.mark.parametrize("reason", ABNORMAL)
def test_otp_permanent_abnormal(reason: ExitReason, strategy: Strategy) -> None:
    tree = tree_of(PERMANENT, strategy)
    assert is_restarted(tree, reason)
    assert tree.counts() == (1, 1, 0, 1)


@STRATEGIES
def test_otp_transient_normal(strategy: Strategy) -> None:
    tree = tree_of(TRANSIENT, strategy)
    assert not is_restarted(tree, NORMAL)
    assert tree.which() == kept(strategy)


@STRATEGIES
def test_otp_transient_shutdown(strategy: Strategy) -> None:
    tree = tree_of(TRANSIENT, strategy)
    assert not is_restarted(tree, SHUTDOWN)
    assert tree.which() == kept(strategy)


@STRATEGIES
@pytest.mark.parametrize("reason", ABNORMAL)
def test_otp_transient_abnormal(reason: ExitReason, strategy: Strategy) -> None:
    assert is_restarted(tree_of(TRANSIENT, strategy), reason)


@STRATEGIES
def test_otp_temporary_normal(strategy: Strategy) -> None:
    tree = tree_of(TEMPORARY, strategy)
    assert not is_restarted(tree, NORMAL)
    assert (tree.which(), tree.counts()) == ({}, (0, 0, 0, 0))


@STRATEGIES
def test_otp_temporary_shutdown(strategy: Strategy) -> None:
    tree = tree_of(TEMPORARY, strategy)
    assert not is_restarted(tree, SHUTDOWN)
    assert tree.which() == {}


@STRATEGIES
@pytest.mark.parametrize("reason", ABNORMAL)
def test_otp_temporary_abnormal(reason: ExitReason, strategy: Strategy) -> None:
    tree = tree_of(TEMPORARY, strategy)
    assert not is_restarted(tree, reason)
    assert tree.which() == {}
    assert tree.top.state.restarts == (), "what is not restarted does not count"


@STRATEGIES
def test_deviation_who_was_fenced_ended_as_intended(strategy: Strategy) -> None:
    """A newer activation has its place: to start it again would start a fight. OTP has no word for
    it but `{shutdown, fenced}`, and treats that alike.
    """
    assert not is_restarted(tree_of(TRANSIENT, strategy), ExitReason.FENCED)
    assert not is_restarted(tree_of(TEMPORARY, strategy), ExitReason.FENCED)
    assert is_restarted(tree_of(PERMANENT, strategy), ExitReason.FENCED)


def test_a_running_child_that_ends_for_want_of_a_machine_has_ended() -> None:
    """Only a start can wait, uncounted, for a machine."""
    tree = Simulation(by_otp(child("a"), intensity=within(0, 1)))
    tree.end("a", ExitReason.NO_CAPACITY)
    assert tree.over is not None


# What is heard of an earlier life is old news.


def test_news_of_an_earlier_life_changes_nothing() -> None:
    tree = Simulation(by_otp(child("a"), intensity=within(5, 5)))
    tree.end("a").end("a")
    assert tree.child("a").life == 3
    before = tree.top.state
    for life in (0, 1, 2, 4):
        for event in (Started("a", life), Ignored("a", life), Ended("a", life, Exit(NORMAL))):
            tree.hear(event)
    assert tree.top.state == before
    tree.hear(Ended("nobody", 1, Exit(NORMAL)))
    assert tree.top.state == before


def test_a_child_that_is_not_there_cannot_end_twice() -> None:
    tree = Simulation(by_otp(child("a"), strategy=REST_FOR_ONE))
    tree.ask(TerminateChild("a"))
    before = tree.top.state
    tree.hear(Ended("a", 1, Exit(ExitReason.CRASH))).hear(Started("a", 1)).hear(Ignored("a", 1))
    assert tree.top.state == before
    assert tree.did("start") == ["a"]


def test_a_running_child_cannot_be_ignored_any_more() -> None:
    tree = Simulation(by_otp(child("a")))
    before = tree.top.state
    assert tree.hear(Ignored("a", 1)).top.state == before
    assert tree.hear(Started("a", 1)).top.state == before
