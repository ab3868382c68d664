"""Significant children and auto-shutdown, case by case as in OTP's supervisor_SUITE."""

from __future__ import annotations

import pytest
from tests.support.scripted import IGNORE, Script
from tests.support.simulation import Simulation
from tests.support.supervision import (
    DYNAMIC,
    ONE_FOR_ALL,
    PERMANENT,
    REST_FOR_ONE,
    START,
    TEMPORARY,
    TRANSIENT,
    by_otp,
    child,
    nested,
    seconds,
    supervisor,
    within,
)

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.spec import AutoShutdown, ChildSpec, Restart, Strategy, SupervisorSpec
from aos.supervisors.state import (
    Dismissed,
    Phase,
    Restored,
    StartChild,
    TerminateChild,
    Wanted,
)

NORMAL, SHUTDOWN = ExitReason.NORMAL, ExitReason.SHUTDOWN
CRASH, KILLED, START_ERROR = ExitReason.CRASH, ExitReason.KILLED, ExitReason.START_ERROR
NEVER, ANY, ALL = AutoShutdown.NEVER, AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT
EITHER = pytest.mark.parametrize("auto", [ANY, ALL])
STRATEGIES = pytest.mark.parametrize("strategy", list(Strategy))


def sig(name: str, restart: Restart = TRANSIENT) -> ChildSpec:
    return child(name, restart, significant=True)


def tree_of(*children: ChildSpec, auto: AutoShutdown, **fields: object) -> Simulation:
    return Simulation(by_otp(*children, auto_shutdown=auto, **fields))


@pytest.mark.parametrize("restart", [TEMPORARY, TRANSIENT])
@pytest.mark.parametrize("auto", list(AutoShutdown))
def test_otp_nonsignificant(restart: Restart, auto: AutoShutdown) -> None:
    """nonsignificant_temporary and _transient: their ends end nobody else."""
    for reason in (NORMAL, SHUTDOWN, CRASH, KILLED):
        tree = tree_of(child("a", restart), child("b"), auto=auto).end("a", reason)
        assert tree.over is None


@EITHER
@STRATEGIES
@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN, CRASH, KILLED])
def test_otp_significant_temporary(
    reason: ExitReason, auto: AutoShutdown, strategy: Strategy
) -> None:
    """Whatever it ends with; the others are stopped as for any other shutdown."""
    tree = tree_of(child("a"), sig("b", TEMPORARY), child("c"), auto=auto, strategy=strategy)
    tree.end("b", reason)
    assert tree.over == Exit(SHUTDOWN, "auto_shutdown")
    assert (tree.did("stop"), tree.alive) == (["c", "a"], {})
    assert ("b", "auto_shutdown") in tree.reported()


@EITHER
@STRATEGIES
@pytest.mark.parametrize("reason", [NORMAL, SHUTDOWN])
def test_otp_significant_transient(
    reason: ExitReason, auto: AutoShutdown, strategy: Strategy
) -> None:
    tree = tree_of(sig("a"), child("b"), auto=auto, strategy=strategy).end("a", reason)
    assert tree.over == Exit(SHUTDOWN, "auto_shutdown")


@EITHER
@STRATEGIES
@pytest.mark.parametrize("reason", [CRASH, KILLED])
def test_otp_significant_transient_crash(
    reason: ExitReason, auto: AutoShutdown, strategy: Strategy
) -> None:
    """It is restarted: that is not an end."""
    tree = tree_of(sig("a"), child("b"), auto=auto, strategy=strategy).end("a", reason)
    assert (tree.over, tree.which()["a"]) == (None, Phase.RUNNING)


def test_otp_significant_simple() -> None:
    tree = tree_of(auto=ANY, strategy=DYNAMIC)
    for name in "ab":
        assert tree.ask(StartChild(sig(name, TEMPORARY))) == "ok"
    assert tree.end("a", NORMAL).over is not None
    tree = tree_of(auto=ALL, strategy=DYNAMIC)
    for name in "ab":
        assert tree.ask(StartChild(sig(name, TEMPORARY))) == "ok"
    assert tree.end("a", NORMAL).over is None
    assert tree.end("b", CRASH).over is not None


def test_otp_all_significant_waits_for_the_last_one() -> None:
    """Those that are not significant do not matter, and one that is restarted is still there."""
    tree = tree_of(sig("a"), sig("b", TEMPORARY), child("c"), sig("d"), auto=ALL)
    assert tree.end("a", NORMAL).over is None
    assert tree.end("b", CRASH).over is None
    assert tree.end("d", CRASH).over is None
    assert tree.end("d", SHUTDOWN).over is not None


