"""What may be asked of a supervisor, case by case as in OTP's supervisor_SUITE."""

from __future__ import annotations

from math import inf

import pytest
from tests.support.scripted import Script
from tests.support.simulation import Simulation
from tests.support.supervision import (
    DYNAMIC,
    ONE_FOR_ONE,
    PERMANENT,
    REST_FOR_ONE,
    TEMPORARY,
    TRANSIENT,
    by_otp,
    child,
    nested,
    supervisor,
    within,
)

from aos.cluster.exits import ExitReason
from aos.supervisors.spec import AutoShutdown, ChildType, Restart, Strategy
from aos.supervisors.state import (
    DeleteChild,
    Due,
    Phase,
    Released,
    RestartChild,
    StartChild,
    TerminateChild,
    Wanted,
)

CRASH, KILLED, NORMAL = ExitReason.CRASH, ExitReason.KILLED, ExitReason.NORMAL
START_ERROR = ExitReason.START_ERROR
RUNNING, STOPPED, WAITING = Phase.RUNNING, Phase.STOPPED, Phase.WAITING
STATIC = [each for each in Strategy if each is not DYNAMIC]


@pytest.mark.parametrize("strategy", STATIC)
def test_otp_child_adm(strategy: Strategy) -> None:
    """The whole matrix of start, terminate, restart and delete, with every word for refusal."""
    tree = Simulation(by_otp(child("a"), strategy=strategy))
    first = tree.pid("a")
    assert tree.counts() == (1, 1, 0, 1)
    assert tree.ask(StartChild(child("a"))) == "already_started"
    assert tree.ask(RestartChild("a")) == "running"
    assert tree.ask(DeleteChild("a")) == "running"
    assert tree.pid("a") == first, "what is refused changes nothing"

    assert tree.ask(TerminateChild("a")) == "ok"
    assert (tree.which(), tree.counts()) == ({"a": STOPPED}, (1, 0, 0, 1))
    assert tree.ask(StartChild(child("a"))) == "already_present"
    assert tree.ask(TerminateChild("a")) == "ok", "it may be asked twice"

    assert tree.ask(RestartChild("a")) == "ok"
    assert (tree.which(), tree.counts()) == ({"a": RUNNING}, (1, 1, 0, 1))
    assert tree.pid("a") != first

    assert tree.ask(TerminateChild("a")) == "ok"
    assert tree.ask(DeleteChild("a")) == "ok"
    assert (tree.which(), tree.counts()) == ({}, (0, 0, 0, 0))
    for request in (RestartChild("a"), DeleteChild("a"), TerminateChild("a"), Released("a")):
        assert tree.ask(request) == "not_found"
    assert tree.ask(StartChild(child("a"))) == "ok"
    assert tree.which() == {"a": RUNNING}
    assert len(tree.top.state.restarts) == 0, "nothing of this counts"


def test_otp_child_adm_simple() -> None:
    """Dynamic children are forgotten when they are stopped: nothing is left to be restarted."""
    tree = Simulation(by_otp(strategy=DYNAMIC))
    for name in "ab":
        assert tree.ask(StartChild(child(name))) == "ok"
    assert tree.ask(StartChild(child("a"))) == "already_started"
    assert tree.ask(RestartChild("a")) == "running"
    assert tree.ask(DeleteChild("a")) == "running"
    assert tree.counts() == (2, 2, 0, 2)
    assert tree.ask(TerminateChild("a")) == "ok"
    assert (tree.which(), tree.counts()) == ({"b": RUNNING}, (1, 1, 0, 1))
    for request in (RestartChild("a"), DeleteChild("a"), TerminateChild("a")):
        assert tree.ask(request) == "not_found"


