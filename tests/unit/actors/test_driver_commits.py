"""When what is on disk, by effect class. This is the table of `actors/runs/__init__.py`."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.support.driving import World, planning
from tests.support.runs import ok, transient

from aos.actors.runs.events import RunStatus
from aos.actors.runs.journal import LeaseLost
from aos.skills.contracts import Effects

BEGINNING = ["run_started", "settled plan"]


def a_step(step_id: str, skill: str = "look", *needs: str, **fields: Any) -> dict[str, Any]:
    return {"id": step_id, "skill": skill, "depends_on": list(needs), **fields}


def rich(*steps: dict[str, Any], **fields: Any) -> World:
    return World(*steps, permissions=("money:spend",), **fields)


async def test_a_run_of_pure_planning_is_one_commit() -> None:
    world = World(answer=42)
    ended = await world.drive()
    assert ended.status is RunStatus.COMPLETED
    assert world.log == [("calls", "plan"), ("commits", [*BEGINNING, "run_finished"])]


async def test_a_pure_outcome_travels_with_the_next_commit() -> None:
    world = World(a_step("t", "think"), a_step("u", "think", "t"))
    world.replies |= {"t": [ok(1)], "u": [ok(2)]}
    await world.drive()
    assert world.log == [
        ("calls", "plan"),
        ("calls", "t"),
        ("calls", "u"),
        ("commits", [*BEGINNING, "settled t", "settled u", "run_finished"]),
    ]


async def test_everything_known_is_on_disk_before_a_write() -> None:
    world = World(a_step("a", "put"), a_step("t", "think", "a"))
    world.replies |= {"a": [ok(1)], "t": [ok(2)]}
    await world.drive()
    assert world.log == [
        ("calls", "plan"),
        ("commits", BEGINNING),
        ("calls", "a"),
        ("commits", ["settled a"]),
        ("calls", "t"),
        ("commits", ["settled t", "run_finished"]),
    ]


async def test_a_cheap_outcome_travels_with_the_next_commit() -> None:
    world = World(a_step("a"), a_step("b", "look", "a"), a_step("c", "look", "b"))
    cheap = {step_id: [ok(1, duration_ms=2)] for step_id in "abc"}
    world.replies |= cheap
    await world.drive()
    outcomes = [f"settled {step_id}" for step_id in "abc"]
    assert world.commits == [[*BEGINNING, *outcomes, "run_finished"]]


async def test_what_cost_money_is_on_disk_at_once_however_quick_it_was() -> None:
    world = World(a_step("a"), a_step("b", "look", "a"))
    world.replies |= {"a": [ok(1, duration_ms=2, cost_microusd=1)], "b": [ok(2, duration_ms=2)]}
    await world.drive()
    assert world.commits == [[*BEGINNING, "settled a"], ["settled b", "run_finished"]]


async def test_a_dear_outcome_is_on_disk_before_anything_is_done_because_of_it() -> None:
    world = World(a_step("a"), a_step("t", "think", "a"))
    world.replies |= {"a": [ok(1)], "t": [ok(2)]}
    await world.drive()
    assert world.log == [
        ("calls", "plan"),
        ("calls", "a"),
        ("commits", [*BEGINNING, "settled a"]),
        ("calls", "t"),
        ("commits", ["settled t", "run_finished"]),
    ]


async def test_read_pure_read_makes_two_commits() -> None:
    world = World(a_step("a"), a_step("t", "think", "a"), a_step("b", "look", "t"))
    world.replies |= {"a": [ok(1)], "t": [ok(2)], "b": [ok(3)]}
    await world.drive()
    assert world.commits == [[*BEGINNING, "settled a"], ["settled t", "settled b", "run_finished"]]


async def test_an_unsafe_intent_is_on_disk_before_the_call_and_its_outcome_after() -> None:
    world = rich(a_step("pay", "pay"), a_step("t", "think", "pay"))
    world.replies |= {"pay": [ok(1)], "t": [ok(2)]}
    await world.drive()
    assert world.log == [
        ("calls", "plan"),
        ("commits", [*BEGINNING, "intended pay"]),
        ("calls", "pay"),
        ("commits", ["settled pay"]),
        ("calls", "t"),
        ("commits", ["settled t", "run_finished"]),
    ]


async def test_intents_of_steps_that_start_together_are_one_commit_before_any_of_them() -> None:
    world = rich(a_step("pay", "pay"), a_step("a"), a_step("pay2", "pay"))
    world.replies |= {step_id: [ok(1)] for step_id in ("pay", "a", "pay2")}
    await world.drive()
    assert world.log[:5] == [
        ("calls", "plan"),
        ("commits", [*BEGINNING, "intended pay", "intended pay2"]),
        ("calls", "pay"),
        ("calls", "a"),
        ("calls", "pay2"),
    ]


async def test_each_attempt_of_an_unsafe_step_has_an_intent_of_its_own() -> None:
    world = rich(a_step("pay", "pay"))
    world.replies["pay"] = [transient(), ok(1)]
    drive = world.begin()
    await world.settled()
    await world.later(1)
    assert (await drive).status is RunStatus.COMPLETED
    assert world.commits == [
        [*BEGINNING, "intended pay"],
        ["settled pay"],
        ["intended pay"],
        ["settled pay", "run_finished"],
    ]


async def test_outcomes_that_arrive_together_are_committed_together() -> None:
    world = World(a_step("a"), a_step("b"), a_step("c"), a_step("d", "look", "a"))
    world.replies |= {step_id: [ok(1)] for step_id in "abcd"}
    await world.drive()
    assert world.commits == [
        [*BEGINNING, "settled a", "settled b", "settled c"],
        ["settled d", "run_finished"],
    ]


async def test_a_planner_that_reads_the_world_is_committed_before_its_plan_is_begun() -> None:
    world = World(a_step("a"))
    scripted = world.catalogue["planner.scripted"]
    world.catalogue["planner.scripted"] = scripted.model_copy(update={"effects": Effects.READ})
    world.replies["a"] = [ok(1)]
    await world.drive()
    assert world.log[:3] == [("calls", "plan"), ("commits", BEGINNING), ("calls", "a")]


async def test_what_nobody_waits_for_is_committed_after_fifty_quiet_milliseconds() -> None:
    world = World(a_step("a"))
    world.begin()
    await world.settled()
    assert world.log == [("calls", "plan"), ("calls", "a")]
    await world.later(0.049)
    assert world.commits == []
    await world.later(0.001)
    assert world.commits == [BEGINNING]
    await world.later(10)
    assert world.commits == [BEGINNING], "and nothing more while nothing happens"
    await world.crash()


async def test_an_outcome_within_the_quiet_moment_goes_along() -> None:
    world = World(a_step("a"), a_step("b"))
    drive = world.begin()
    await world.settled()
    await world.later(0.03)
    await world.answer("a", ok(1))
    await world.later(0.03)
    await world.answer("b", ok(1))
    await drive
    assert world.commits == [[*BEGINNING, "settled a", "settled b", "run_finished"]]


# taking a run up again


async def taken_up_again(world: World) -> None:
    """The first process dies while its calls are under way; a second one takes the run up."""
    world.begin()
    await world.settled()
    await world.later(0.05)
    await world.crash()
    world.log.clear()
    world.begin()
    await world.settled()


async def test_a_resumption_is_on_disk_before_anything_else_happens() -> None:
    world = World(a_step("a"), a_step("b"))
    await taken_up_again(world)
    assert world.log == [("commits", ["run_resumed"]), ("calls", "a"), ("calls", "b")]
    await world.crash()


async def test_what_was_under_way_is_called_again_with_the_same_key() -> None:
    world = World(a_step("p", "put"))
    await taken_up_again(world)
    first, second = world.calls["p"]
    assert (first.idempotency_key, first.attempt) == (second.idempotency_key, second.attempt)
    await world.crash()


async def test_a_step_with_an_outcome_on_disk_is_not_called_again() -> None:
    world = World(a_step("a"), a_step("b", "look", "a"))
    world.replies["a"] = [ok(1)]
    await taken_up_again(world)
    assert len(world.calls["a"]) == 1
    assert world.log[-1] == ("calls", "b")
    await world.crash()


async def test_an_unsafe_step_without_an_outcome_is_never_called_again() -> None:
    world = rich(a_step("pay", "pay"))
    await taken_up_again(world)
    assert world.log == [("commits", ["run_resumed"]), ("commits", ["run_finished"])]
    assert world.state.status is RunStatus.QUARANTINED
    assert world.state.finished is not None
    assert world.state.finished.code == "ERR_IN_DOUBT"


async def test_a_buffered_pure_outcome_may_be_lost_and_is_computed_again() -> None:
    world = World(a_step("t", "think"), a_step("a", "look", "t"))
    world.replies["t"] = [ok(1), ok(1)]
    world.begin()
    await world.settled()
    await world.crash()  # nothing was committed: the first activation never happened
    world.replies["plan"] = [ok(planning(a_step("t", "think"), a_step("a", "look", "t")))]
    world.replies["a"] = [ok(2)]
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert [call.idempotency_key for call in world.calls["t"]] == [f"{world.state.run_id}/t/1"] * 2


async def test_a_later_activation_begins_a_run_on_disk_before_it_goes_on() -> None:
    """Who was here before may have died over this run; if we do too, it must be counted."""
    world = World(answer=42)
    world.epoch = 2
    await world.drive()
    assert world.log == [
        ("commits", ["run_started"]),
        ("calls", "plan"),
        ("commits", ["settled plan", "run_finished"]),
    ]


async def test_a_run_that_kills_its_process_at_once_is_poison_too() -> None:
    world = World(a_step("a"))
    for _ in range(5):
        world.replies["plan"] = [RuntimeError("this kills the process")]
        world.begin()
        await world.settled()
        if world.state.finished is not None:
            break
        await world.crash()
    assert world.state.status is RunStatus.QUARANTINED
    assert world.state.finished is not None
    assert world.state.finished.code == "ERR_POISON_RUN"


# being fenced off


async def test_a_fenced_driver_starts_nothing_after_the_commit_that_failed() -> None:
    world = rich(a_step("a"), a_step("pay", "pay", "a"))
    world.replies["a"] = [ok(1)]
    world.fenced = LeaseLost("epoch 1 has passed")
    with pytest.raises(LeaseLost):
        await world.drive()
    assert world.log == [("calls", "plan"), ("calls", "a")]


async def test_a_driver_that_comes_back_fenced_calls_nothing_at_all() -> None:
    world = World(a_step("a"))
    world.begin()
    await world.settled()
    await world.later(0.05)
    await world.crash()
    world.log.clear()
    world.fenced = LeaseLost("epoch 2 has passed")
    with pytest.raises(LeaseLost):
        await world.drive()
    assert world.log == []


async def test_a_fenced_driver_cancels_what_it_has_under_way() -> None:
    world = World(a_step("a"), a_step("b"), a_step("c", "look", "b"))
    drive = world.begin()
    await world.settled()
    world.fenced = LeaseLost("epoch 1 has passed")
    await world.answer("b", ok(1))
    with pytest.raises(LeaseLost):
        await drive
    assert world.cancelled == ["a"]


async def test_cancelling_the_driver_cancels_its_calls() -> None:
    world = World(a_step("a"), a_step("b"))
    drive = world.begin()
    await world.settled()
    drive.cancel()
    with pytest.raises(asyncio.CancelledError):
        await drive
    assert sorted(world.cancelled) == ["a", "b"]