def test_otp_all_significant_waits_for_one_that_waits_for_its_restart() -> None:
    tree = Simulation(supervisor(sig("a"), sig("b"), auto_shutdown=ALL))
    tree.end("a").end("a")
    assert tree.which()["a"] is Phase.WAITING
    assert tree.end("b", NORMAL).over is None
    tree.until(lambda: tree.pid("a") is not None)
    assert tree.end("a", NORMAL).over is not None


@EITHER
@STRATEGIES
def test_otp_significant_terminated_by_request(strategy: Strategy, auto: AutoShutdown) -> None:
    """It did not end by itself."""
    for request in (TerminateChild("a"), Dismissed("a")):
        tree = tree_of(sig("a"), child("b"), auto=auto, strategy=strategy)
        assert tree.ask(request) == "ok"
        assert (tree.over, tree.alive.keys()) == (None, {"b"})


@EITHER
@pytest.mark.parametrize("strategy", [ONE_FOR_ALL, REST_FOR_ONE])
def test_otp_significant_bystander(strategy: Strategy, auto: AutoShutdown) -> None:
    """Nor did it when a sibling's restart stopped it, even if it does not come back."""
    for restart, left in ((TEMPORARY, {"a"}), (TRANSIENT, {"a", "b"})):
        tree = tree_of(child("a"), sig("b", restart), auto=auto, strategy=strategy)
        tree.end("a")
        assert (tree.over, tree.alive.keys()) == (None, left)


@pytest.mark.parametrize("restart", list(Restart))
def test_otp_significant_escalation(restart: Restart) -> None:
    """A supervisor that shuts itself down ends with `shutdown`; what its parent makes of that is
    said by its restart type there.
    """
    below = by_otp(sig("x"), child("y"), name="below", auto_shutdown=ANY)
    important = restart is not PERMANENT
    tree = tree_of(
        nested(below, restart, significant=important), child("z"), auto=ANY, intensity=within(9, 9)
    )
    before = tree.pid("below")
    tree.end("x", NORMAL)
    if restart is PERMANENT:
        assert tree.over is None
        assert tree.pid("below") not in (None, before)
        assert tree.pid("x") is not None
    else:
        assert tree.over == Exit(SHUTDOWN, "auto_shutdown")
        assert tree.alive == {}
    assert tree.did("stop")[0] == "y"


def test_otp_an_intense_supervisor_that_is_transient_is_not_restarted() -> None:
    """It ends with `shutdown`, and that is as intended for its parent: so OTP has it."""
    below = nested(by_otp(child("x"), name="below", intensity=within(0, 1)), TRANSIENT)
    tree = Simulation(by_otp(below, child("z"))).end("x")
    assert tree.which() == {"below": Phase.STOPPED, "z": Phase.RUNNING}


# Where OTP has one step and we have several.


def test_who_is_being_stopped_for_good_is_not_waited_for() -> None:
    """In OTP it would be gone before the last one's end is heard."""
    for request in (TerminateChild("a"), Dismissed("a")):
        tree = tree_of(sig("a"), sig("b"), auto=ALL)
        tree.scripts["a"] = Script(stop_seconds=1)
        tree.ask(request)
        tree.end("b", NORMAL).later(1)
        assert tree.over is not None


def test_who_is_being_stopped_to_be_restarted_is() -> None:
    tree = tree_of(sig("a"), sig("b"), child("c"), auto=ALL, strategy=ONE_FOR_ALL)
    tree.scripts["b"] = Script(stop_seconds=1)
    tree.ask(TerminateChild("b"))
    tree.ask(Wanted(sig("b")))
    assert tree.end("a", NORMAL).over is None
    assert tree.later(1).which()["b"] is Phase.RUNNING


@pytest.mark.parametrize("make", [by_otp, supervisor])
def test_a_significant_child_that_is_not_needed_has_not_ended(make: type[SupervisorSpec]) -> None:
    spec = make(sig("a"), child("b"), auto_shutdown=ANY)
    tree = Simulation(spec, {"a": Script(starts=[IGNORE])})
    assert (tree.over, tree.which()["b"]) == (None, Phase.RUNNING)


def test_deviation_a_significant_temporary_child_that_cannot_start_has_ended() -> None:
    """OTP's supervisor would not have started. Ours has, and must not wait for it for ever."""
    spec = supervisor(sig("a", TEMPORARY), child("b"), auto_shutdown=ALL)
    tree = Simulation(spec, {"a": Script(starts=[START_ERROR])})
    assert tree.over == Exit(SHUTDOWN, "auto_shutdown")


def test_auto_shutdown_never_is_never() -> None:
    """Nobody can add a significant child here, but a predecessor may have quarantined one."""
    tree = Simulation(by_otp(child("b"))).hear(Restored(sig("a"), START + seconds(9), 1)).later(9)
    assert tree.which()["a"] is Phase.RUNNING
    assert tree.end("a", NORMAL).over is None
