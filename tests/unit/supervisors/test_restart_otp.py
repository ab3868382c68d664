"""The cases of OTP's supervisor_SUITE that mean something for one_for_one, under their names.

Left out is what we do not have: other strategies, significant children, ignored starts, the
administration of stopped children (a dismissed child is forgotten), and code changes. Where we
differ on purpose, the case says so.
"""

from __future__ import annotations

import pytest
from tests.support.supervision import Tree, child, within

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.restart import Ended, Phase, Report, Start, Started, Wanted
from aos.supervisors.spec import Restart

PERMANENT, TRANSIENT, TEMPORARY = Restart.PERMANENT, Restart.TRANSIENT, Restart.TEMPORARY
NORMAL, SHUTDOWN, START_ERROR = ExitReason.NORMAL, ExitReason.SHUTDOWN, ExitReason.START_ERROR
ABNORMAL = [reason for reason in ExitReason if not reason.intended]

RUNNING, STARTING, STOPPING = Phase.RUNNING, Phase.STARTING, Phase.STOPPING


# starting and stopping


def test_sup_start_normal() -> None:
    tree = Tree()
    assert tree.feed(Wanted(child("a"))).said == (Start("a"),)
    assert tree["a"] is STARTING
    assert tree.feed(Started("a")).said == (Report("a", "started"),)
    assert tree["a"] is RUNNING


def test_sup_start_child_returns_error() -> None:
    """OTP hands the error to the caller; here a failed start counts as a crash and is retried."""
    tree = Tree().feed(Wanted(child("a"))).ends("a", START_ERROR)
    assert (tree.reported, tree.started) == (["ended", "restarting"], ["a"])


def test_sup_start_child_returns_error_temporary() -> None:
    tree = Tree().feed(Wanted(child("a", TEMPORARY))).ends("a", START_ERROR)
    assert (tree.reported, tree["a"]) == (["ended"], None)


def test_sup_stop_race() -> None:
    """Whatever a child's own reason was: once it is being stopped it is not restarted."""
    for restart in Restart:
        for reason in ExitReason:
            tree = Tree(child("a", restart), child("b")).dismiss("a")
            assert (tree.stopped, tree["a"]) == (["a"], STOPPING)
            tree.ends("a", reason)
            assert tree.said == (Report("a", "ended", reason, "detail"),)
            assert (tree["a"], tree["b"]) == (None, RUNNING)


def test_sup_stop_non_shutdown_exit_dynamic() -> None:
    """An odd reason while stopping is recorded and disturbs nothing."""
    tree = Tree(child("a")).dismiss("a").ends("a", ExitReason.OUT_OF_MEMORY)
    (report,) = tree.said
    assert isinstance(report, Report)
    assert (report.kind, report.reason) == ("ended", "out_of_memory")


# administration


def test_child_adm() -> None:
    tree = Tree(child("a"))
    assert tree.feed(Wanted(child("a"))).said == (), "already started"
    assert tree.dismiss("nobody").said == ()
    assert tree.feed(Ended("nobody", Exit(NORMAL))).said == ()
    tree.dismiss("a").ends("a", SHUTDOWN)
    assert tree.feed(Wanted(child("a"))).started == ["a"], "forgotten, so it can be wanted again"


def test_child_adm_terminate_twice() -> None:
    tree = Tree(child("a")).dismiss("a").dismiss("a")
    assert tree["a"] is STOPPING
    assert tree.ends("a", SHUTDOWN)["a"] is None


def test_count_children() -> None:
    tree = Tree(*(child(f"c{n}", TEMPORARY) for n in range(1_000)))
    assert len(tree.state.children) == 1_000
    for n in range(1_000):
        tree.ends(f"c{n}", ExitReason.KILLED)
    assert tree.state.children == {}


def test_count_restarting_children() -> None:
    tree = Tree(child("a"), child("b"), child("c"))
    for name in ("b", "c"):
        tree.ends(name).ends(name, START_ERROR)
    assert [tree[name] for name in "abc"] == [RUNNING, Phase.BACKING_OFF, Phase.BACKING_OFF]
    tree.comes_back("b").comes_back("c")
    assert [tree[name] for name in "abc"] == [RUNNING] * 3
    assert list(tree.dismiss("b").ends("b", SHUTDOWN).state.children) == ["a", "c"]


# restart types


@pytest.mark.parametrize("reason", [NORMAL])
def test_permanent_normal(reason: ExitReason) -> None:
    assert Tree(child("a")).ends("a", reason).started == ["a"]


@pytest.mark.parametrize("reason", [SHUTDOWN])
def test_permanent_shutdown(reason: ExitReason) -> None:
    assert Tree(child("a")).ends("a", reason).started == ["a"]


@pytest.mark.parametrize("reason", ABNORMAL)
def test_permanent_abnormal(reason: ExitReason) -> None:
    assert Tree(child("a")).ends("a", reason).started == ["a"]


