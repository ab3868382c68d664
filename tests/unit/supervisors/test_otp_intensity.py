"""Restart intensity and escalation, case by case as in OTP's supervisor_SUITE."""

from __future__ import annotations

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
    within,
)

from aos.cluster.exits import ExitReason
from aos.supervisors.spec import Restart, Strategy
from aos.supervisors.state import Phase, RestartChild, TerminateChild

START_ERROR, NORMAL = ExitReason.START_ERROR, ExitReason.NORMAL
STRATEGIES = pytest.mark.parametrize("strategy", list(Strategy))


@STRATEGIES
def test_otp_multiple_restarts(strategy: Strategy) -> None:
    """One restart a second is allowed; deaths 2.1 s apart go on for ever."""
    tree = Simulation(by_otp(child("a"), strategy=strategy, intensity=within(1, 1)))
    for _ in range(10):
        tree.end("a").later(2.1)
    assert (tree.over, tree.which()) == (None, {"a": Phase.RUNNING})


@pytest.mark.parametrize(("gap", "survives"), [(0.999, False), (1.0, False), (1.001, True)])
def test_otp_the_window_slides(gap: float, survives: bool) -> None:
    """What is exactly as old as the period still counts; what is older does not."""
    tree = Simulation(by_otp(child("a"), intensity=within(1, 1)))
    tree.end("a").later(gap).end("a")
    assert (tree.over is None) is survives


def test_otp_the_window_is_the_supervisors_and_not_a_childs() -> None:
    tree = Simulation(by_otp(child("a"), child("b"), child("c"), intensity=within(2, 1)))
    assert tree.end("a").end("b").over is None
    assert tree.end("c").over is not None


@pytest.mark.parametrize("strategy", [ONE_FOR_ONE, DYNAMIC])
def test_otp_one_for_one(strategy: Strategy) -> None:
    """And simple_one_for_one: the victim is replaced, the others are let alone; one death too many
    and all are stopped.
    """
    tree = Simulation(by_otp(*map(child, "ab"), strategy=strategy))
    kept, victim = tree.pids("a", "b")
    tree.end("b")
    assert tree.pid("a") == kept
    assert tree.pid("b") not in (None, victim)
    assert tree.did("stop") == []
    tree.end("a")
    assert tree.over is not None
    assert tree.over.reason is ExitReason.SHUTDOWN
    assert (tree.did("stop"), tree.alive) == (["b"], {})
    assert tree.reported()[-3:] == [("a", "ended"), ("a", "gave_up"), ("b", "ended")]


@STRATEGIES
def test_otp_escalation(strategy: Strategy) -> None:
    """one_for_one_, one_for_all_, rest_for_one_ and simple_one_for_one_escalation: a restart that
    fails to start is one more restart, and the supervisor and all its children end.
    """
    spec = by_otp(*map(child, "ab"), strategy=strategy, intensity=within(1, 4))
    tree = Simulation(spec)
    tree.scripts["a"] = Script(starts=[START_ERROR])
    tree.end("a")
    assert tree.over is not None
    assert tree.over.detail == "reached_max_restart_intensity: more than 1 in 4 s"
    assert tree.alive == {}


def test_otp_no_restart_at_all_may_be_allowed() -> None:
    tree = Simulation(by_otp(child("a"), child("b"), intensity=within(0, 1)))
    tree.end("a")
    assert tree.over is not None
    assert tree.did("start") == ["a", "b"]


@pytest.mark.parametrize(
    ("restart", "reason", "counts"),
    [
        (PERMANENT, NORMAL, True),
        (PERMANENT, ExitReason.CRASH, True),
        (TRANSIENT, NORMAL, False),
        (TRANSIENT, ExitReason.CRASH, True),
        (TEMPORARY, NORMAL, False),
        (TEMPORARY, ExitReason.CRASH, False),
    ],
)
def test_otp_only_restarts_count(restart: Restart, reason: ExitReason, counts: bool) -> None:
    tree = Simulation(by_otp(child("a", restart), intensity=within(0, 1))).end("a", reason)
    assert (tree.over is not None) is counts


def test_otp_what_is_asked_for_does_not_count() -> None:
    tree = Simulation(by_otp(child("a"), intensity=within(0, 1e6)))
    for _ in range(10):
        assert tree.ask(TerminateChild("a")) == "ok"
        assert tree.ask(RestartChild("a")) == "ok"
    assert (tree.over, tree.which()) == (None, {"a": Phase.RUNNING})


@pytest.mark.parametrize("strategy", [ONE_FOR_ALL, REST_FOR_ONE])
def test_otp_a_groups_restart_counts_once(strategy: Strategy) -> None:
    tree = Simulation(by_otp(*map(child, "abcde"), strategy=strategy))
    tree.end("a")
    assert (tree.over, len(tree.top.state.restarts)) == (None, 1)
    assert tree.pids(*"abcde") == [6, 7, 8, 9, 10]


@STRATEGIES
def test_elixir_max_intensity_reached_while_trying_again(strategy: Strategy) -> None:
    tree = Simulation(by_otp(child("a"), strategy=strategy, intensity=within(5, 60)))
    tree.scripts["a"] = Script(starts=[START_ERROR] * 100)
    tree.end("a")
    assert tree.over is not None
    assert len(tree.did("start")) == 1 + 5


@STRATEGIES
def test_elixir_restarting_counted(strategy: Strategy) -> None:
    """Ends and failed starts together."""
    tree = Simulation(by_otp(child("a"), strategy=strategy, intensity=within(4, 60)))
    tree.scripts["a"] = Script(starts=[START_ERROR, None, START_ERROR])
    assert tree.end("a").over is None
    assert len(tree.top.state.restarts) == 2
    assert tree.end("a").over is None
    assert len(tree.top.state.restarts) == 4
    assert tree.end("a").over is not None


@pytest.mark.parametrize("strategy", list(Strategy))
def test_elixir_restarting_with_ignore(strategy: Strategy) -> None:
    """A dynamic child that is not needed any more is forgotten; another is kept, stopped."""
    tree = Simulation(by_otp(child("a"), strategy=strategy))
    tree.scripts["a"] = Script(starts=[IGNORE])
    tree.end("a")
    assert tree.which() == ({} if strategy is DYNAMIC else {"a": Phase.STOPPED})
    assert tree.over is None


def test_otp_a_failed_restart_is_tried_again_at_once() -> None:
    """By OTP's rules there is no delay: only the intensity bounds it."""
    tree = Simulation(by_otp(child("a"), intensity=within(10, 1)))
    tree.scripts["a"] = Script(starts=[START_ERROR] * 9)
    tree.end("a")
    assert (tree.pid("a"), tree.at("up", "a")) == (11, 0)


def test_without_an_intensity_it_never_gives_up() -> None:
    tree = Simulation(by_otp(child("a"), intensity=None))
    for _ in range(1_000):
        tree.end("a")
    assert (tree.over, tree.top.state.restarts) == (None, ())
