"""The shell around the decisions: order, concurrency, and that no child is ever forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.support.nursery import Nursery
from tests.support.supervision import child, within

from aos.cluster.exits import ExitReason
from aos.cluster.postgres import DatabaseUnavailable
from aos.supervisors import supervisor as shell
from aos.supervisors.restart import Phase

FIVE = timedelta(seconds=5)


@pytest.fixture
async def nurseries() -> AsyncIterator[list[Nursery]]:
    """Every supervisor that a test has begun is ended after it."""
    begun: list[Nursery] = []
    yield begun
    for nursery in begun:
        nursery.task.cancel()
        await asyncio.wait([nursery.task])


@pytest.fixture
def begin(nurseries: list[Nursery]) -> Any:
    async def made(nursery: Nursery) -> Nursery:
        nurseries.append(nursery)
        await nursery.begin()
        return nursery

    return made


def phases(nursery: Nursery) -> dict[str, str]:
    return {name: each.phase.value for name, each in nursery.supervisor.state.children.items()}


# starting


async def test_static_children_start_in_order_each_when_the_one_before_runs(begin: Any) -> None:
    nursery = Nursery(child("c"), child("a"), child("b"))
    nursery.gate("c", "a")
    await begin(nursery)
    assert nursery.log == ["start c"]
    await nursery.open("c")
    assert nursery.log == ["start c", "start a"]
    await nursery.open("a")
    assert nursery.log == ["start c", "start a", "start b"]
    assert nursery.told == [(name, "started", "") for name in "cab"]


async def test_a_static_child_that_cannot_start_is_tried_again_and_holds_nobody_up(
    begin: Any,
) -> None:
    nursery = Nursery(child("a"), child("b"))
    nursery.failures["a"] = [OSError("no socket")] * 2
    await begin(nursery)
    assert phases(nursery) == {"a": "backing_off", "b": "running"}
    await nursery.later(60)
    assert phases(nursery) == {"a": "running", "b": "running"}


async def test_what_a_start_failed_with_is_recorded(begin: Any) -> None:
    nursery = Nursery(child("a"))
    nursery.failures["a"] = [OSError("no socket"), DatabaseUnavailable("away", ambiguous=False)]
    await begin(nursery)
    ended = [report for _, report in nursery.reports if report.kind == "ended"]
    assert [(each.reason, each.detail) for each in ended] == [
        ("start_error", "OSError: no socket"),
        ("start_error", "AOS-5001: away"),
    ]


async def test_a_start_that_never_returns_blocks_neither_the_others_nor_the_report(
    begin: Any,
) -> None:
    nursery = await begin(Nursery(child("a")))
    nursery.gate("stuck")
    waiting = asyncio.create_task(nursery.supervisor.want(child("stuck")))
    await nursery.settled()
    await nursery.supervisor.want(child("b"))
    await nursery.kill("a")
    assert phases(nursery) == {"a": "running", "stuck": "starting", "b": "running"}
    assert [each["state"] for each in await nursery.supervisor.describe()] == [
        "running", "starting", "running",
    ]  # fmt: skip
    assert not waiting.done()
    waiting.cancel()


async def test_wanting_a_child_returns_when_it_runs(begin: Any) -> None:
    nursery = await begin(Nursery())
    nursery.gate("a")
    waiting = asyncio.create_task(nursery.supervisor.want(child("a")))
    await nursery.settled()
    assert not waiting.done()
    await nursery.open("a")
    await waiting
    await nursery.supervisor.want(child("a"))
    assert nursery.log == ["start a"], "it was there already"


async def test_everybody_who_wants_a_child_waits_until_it_runs(begin: Any) -> None:
    nursery = await begin(Nursery())
    nursery.gate("a")
    waiting = [asyncio.create_task(nursery.supervisor.want(child("a"))) for _ in range(2)]
    await nursery.settled()
    early = [task.done() for task in waiting]
    await nursery.open("a")
    await asyncio.gather(*waiting)
    assert (early, nursery.log) == ([False, False], ["start a"])


async def test_wanting_a_child_that_will_be_tried_later_returns_at_once(begin: Any) -> None:
    nursery = await begin(Nursery(child_intensity=within(0, 60)))
    nursery.failures["a"] = [OSError("no")]
    await nursery.supervisor.want(child("a"))
    assert phases(nursery) == {"a": "quarantined"}
    await nursery.supervisor.want(child("a"))
    assert nursery.log == ["start a"]


# dying


async def test_a_child_that_ends_is_started_again_and_the_others_are_let_alone(begin: Any) -> None:
    nursery = await begin(Nursery(child("a"), child("b")))
    before = dict(nursery.supervisor.running)
    await nursery.kill("a")
    assert nursery.log == ["start a", "start b", "start a"]
    assert nursery.supervisor.running["a"] is not before["a"]
    assert nursery.supervisor.running["b"] is before["b"]


async def test_what_happens_is_recorded_in_order(begin: Any) -> None:
    nursery = await begin(Nursery(child("a")))
    await nursery.kill("a", ExitReason.OUT_OF_MEMORY)
    assert nursery.told == [
        ("a", "started", ""),
        ("a", "ended", "out_of_memory"),
        ("a", "restarting", "out_of_memory"),
        ("a", "started", ""),
    ]
    assert {supervisor for supervisor, _ in nursery.reports} == {"tree"}


async def test_a_child_that_keeps_dying_waits_its_delay_of_the_clock(begin: Any) -> None:
    nursery = await begin(Nursery(child("a")))
    await nursery.kill("a")
    await nursery.kill("a")
    delay = nursery.reports[-1][1].delay.total_seconds()
    assert (delay > 0, phases(nursery)) == (True, {"a": "backing_off"})
    await nursery.later(delay - 0.000_001)
    assert phases(nursery) == {"a": "backing_off"}
    await nursery.later(0.000_002)
    assert phases(nursery) == {"a": "running"}


async def test_progress_makes_the_next_restart_immediate(begin: Any) -> None:
    nursery = await begin(Nursery(child("a"), intensity=None))
    nursery.progress["a"] = True
    for _ in range(5):
        await nursery.kill("a")
        assert phases(nursery) == {"a": "running"}


async def test_a_child_that_was_dismissed_can_be_wanted_again(begin: Any) -> None:
    nursery = await begin(Nursery())
    for _ in range(2):
        await nursery.supervisor.want(child("a"))
        nursery.supervisor.dismiss("a")
        await nursery.settled()
    assert (nursery.supervisor.running, phases(nursery)) == ({}, {})


@pytest.mark.parametrize("where", ["progressed", "watch"])
async def test_a_child_whose_end_cannot_be_judged_is_not_forgotten(begin: Any, where: str) -> None:
    """Else it counts as running for ever, and nobody starts it again."""
    nursery = await begin(Nursery(child("a")))
    if where == "progressed":
        nursery.progress["a"] = RuntimeError("a query failed")
        await nursery.kill("a")
    else:
        nursery.supervisor.running["a"].exit.set_exception(RuntimeError("a bug in the seam"))
        await nursery.settled()
    assert nursery.log == ["start a", "start a"]


# stopping


async def test_children_are_stopped_last_started_first_each_when_the_one_after_has_ended(
    begin: Any,
) -> None:
    nursery = Nursery(child("a", shutdown=FIVE), child("b", shutdown=2 * FIVE), child("c"))
    nursery.stubborn = {"b"}
    await begin(nursery)
    stopping = asyncio.create_task(nursery.supervisor.stop_all())
    await nursery.settled()
    assert nursery.log[3:] == ["stop c", "stop b"]
    await nursery.kill("b", ExitReason.KILLED)
    await stopping
    assert nursery.log[3:] == ["stop c", "stop b", "stop a"]
    assert (nursery.shutdowns["a"], nursery.shutdowns["b"]) == (5, 10)
    assert phases(nursery) == {}


async def test_a_child_that_does_not_end_does_not_save_the_others(
    begin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "_KILL_SECONDS", 0.0)
    nursery = Nursery(child("a", shutdown=FIVE), child("b", shutdown=timedelta(0)))
    nursery.stubborn = {"b"}
    await begin(nursery)
    await asyncio.wait([asyncio.create_task(nursery.supervisor.stop_all())])
    assert nursery.log[2:] == ["stop b", "stop a"]


async def test_a_child_dismissed_while_it_starts_is_stopped_when_it_has_started(begin: Any) -> None:
    nursery = await begin(Nursery())
    nursery.gate("a")
    waiting = asyncio.create_task(nursery.supervisor.want(child("a")))
    await nursery.settled()
    nursery.supervisor.dismiss("a")
    await nursery.settled()
    assert nursery.log == ["start a"]
    await nursery.open("a")
    await waiting
    assert (nursery.log, phases(nursery)) == (["start a", "stop a"], {})


async def test_cancelling_a_supervisor_leaves_its_children_alone(begin: Any) -> None:
    nursery = await begin(Nursery(child("a")))
    nursery.task.cancel()
    await asyncio.wait([nursery.task])
    await nursery.settled()
    assert nursery.log == ["start a"]
    assert not nursery.children[0].exit.done()


# giving up


async def test_one_restart_too_many_stops_everybody_and_says_so(begin: Any) -> None:
    nursery = await begin(Nursery(child("a"), child("b"), child("c"), intensity=within(1, 5)))
    await nursery.kill("b")
    assert not nursery.supervisor.gave_up.is_set()
    await nursery.kill("a")
    assert nursery.supervisor.gave_up.is_set()
    assert nursery.log[-2:] == ["stop c", "stop b"]
    assert ("a", "gave_up", "more than 1 restarts in 0:00:05") in nursery.told
    assert nursery.task.done(), "its keeper hears of it by its end"


async def test_who_was_starting_when_it_gave_up_is_stopped_too(begin: Any) -> None:
    nursery = await begin(Nursery(child("a"), intensity=within(0, 5)))
    nursery.gate("late")
    waiting = asyncio.create_task(nursery.supervisor.want(child("late")))
    await nursery.settled()
    await nursery.kill("a")
    await nursery.open("late")
    waiting.cancel()
    assert "stop late" in nursery.log


async def test_nobody_waits_for_ever_for_a_supervisor_that_gave_up(begin: Any) -> None:
    nursery = await begin(Nursery(child("a"), intensity=within(0, 5)))
    await nursery.kill("a")
    waiting = asyncio.create_task(nursery.supervisor.want(child("b")))
    await nursery.settled()
    done = waiting.done()
    waiting.cancel()
    assert done


async def test_giving_up_while_the_children_are_still_being_started_ends_the_supervisor(
    begin: Any,
) -> None:
    nursery = Nursery(child("a"), child("b"), child("c"), intensity=within(1, 5))
    nursery.failures["a"] = [OSError("no")] * 2
    await begin(nursery)
    assert nursery.supervisor.gave_up.is_set()
    assert nursery.task.done()


# the report


async def test_the_report_shows_children_in_start_order_with_their_own_words(begin: Any) -> None:
    nursery = await begin(Nursery(child("b"), child("a"), child_intensity=within(5, 60)))
    await nursery.kill("b")
    assert await nursery.supervisor.describe() == [
        {"id": "b", "state": Phase.RUNNING.value, "restarts": 1, "pid": 3},
        {"id": "a", "state": Phase.RUNNING.value, "restarts": 0, "pid": 2},
    ]
