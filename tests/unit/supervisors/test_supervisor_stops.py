"""The shell around the decisions: stops, what does not obey, and supervisors of supervisors."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.nursery import Begin, Nursery, does_nothing, fails, hangs
from tests.support.supervision import (
    DYNAMIC,
    TRANSIENT,
    child,
    nested,
    seconds,
    supervisor,
    within,
)

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors import supervisor as shell
from aos.supervisors.spec import AutoShutdown, Shutdown, otp
from aos.supervisors.state import Dismissed, StartChild, TerminateChild, Wanted
from aos.supervisors.supervisor import RequestRefused

AT_ONCE = Shutdown.BRUTAL_KILL


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time is given to confirm an end."""
    assert shell._CONFIRM_SECONDS == 10
    monkeypatch.setattr(shell, "_CONFIRM_SECONDS", 0.0)


async def stopped(nursery: Nursery) -> None:
    """Stop a supervisor, but do not wait for ever."""
    async with asyncio.timeout(10):
        await nursery.supervisor.stop()


async def test_children_are_stopped_last_started_first_each_when_the_one_after_has_ended(
    begin: Begin,
) -> None:
    nursery = Nursery(
        child("a", shutdown=seconds(5)), child("b", shutdown=seconds(7)),
        child("c", shutdown=Shutdown.INFINITY),
    )  # fmt: skip
    nursery.stubborn["b"] = does_nothing
    await begin(nursery)
    stopping = asyncio.create_task(nursery.supervisor.stop())
    await nursery.settled()
    assert nursery.log[3:] == ["stop c", "stop b"]
    await nursery.kill("b", ExitReason.KILLED)
    await stopping
    assert nursery.log[3:] == ["stop c", "stop b", "stop a"]
    assert nursery.patience == {"a": 5, "b": 7, "c": None}
    assert await nursery.task == Exit(ExitReason.SHUTDOWN)
    assert nursery.supervisor.running == {}


async def test_it_ends_with_what_it_was_told(begin: Begin) -> None:
    nursery = await begin(Nursery(child("a")))
    await nursery.supervisor.stop(Exit(ExitReason.PREEMPTED, "the machine goes"))
    assert await nursery.task == Exit(ExitReason.PREEMPTED, "the machine goes")


async def test_significant_children_end_it(begin: Begin) -> None:
    important = child("a", TRANSIENT, significant=True)
    nursery = Nursery(important, child("b"), auto_shutdown=AutoShutdown.ANY_SIGNIFICANT)
    await begin(nursery)
    await nursery.kill("a", ExitReason.NORMAL)
    assert await nursery.task == Exit(ExitReason.SHUTDOWN, "auto_shutdown")


# What does not obey.


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("trouble", [does_nothing, hangs, fails])
async def test_otp_child_unlink(begin: Begin, trouble: object) -> None:
    """A child whose end nobody confirms does not hold up the rest: its stop may return without
    ending it, not return at all, or fail.
    """
    nursery = Nursery(child("a"), child("b", shutdown=AT_ONCE), child("c"))
    nursery.stubborn["b"] = trouble
    await begin(nursery)
    await stopped(nursery)
    assert nursery.log[3:] == ["stop c", "stop b", "stop a"]
    detail = "stopped before its start, or its end, was confirmed"
    assert [each.detail for _, each in nursery.reports if each.kind == "ended"][1] == detail


@pytest.mark.usefixtures("impatient")
async def test_a_child_that_does_not_confirm_its_end_is_started_again_all_the_same(
    begin: Begin,
) -> None:
    nursery = Nursery(child("a", shutdown=AT_ONCE))
    nursery.stubborn["a"] = hangs
    await begin(nursery)
    nursery.supervisor.tell(TerminateChild("a"))
    nursery.supervisor.tell(Wanted(child("a")))
    await nursery.settled()
    assert nursery.log == ["start a", "stop a", "start a"]
    assert nursery.supervisor.running["a"] is nursery.children[1]