@pytest.mark.parametrize("kind", list(ChildType))
@pytest.mark.parametrize("strategy", [ONE_FOR_ONE, DYNAMIC])
def test_otp_count_children(kind: ChildType, strategy: Strategy) -> None:
    """And _supervisor: hundreds, and all killed. Temporary ones leave nothing behind."""
    tree = Simulation(by_otp(strategy=strategy))

    def counts(number: int) -> tuple[int, int, int, int]:
        supervisors = number if kind is ChildType.SUPERVISOR else 0
        return (number, number, supervisors, number - supervisors)

    names = [f"c{number}" for number in range(200)]
    for number, name in enumerate(names):
        assert tree.counts() == counts(number)
        tree.ask(StartChild(child(name, TEMPORARY, type=kind)))
    assert tree.counts() == counts(200) == tree.counts()
    for name in names:
        tree.end(name, KILLED)
    assert tree.counts() == (0, 0, 0, 0)


@pytest.mark.parametrize("strategy", [ONE_FOR_ONE, DYNAMIC])
def test_otp_count_restarting_children(strategy: Strategy) -> None:
    """And _simple: who is being restarted has a specification and no process."""
    children = [child(name) for name in "abc"]
    spec = supervisor(*children, strategy=strategy, intensity=None)
    tree = Simulation(spec)
    for name in "bc":
        tree.scripts[name] = Script(starts=[START_ERROR] * 3)
        tree.end(name)
    assert tree.which() == {"a": RUNNING, "b": WAITING, "c": WAITING}
    assert tree.counts() == (3, 1, 0, 3)
    tree.until(lambda: None not in tree.pids("b", "c"))
    assert tree.counts() == (3, 3, 0, 3)
    tree.ask(TerminateChild("b"))
    assert tree.counts() == ((2, 2, 0, 2) if strategy is DYNAMIC else (3, 2, 0, 3))


ENDS = {"killed": KILLED, "normal": NORMAL, "abnormal": CRASH}


@pytest.mark.parametrize(
    ("restart", "end", "answer"),
    [
        (PERMANENT, "killed", "already_started"),
        (PERMANENT, "normal", "already_started"),
        (PERMANENT, "abnormal", "already_started"),
        (PERMANENT, "terminated", "already_present"),
        (TRANSIENT, "killed", "already_started"),
        (TRANSIENT, "normal", "already_present"),
        (TRANSIENT, "abnormal", "already_started"),
        (TRANSIENT, "terminated", "already_present"),
        (TEMPORARY, "killed", "ok"),
        (TEMPORARY, "normal", "ok"),
        (TEMPORARY, "abnormal", "ok"),
        (TEMPORARY, "terminated", "ok"),
    ],
)
@pytest.mark.parametrize("strategy", STATIC)
def test_otp_do_not_save_child_specs_for_temporary_children(
    restart: Restart, end: str, answer: str, strategy: Strategy
) -> None:
    tree = Simulation(by_otp(child("a", restart), strategy=strategy))
    if end == "terminated":
        assert tree.ask(TerminateChild("a")) == "ok"
    else:
        tree.end("a", ENDS[end])
    assert tree.ask(StartChild(child("a", restart))) == answer


def test_otp_hanging_restart_loop() -> None:
    """A child that takes two seconds to fail to start, again and again: the supervisor answers all
    the while, and can be stopped.
    """
    tree = Simulation(by_otp(child("a"), intensity=within(8, 10)))
    tree.scripts["a"] = Script(start_seconds=2, starts=[START_ERROR] * 100)

    def in_the_loop() -> None:
        assert tree.counts() == (1, 0, 0, 1)
        assert tree.ask(StartChild(child("a"))) == "already_present"
        assert tree.ask(RestartChild("a")) == "restarting"
        assert tree.ask(DeleteChild("a")) == "restarting"

    tree.end("a")
    for _ in range(10):
        in_the_loop()
        tree.later(1)
    assert tree.ask(TerminateChild("a")) == "ok"
    assert (tree.which(), tree.counts()) == ({"a": STOPPED}, (1, 0, 0, 1))
    tree.scripts["a"] = Script()
    assert tree.ask(RestartChild("a")) == "ok"
    assert tree.which() == {"a": RUNNING}

    tree.later(100).scripts["a"] = Script(start_seconds=2, starts=[START_ERROR] * 100)
    tree.end("a").later(3)
    in_the_loop()
    tree.stop()
    assert (tree.over is not None, tree.alive) == (True, {})


