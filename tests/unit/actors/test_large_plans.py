"""Params, answers and memos that are too large for an event: stored apart, and used whole."""

from __future__ import annotations

import json

from tests.support.driving import World, planning
from tests.support.runs import ok

from aos.actors.runs.deriving import large_values
from aos.actors.runs.events import Plan, RunFinished, RunStatus, StepSettled
from aos.skills.contracts import JsonValue

LONG = "x" * 2_000


def plans_of(world: World) -> list[Plan]:
    settled = [event for event in world.events if isinstance(event, StepSettled)]
    return [event.plan for event in settled if event.plan is not None]


def fits(world: World) -> bool:
    return all(len(row.body) < 2 * world.threshold for row in world.rows)


async def test_long_params_are_stored_once_and_handed_over_whole() -> None:
    steps = [{"id": name, "skill": "look", "params": {"text": LONG, "n": 1}} for name in "ab"]
    world = World(*steps)
    world.replies |= {"a": [ok(1)], "b": [ok(2)]}
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert [call.params for name in "ab" for call in world.calls[name]] == [
        {"text": LONG, "n": 1}
    ] * 2
    first, second = plans_of(world)[0].steps
    assert first.params == {"text": None, "n": 1}
    assert first.large == second.large
    assert world.blobs.keys() == set(first.large.values()) == large_values(world.events)
    assert fits(world)


async def test_references_in_long_params_are_resolved_after_a_crash_too() -> None:
    text = f"{LONG} {{{{a.v}}}}"
    world = World(
        {"id": "a", "skill": "look"},
        {"id": "b", "skill": "look", "params": {"text": text}, "depends_on": ["a"]},
    )
    world.replies["a"] = [ok({"v": 7})]
    world.begin()
    await world.settled()
    await world.later(0.1)
    assert world.waiting == ["b"]
    await world.crash()
    world.replies["b"] = [ok(1)]
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert [call.params for call in world.calls["b"]] == [{"text": f"{LONG} 7"}] * 2
    assert world.loads, "the second activation had to fetch it"


async def test_params_that_are_long_in_sum_go_as_a_whole() -> None:
    params: dict[str, JsonValue] = {f"k{number}": "x" * 100 for number in range(20)}
    world = World({"id": "a", "skill": "look", "params": params})
    world.replies["a"] = [ok(1)]
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert world.calls["a"][0].params == params
    assert fits(world)


async def test_a_long_answer_and_a_long_memo() -> None:
    world = World()
    world.replies["plan"] = [ok({"steps": [{"id": "a", "skill": "look"}], "memo": {"said": LONG}})]
    world.replies["a"] = [ok({"v": 7})]
    world.replies["plan-2"] = [ok(planning(answer={"text": LONG, "v": "{{a.v}}"}))]
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert world.calls["plan-2"][0].params["memos"] == [{"said": LONG}]
    assert fits(world)
    finished = world.events[-1]
    assert isinstance(finished, RunFinished)
    assert finished.answer == {"text": None, "v": 7}
    assert json.loads(world.blobs[finished.large["text"]]) == LONG
    assert plans_of(world)[1].has_answer
