"""Stopping, case by case as in OTP's supervisor_SUITE and Elixir's DynamicSupervisor tests."""

from __future__ import annotations

from itertools import product
from math import inf
from typing import Any

import pytest
from tests.support.scripted import Script
from tests.support.simulation import Simulation
from tests.support.supervision import (
    DYNAMIC,
    ONE_FOR_ALL,
    ONE_FOR_ONE,
    REST_FOR_ONE,
    by_otp,
    child,
    nested,
    seconds,
    supervisor,
    within,
)

from aos.cluster.exits import ExitReason
from aos.supervisors.spec import Restart, Shutdown, Strategy
from aos.supervisors.state import DeleteChild, Phase, RestartChild, StartChild, TerminateChild

STATIC = [ONE_FOR_ONE, ONE_FOR_ALL, REST_FOR_ONE]
SHUTDOWN, KILLED = ExitReason.SHUTDOWN, ExitReason.KILLED
BRUTAL, INFINITY = Shutdown.BRUTAL_KILL, Shutdown.INFINITY


def reasons(tree: Simulation) -> dict[str, str]:
    """With what each child ended, as reported."""
    return {each.child: each.reason for each in tree.top.reports if each.kind == "ended"}


def seconds_to_stop(tree: Simulation) -> float:
    before = tree.now
    tree.stop().until(lambda: tree.over is not None)
    return (tree.now - before).total_seconds()


@pytest.mark.parametrize("strategy", STATIC)
def test_otp_stop_order(strategy: Strategy) -> None:
    """Reverse start order, each when the one after it is gone."""
    scripts = {name: Script(stop_seconds=1) for name in "bca"}
    tree = Simulation(by_otp(child("b"), child("c"), child("a"), strategy=strategy), scripts)
    tree.log.clear()
    assert seconds_to_stop(tree) == 3
    assert [(entry.at, entry.what, entry.who) for entry in tree.log] == [
        (0, "stop", "a"), (1, "end", "a"),
        (1, "stop", "c"), (2, "end", "c"),
        (2, "stop", "b"), (3, "end", "b"),
        (3, "end", "top"),
    ]  # fmt: skip


def test_otp_sup_stop_infinity() -> None:
    tree = Simulation(
        by_otp(child("a", shutdown=INFINITY), child("b", shutdown=INFINITY)),
        {"a": Script(stop_seconds=4e4), "b": Script(stop_seconds=4e4)},
    )
    assert seconds_to_stop(tree) == 8e4
    assert reasons(tree) == {"a": "shutdown", "b": "shutdown"}


def test_otp_sup_stop_timeout() -> None:
    """One obeys, one has to be killed."""
    tree = Simulation(
        by_otp(child("a", shutdown=seconds(1)), child("b", shutdown=seconds(1))),
        {"b": Script(stop_seconds=inf)},
    )
    assert seconds_to_stop(tree) == 1
    assert reasons(tree) == {"a": "shutdown", "b": "killed"}


def test_otp_sup_stop_timeout_dynamic() -> None:
    tree = Simulation(
        by_otp(*(child(name, shutdown=seconds(1)) for name in "abc"), strategy=DYNAMIC),
        {"b": Script(stop_seconds=inf), "c": Script(stop_seconds=inf)},
    )
    assert seconds_to_stop(tree) == 1, "all are told, and waited for, at once"
    assert reasons(tree) == {"a": "shutdown", "b": "killed", "c": "killed"}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_otp_sup_stop_brutal_kill(strategy: Strategy) -> None:
    """And _dynamic: they are not asked."""
    children = (child(name, shutdown=BRUTAL) for name in "ab")
    tree = Simulation(by_otp(*children, strategy=strategy))
    assert seconds_to_stop(tree) == 0
    assert reasons(tree) == {"a": "killed", "b": "killed"}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_otp_sup_stop_race(strategy: Strategy) -> None:
    """Twelve children that end by themselves while the supervisor stops, each with a reason of its
    own: it ends as it would have, their reasons are known, and nobody is started again.
    """
    own = [ExitReason.NORMAL, SHUTDOWN, KILLED, ExitReason.CRASH]
    kinds = {f"{restart}-{reason}": (restart, reason) for restart, reason in product(Restart, own)}
    slow = {name: Script(stop_seconds=60) for name in kinds}
    children = [child(name, kind[0], shutdown=INFINITY) for name, kind in kinds.items()]
    tree = Simulation(by_otp(*children, strategy=strategy, intensity=within(0, 1)), slow)
    tree.stop()
    for name, (_, reason) in kinds.items():
        tree.end(name, reason)
    assert tree.over is not None
    assert (tree.over.reason, tree.over.detail) == (SHUTDOWN, "")
    assert reasons(tree) == {name: str(reason) for name, (_, reason) in kinds.items()}
    assert len(tree.did("start")) == 12


def test_otp_sup_stop_non_shutdown_exit_dynamic() -> None:
    """An odd reason while stopping is reported, and disturbs nothing."""
    scripts = {name: Script(stop_reason=ExitReason.CRASH) for name in "ab"}
    tree = Simulation(by_otp(child("a"), child("b"), strategy=DYNAMIC), scripts).stop()
    assert tree.over is not None
    assert (tree.over.reason, reasons(tree)) == (SHUTDOWN, {"a": "crash", "b": "crash"})


def test_otp_simple_one_for_one_shutdown() -> None:
    """All at once: five children of which each takes a while take a while, and not five."""
    names = [f"c{n}" for n in range(5)]
    slow = {name: Script(stop_seconds=1) for name in names}
    tree = Simulation(by_otp(*(child(name) for name in names), strategy=DYNAMIC), slow)
    assert seconds_to_stop(tree) == 1
    assert tree.over is not None


