"""Requests of ours: a child that is wanted, whatever it takes, and one that is dismissed."""

from __future__ import annotations

import pytest
from tests.support.scripted import Script
from tests.support.simulation import Simulation
from tests.support.supervision import ONE_FOR_ALL, REST_FOR_ONE, by_otp, child, supervisor

from aos.supervisors.spec import Strategy
from aos.supervisors.state import Dismissed, Phase, TerminateChild, Wanted

RUNNING, STOPPED, WAITING = Phase.RUNNING, Phase.STOPPED, Phase.WAITING


@pytest.mark.parametrize("strategy", list(Strategy))
def test_wanting_a_child_has_it_up_whatever_it_was_doing(strategy: Strategy) -> None:
    tree = Simulation(by_otp(strategy=strategy))
    for _ in range(2):
        assert tree.ask(Wanted(child("a"))) == "ok"
        assert tree.which() == {"a": RUNNING}
    assert tree.did("start") == ["a"], "it was there already"
    tree.ask(TerminateChild("a"))
    assert tree.ask(Wanted(child("a"))) == "ok"
    assert (tree.which(), tree.did("start")) == ({"a": RUNNING}, ["a", "a"])


@pytest.mark.parametrize("leave", [TerminateChild("a"), Dismissed("a")])
@pytest.mark.parametrize("strategy", list(Strategy))
def test_wanting_a_child_that_is_leaving_turns_it_round(strategy: Strategy, leave: object) -> None:
    tree = Simulation(by_otp(child("a"), strategy=strategy), {"a": Script(stop_seconds=1)})
    tree.ask(leave)
    assert tree.ask(Wanted(child("a"))) == "ok"
    assert tree.did("start") == ["a"], "not before it is gone"
    tree.later(1)
    assert (tree.which(), tree.did("start")) == ({"a": RUNNING}, ["a", "a"])
    assert tree.top.state.restarts == ()


def test_wanting_a_child_that_is_not_yet_told_to_stop_lets_it_live() -> None:
    tree = Simulation(by_otp(child("a"), child("b")), {"b": Script(stop_seconds=1)})
    tree.ask(TerminateChild("b"))
    tree.ask(TerminateChild("a"))
    kept = tree.pid("a")
    assert tree.ask(Wanted(child("a"))) == "ok"
    tree.later(1)
    assert (tree.which(), tree.pid("a")) == ({"a": RUNNING, "b": STOPPED}, kept)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_dismissed_child_is_stopped_and_forgotten(strategy: Strategy) -> None:
    tree = Simulation(by_otp(child("a"), child("b"), strategy=strategy))
    for name in ("a", "a", "nobody"):
        assert tree.ask(Dismissed(name)) == "ok", "it may be asked twice, and of nobody"
    assert (tree.which(), tree.did("stop")) == ({"b": RUNNING}, ["a"])
    tree.ask(TerminateChild("b"))
    tree.ask(Dismissed("b"))
    assert tree.which() == {}


def test_a_dismissed_child_that_is_terminated_as_well_is_forgotten_all_the_same() -> None:
    tree = Simulation(by_otp(child("a")), {"a": Script(stop_seconds=1)})
    tree.ask(Dismissed("a"))
    tree.ask(TerminateChild("a"))
    assert tree.later(1).which() == {}


def test_a_dismissed_child_that_waits_is_not_started() -> None:
    tree = Simulation(supervisor(child("a"))).end("a").end("a")
    assert tree.which() == {"a": WAITING}
    tree.ask(Dismissed("a"))
    assert (tree.which(), tree.later(3_600).did("start")) == ({}, ["a", "a"])


@pytest.mark.parametrize("strategy", [ONE_FOR_ALL, REST_FOR_ONE])
def test_a_child_that_is_wanted_while_its_group_restarts_is_restarted_with_it(
    strategy: Strategy,
) -> None:
    """To be wanted again must not save it from the restart that its siblings need."""
    tree = Simulation(by_otp(*map(child, "abc"), strategy=strategy))
    kept = tree.pid("b")
    tree.scripts["c"] = Script(stop_seconds=1)
    tree.end("a")
    assert tree.ask(Dismissed("b")) == "ok"
    assert tree.ask(Wanted(child("b"))) == "ok"
    tree.later(1)
    assert tree.which() == dict.fromkeys("abc", RUNNING)
    assert tree.pid("b") != kept