async def test_who_is_to_be_stopped_is_not_up_even_before_it_is_its_turn(begin: Begin) -> None:
    nursery = Nursery(child("a"), child("b"))
    nursery.stubborn["b"] = hangs
    await begin(nursery)
    for name in ("b", "a"):
        await nursery.supervisor.request(TerminateChild(name))
    assert nursery.phases == {"a": "running", "b": "stopping"}
    assert not nursery.supervisor.is_up("a")


async def test_a_stop_that_fails_while_the_child_ends_is_no_trouble(begin: Begin) -> None:
    nursery = Nursery(child("a"))
    nursery.stubborn["a"] = fails
    await begin(nursery)
    stopping = asyncio.create_task(nursery.supervisor.stop())
    await nursery.settled()
    assert not stopping.done()
    await nursery.kill("a", ExitReason.KILLED)
    await stopping
    assert nursery.told[-1] == ("a", "ended", "killed")


# While it starts, and in the instant of its end.


async def test_a_child_that_is_stopped_while_it_starts_leaves_nothing_behind(begin: Begin) -> None:
    nursery = await begin(Nursery())
    nursery.gate("a")
    await nursery.supervisor.request(StartChild(child("a")))
    await nursery.settled()
    await nursery.supervisor.request(Dismissed("a"))
    await nursery.settled()
    assert nursery.log == ["start a", "cancelled a"]
    assert (nursery.phases, nursery.children) == ({}, [])
    assert nursery.told == [("a", "ended", "shutdown")]


async def test_a_child_that_is_stopped_before_its_first_step_was_never_started(
    begin: Begin,
) -> None:
    nursery = await begin(Nursery())
    nursery.supervisor.tell(Wanted(child("a")))
    nursery.supervisor.tell(TerminateChild("a"))
    await nursery.settled()
    assert (nursery.log, nursery.phases) == ([], {"a": "stopped"})
    await nursery.supervisor.request(Wanted(child("a")))
    await nursery.settled()
    assert (nursery.log, nursery.phases) == (["start a"], {"a": "running"})


@pytest.mark.parametrize("steps", range(12))
async def test_a_stop_at_any_instant_of_a_start(begin: Begin, steps: int) -> None:
    """Whichever is first: it is stopped, its end is told once, and it can be started again."""
    nursery = await begin(Nursery())
    nursery.supervisor.tell(Wanted(child("a")))
    for _ in range(steps):
        await asyncio.sleep(0)
    await nursery.supervisor.request(TerminateChild("a"))
    await nursery.settled()
    assert nursery.phases == {"a": "stopped"}
    assert [kind for _, kind, _ in nursery.told].count("ended") == 1
    await nursery.supervisor.request(Wanted(child("a")))
    await nursery.settled()
    assert nursery.phases == {"a": "running"}


@pytest.mark.parametrize("starting", [False, True])
@pytest.mark.parametrize("steps", range(16))
async def test_a_stop_at_any_instant_of_an_end(begin: Begin, steps: int, starting: bool) -> None:
    """A child that ends, or fails to start, in the instant in which it is told to stop."""
    nursery = await begin(Nursery(intensity=None, strategy=DYNAMIC))
    if starting:
        nursery.gate("a")
        nursery.failures["a"] = [OSError("no")]
    await nursery.supervisor.request(StartChild(child("a")))
    await nursery.settled()
    if starting:
        nursery.gates.pop("a").set()
    else:
        nursery.dies("a")
    for _ in range(steps):
        await asyncio.sleep(0)
    nursery.supervisor.tell(TerminateChild("a"))
    await nursery.settled()
    assert (nursery.phases, nursery.supervisor.running) == ({}, {})
    await nursery.supervisor.request(StartChild(child("a")))
    await nursery.settled()
    assert nursery.phases == {"a": "running"}


async def test_who_is_starting_when_it_gives_up_is_stopped_too(begin: Begin) -> None:
    nursery = await begin(Nursery(child("a"), intensity=within(0, 5)))
    nursery.gate("late")
    await nursery.supervisor.request(StartChild(child("late")))
    await nursery.kill("a")
    assert nursery.log[-1] == "cancelled late"
    assert nursery.task.done()