@pytest.mark.parametrize(
    ("shutdown", "stop_seconds", "reason", "takes"),
    [
        (BRUTAL, 1, "killed", 0),
        (INFINITY, 100, "shutdown", 100),
        (seconds(5), 1, "shutdown", 1),
        (seconds(5), 5, "shutdown", 5),
        (seconds(5), 5.001, "killed", 5),
        (None, 5.001, "killed", 5),
    ],
)
def test_elixir_terminate(shutdown: Any, stop_seconds: float, reason: str, takes: float) -> None:
    """Brutal, infinity, integer and expired integer; five seconds unless told otherwise."""
    slow = {"a": Script(stop_seconds=stop_seconds)}
    tree = Simulation(by_otp(child("a", shutdown=shutdown), strategy=DYNAMIC), slow)
    assert (seconds_to_stop(tree), reasons(tree)) == (takes, {"a": reason})


def test_elixir_terminate_with_a_mix() -> None:
    children = (child("a", shutdown=BRUTAL), child("b", shutdown=seconds(2)), child("c"))
    slow = {name: Script(stop_seconds=inf) for name in "abc"}
    tree = Simulation(by_otp(*children, strategy=DYNAMIC), slow)
    assert seconds_to_stop(tree) == 5
    assert [tree.at("end", name) for name in "abc"] == [0, 2, 5]


def test_otp_a_supervisor_has_all_the_time_it_needs_to_stop_its_own() -> None:
    below = nested(by_otp(child("a", shutdown=seconds(100)), child("b"), name="below"))
    slow = {"a": Script(stop_seconds=99), "b": Script(stop_seconds=3)}
    tree = Simulation(by_otp(below, child("c")), slow)
    assert seconds_to_stop(tree) == 102
    assert tree.did("end") == ["c", "b", "a", "below", "top"]


def test_otp_a_supervisor_that_has_no_time_takes_its_children_with_it() -> None:
    below = nested(by_otp(child("a"), child("b"), name="below"), shutdown=seconds(2))
    tree = Simulation(by_otp(below), {"b": Script(stop_seconds=inf)})
    assert seconds_to_stop(tree) == 2
    assert tree.alive == {}


@pytest.mark.parametrize("strategy", list(Strategy))
def test_who_is_starting_when_the_supervisor_is_told_to_stop_is_stopped_too(
    strategy: Strategy,
) -> None:
    spec = by_otp(child("a"), child("b"), child("c"), strategy=strategy)
    tree = Simulation(spec, {"b": Script(start_seconds=inf)}).stop()
    assert tree.over is not None
    assert "b" in tree.did("stop")
    assert tree.alive == {}


def test_who_waits_for_a_restart_when_the_supervisor_stops_is_not_waited_for() -> None:
    tree = Simulation(supervisor(child("a"), child("b")))
    tree.end("a").end("a")
    assert tree.which()["a"] is Phase.WAITING
    tree.log.clear()
    assert seconds_to_stop(tree) == 0
    assert tree.did("start", "stop") == ["b"]


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_supervisor_that_has_ended_says_no_more(strategy: Strategy) -> None:
    tree = Simulation(by_otp(child("a"), strategy=strategy)).stop()
    assert tree.ask(StartChild(child("b"))) == "shutdown"
    assert tree.ask(RestartChild("a")) == "shutdown"
    assert tree.did("start") == ["a"]


def test_a_supervisor_that_is_told_twice_ends_with_what_it_was_told_first() -> None:
    tree = Simulation(by_otp(child("a")), {"a": Script(stop_seconds=1)})
    tree.end("a").end("a")
    assert tree.over is not None, "over its intensity"
    tree = Simulation(by_otp(child("a"), child("b")), {"b": Script(stop_seconds=1)})
    tree.end("a").end("a").stop()
    tree.later(1)
    assert tree.over is not None
    assert tree.over.detail.startswith("reached_max_restart_intensity")


# Where we differ from OTP on purpose.


def test_deviation_a_stop_does_not_keep_the_supervisor_from_serving_the_others() -> None:
    """In OTP nobody is answered, and no end noticed, until a stop is through. Here the order of
    stops is the same, and only that: each waits for the one before.
    """
    tree = Simulation(by_otp(child("a"), child("b"), child("c")), {"c": Script(stop_seconds=4)})
    tree.log.clear()
    assert tree.ask(TerminateChild("c")) == "ok"
    assert tree.ask(TerminateChild("b")) == "ok"
    tree.end("a")
    assert tree.did("stop") == ["c"]
    assert tree.which()["a"] is Phase.RUNNING, "restarted meanwhile"
    assert tree.ask(StartChild(child("d"))) == "ok"
    assert tree.which()["d"] is Phase.RUNNING
    tree.later(4)
    assert (tree.did("stop"), tree.did("end")) == (["c", "b"], ["a", "c", "b"])
    assert tree.at("stop", "b") == 4


def test_deviation_a_request_is_granted_before_it_is_done() -> None:
    """So who deletes a child has to wait for its end, which OTP's terminate_child does."""
    tree = Simulation(by_otp(child("a")), {"a": Script(stop_seconds=1)})
    assert tree.ask(TerminateChild("a")) == "ok"
    assert tree.ask(DeleteChild("a")) == "running"
    tree.later(1)
    assert (tree.ask(DeleteChild("a")), tree.which()) == ("ok", {})


def test_deviation_a_child_that_is_being_started_can_be_stopped() -> None:
    tree = Simulation(by_otp(child("a"), child("b")), {"b": Script(start_seconds=inf)})
    assert tree.ask(TerminateChild("b")) == "ok"
    assert tree.which() == {"a": Phase.RUNNING, "b": Phase.STOPPED}
    assert "b" not in tree.alive