@pytest.mark.parametrize("reason", [NORMAL])
def test_transient_normal(reason: ExitReason) -> None:
    tree = Tree(child("a", TRANSIENT)).ends("a", reason)
    assert (tree.started, tree["a"]) == ([], None)


@pytest.mark.parametrize("reason", [SHUTDOWN])
def test_transient_shutdown(reason: ExitReason) -> None:
    tree = Tree(child("a", TRANSIENT)).ends("a", reason)
    assert (tree.started, tree["a"]) == ([], None)


@pytest.mark.parametrize("reason", ABNORMAL)
def test_transient_abnormal(reason: ExitReason) -> None:
    assert Tree(child("a", TRANSIENT)).ends("a", reason).started == ["a"]


@pytest.mark.parametrize("reason", [NORMAL])
def test_temporary_normal(reason: ExitReason) -> None:
    tree = Tree(child("a", TEMPORARY)).ends("a", reason)
    assert (tree.said, tree["a"]) == ((Report("a", "ended", reason, "detail"),), None)


@pytest.mark.parametrize("reason", [SHUTDOWN])
def test_temporary_shutdown(reason: ExitReason) -> None:
    tree = Tree(child("a", TEMPORARY)).ends("a", reason)
    assert (tree.started, tree["a"]) == ([], None)


@pytest.mark.parametrize("reason", ABNORMAL)
def test_temporary_abnormal(reason: ExitReason) -> None:
    tree = Tree(child("a", TEMPORARY)).ends("a", reason)
    assert (tree.started, tree["a"]) == ([], None)
    assert tree.state.restarts == (), "what is not restarted does not count"


# intensity


def test_multiple_restarts() -> None:
    """One restart a second is allowed; deaths 2.1 s apart go on for ever."""
    tree = Tree(child("a"), intensity=within(1, 1))
    for _ in range(10):
        assert not tree.crash("a").gave_up
        tree.later(2.1)
    assert tree["a"] is RUNNING


def test_multiple_restarts_window() -> None:
    """OTP drops what is older than the period; what is exactly as old still counts."""
    for gap, survives in ((0.999, False), (1.0, False), (1.001, True)):
        tree = Tree(child("a"), intensity=within(1, 1)).crash("a").later(gap)
        assert tree.crash("a").gave_up is not survives, gap


def test_one_for_one() -> None:
    """The victim is replaced, the others are let alone; one death too many and all are stopped."""
    tree = Tree(child("a"), child("b"), intensity=within(1, 1)).ends("b")
    assert (tree.started, tree.stopped, tree["a"]) == (["b"], [], RUNNING)
    tree.comes_back("b").ends("a")
    assert tree.gave_up
    assert tree.stopped == ["b", "a"]
    assert tree.started == []
    assert tree.reported == ["ended", "gave_up"]


def test_one_for_one_escalation() -> None:
    """A restart that fails to start is one more restart: the supervisor and its children end."""
    tree = Tree(child("a"), child("b"), intensity=within(1, 4)).ends("a")
    assert tree.started == ["a"]
    assert tree.ends("a", START_ERROR).gave_up
    assert tree.stopped == ["b", "a"]


def test_one_for_one_no_restarts() -> None:
    assert Tree(child("a"), intensity=within(0, 1)).ends("a").gave_up
    assert not Tree(child("a", TEMPORARY), intensity=within(0, 1)).ends("a").gave_up


def test_simple_one_for_one() -> None:
    tree = Tree()
    for name in ("a", "b"):
        tree.feed(Wanted(child(name))).feed(Started(name))
    assert (tree.ends("a").started, tree["b"]) == (["a"], RUNNING)


def test_simple_one_for_one_escalation() -> None:
    """The deaths of all children count together."""
    tree = Tree(*(child(f"c{n}") for n in range(4)), intensity=within(3, 10))
    for n in range(3):
        assert not tree.crash(f"c{n}").gave_up
    assert tree.crash("c3").gave_up


def test_order_of_children() -> None:
    """Whoever was started last is stopped first, however the ids sort."""
    tree = Tree(*(child(name) for name in ("c", "a", "e", "b", "d")), intensity=within(0, 1))
    assert tree.ends("e").stopped == ["d", "b", "e", "a", "c"]


def test_given_up_is_the_end() -> None:
    tree = Tree(child("a"), child("b"), intensity=within(0, 1)).ends("a")
    given_up = tree.state
    tree.ends("b").feed(Wanted(child("z"))).later(3_600)
    assert (tree.state, tree.said) == (given_up, ())


def test_max_children() -> None:
    """Elixir's DynamicSupervisor: those that wait for a restart count, and nothing is queued."""
    tree = Tree(child("a"), child("b"), max_children=2).feed(Wanted(child("c")))
    assert tree.started == []
    assert set(tree.state.children) == {"a", "b"}
    tree.dismiss("a").ends("a").feed(Wanted(child("c")))
    assert tree.started == ["c"]