# The supervisor's own end.


async def test_cancelling_a_supervisor_leaves_its_children_alone(begin: Begin) -> None:
    nursery = await begin(Nursery(child("a"), child("b")))
    nursery.gate("c")
    await nursery.supervisor.request(StartChild(child("c")))
    await nursery.settled()
    nursery.task.cancel()
    await asyncio.wait([nursery.task])
    await nursery.settled()
    assert nursery.log == ["start a", "start b", "start c", "cancelled c"]
    assert not any(each.exit.done() for each in nursery.children)
    await nursery.supervisor.stop()


@pytest.mark.parametrize("how", ["cancel", "stop"])
@pytest.mark.parametrize("steps", range(8))
async def test_nobody_waits_for_ever_for_a_supervisor_that_ends(
    begin: Begin, how: str, steps: int
) -> None:
    """Whoever asks in any instant of its end is answered."""
    nursery = await begin(Nursery(child("a"), child("b")))
    await nursery.kill("b")
    await nursery.kill("b")  # so that it waits for a time as well
    asking = [
        asyncio.create_task(nursery.supervisor.request(TerminateChild("nobody"))) for _ in range(3)
    ]
    for _ in range(steps):
        await asyncio.sleep(0)
    if how == "cancel":
        nursery.task.cancel()
    else:
        nursery.supervisor.tell(TerminateChild("a"))
        await nursery.supervisor.stop()
    await nursery.settled()
    assert all(task.done() for task in asking)
    whys = {refused.context["why"] for task in asking if (refused := task.exception())}
    assert whys <= {"not_found", "shutdown"}
    with pytest.raises(RequestRefused, match="has ended") as late:
        await nursery.supervisor.request(TerminateChild("a"))
    assert late.value.context == {"why": "shutdown"}


async def test_who_has_ended_hears_nothing(begin: Begin) -> None:
    nursery = await begin(Nursery(child("a")))
    await nursery.supervisor.stop()
    nursery.supervisor.tell(Wanted(child("b")))
    await nursery.settled()
    assert (nursery.log, nursery.phases) == (["start a", "stop a"], {"a": "stopped"})


# Supervisors of supervisors.


async def test_a_tree_starts_and_stops_in_order(begin: Begin) -> None:
    one = nested(supervisor(child("x"), child("y"), name="one"))
    two = nested(supervisor(child("z"), name="two"))
    nursery = await begin(Nursery(child("a"), one, two))
    assert nursery.log == [f"start {name}" for name in ("a", "one", "x", "y", "two", "z")]
    tree = await nursery.supervisor.describe()
    assert [each["type"] for each in tree] == ["worker", "supervisor", "supervisor"]
    assert [each["id"] for each in tree[1]["children"]] == ["x", "y"]
    nursery.log.clear()
    await stopped(nursery)
    assert nursery.log == [f"stop {name}" for name in ("z", "y", "x", "a")]


async def test_a_supervisor_below_that_gives_up_is_started_again(begin: Begin) -> None:
    below = supervisor(child("x"), child("y"), name="below", intensity=within(0, 1))
    nursery = await begin(Nursery(nested(below), child("a")))
    nursery.log.clear()
    await nursery.kill("x")
    assert nursery.log == ["stop y", "start below", "start x", "start y"]
    ended = ("below", "ended", "shutdown")
    assert nursery.told.index(("x", "gave_up", "reached_max_restart_intensity: more than 0 in 1 s")
    ) < nursery.told.index(ended)  # fmt: skip
    assert nursery.phases == {"below": "running", "a": "running"}


async def test_a_supervisor_below_that_cannot_start_has_failed_to_start(begin: Begin) -> None:
    nursery = Nursery(nested(otp(supervisor(child("x"), name="below"))))
    nursery.failures["x"] = [OSError("no")]
    await begin(nursery)
    (failed, *_) = [each for _, each in nursery.reports if each.child == "below"]
    assert failed.reason == "start_error"
    assert failed.detail == "RuntimeError: failed_to_start_child x: OSError: no"
    assert nursery.phases == {"below": "running"}