def test_otp_hanging_restart_loop_rest_for_one() -> None:
    spec = by_otp(*map(child, "abc"), strategy=REST_FOR_ONE, intensity=within(8, 10))
    tree = Simulation(spec)
    kept = tree.pid("a")
    tree.scripts["b"] = Script(start_seconds=2, starts=[START_ERROR] * 100)
    tree.end("b").later(5)
    assert tree.which() == {"a": RUNNING, "b": Phase.STARTING, "c": WAITING}
    assert tree.counts() == (3, 1, 0, 3)
    assert tree.ask(StartChild(child("b"))) == "already_present"
    assert tree.ask(RestartChild("b")) == "restarting"
    assert tree.ask(DeleteChild("b")) == "restarting"
    assert tree.ask(TerminateChild("b")) == "ok"
    assert tree.which()["b"] is STOPPED
    tree.scripts["b"] = Script()
    assert tree.ask(RestartChild("b")) == "ok"
    assert tree.which() == {"a": RUNNING, "b": RUNNING, "c": RUNNING}
    assert tree.pid("a") == kept


def test_otp_hanging_restart_loop_simple() -> None:
    tree = Simulation(by_otp(child("a"), strategy=DYNAMIC, intensity=within(8, 10)))
    tree.scripts["a"] = Script(start_seconds=2, starts=[START_ERROR] * 100)
    tree.end("a").later(5)
    assert (tree.which(), tree.counts()) == ({"a": Phase.STARTING}, (1, 0, 0, 1))
    assert tree.ask(TerminateChild("a")) == "ok"
    assert (tree.which(), tree.later(100).did("start")) == ({}, ["a"] * 4)


def test_elixir_max_children() -> None:
    """Those that are restarting count; what is stopped for good does not."""
    tree = Simulation(supervisor(strategy=DYNAMIC, max_children=2))
    for name in "ab":
        assert tree.ask(StartChild(child(name))) == "ok"
    assert tree.ask(StartChild(child("c"))) == "max_children"
    assert tree.ask(Wanted(child("c"))) == "max_children"
    tree.end("a").end("a")
    assert tree.which()["a"] is WAITING
    assert tree.ask(StartChild(child("c"))) == "max_children"
    assert tree.ask(StartChild(child("a"))) == "already_present"
    assert tree.ask(TerminateChild("b")) == "ok"
    assert tree.ask(StartChild(child("c"))) == "ok"


def test_otp_start_child_is_checked() -> None:
    tree = Simulation(by_otp())
    assert tree.ask(StartChild(child("a", TRANSIENT, significant=True))) == "invalid_child_spec"
    assert tree.which() == {}
    tree = Simulation(by_otp(auto_shutdown=AutoShutdown.ANY_SIGNIFICANT))
    assert tree.ask(StartChild(child("a", TRANSIENT, significant=True))) == "ok"


def test_who_is_being_stopped_still_runs_for_who_asks() -> None:
    tree = Simulation(by_otp(child("a")), {"a": Script(stop_seconds=inf)})
    tree.ask(TerminateChild("a"))
    assert tree.which() == {"a": Phase.STOPPING}
    assert tree.counts() == (1, 1, 0, 1)
    assert tree.ask(RestartChild("a")) == "running"
    assert tree.ask(StartChild(child("a"))) == "already_started"


def test_only_who_is_quarantined_can_be_released() -> None:
    tree = Simulation(by_otp(child("a"))).hear(Due())
    assert tree.ask(Released("a")) == "not_quarantined"


def test_a_nested_supervisor_is_counted_as_one() -> None:
    below = nested(by_otp(child("a"), child("b"), name="below"))
    tree = Simulation(by_otp(below, child("c")))
    assert (tree.counts(), tree.counts("below")) == ((2, 2, 1, 1), (2, 2, 0, 2))
