"""Steps that share a process: which do, and that nothing but time tells them from the others.

`World.lanes` makes a driver share; the property runs the same plan with and without.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.driving import SharedProcess, World
from tests.support.runs import ok, transient

from aos.actors.pace import Manner, Pace
from aos.actors.runs.events import RunStatus, StepSettled
from aos.skills.call import SkillCall
from aos.skills.contracts import StructuredOutcome


def a_step(step_id: str, skill: str = "look", *needs: str, **fields: Any) -> dict[str, Any]:
    return {"id": step_id, "skill": skill, "depends_on": list(needs), **fields}


def sharing(*steps: dict[str, Any], **fields: Any) -> World:
    world = World(*steps, permissions=("money:spend",), **fields)
    world.lanes = SharedProcess(world)
    return world


def chains_of(world: World) -> list[list[str]]:
    """What went to shared processes, the planner's call left out."""
    assert world.lanes is not None
    return [chain for chain in world.lanes.chains if chain != ["plan"]]


def answers(world: World, *step_ids: str) -> None:
    world.replies |= {step_id: [ok(step_id, duration_ms=1)] for step_id in step_ids}


async def test_a_chain_of_quick_reads_is_one_call() -> None:
    world = sharing(
        a_step("a"), a_step("b", "think", "a"), a_step("c", "look", params={"x": "{{b}}"})
    )
    answers(world, "a", "b", "c")
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert chains_of(world) == [["a", "b", "c"]]
    assert world.calls["c"][0].params == {"x": "b"}
    assert world.commits == [
        ["run_started", "settled plan", "settled a", "settled b", "settled c", "run_finished"]
    ]


async def test_nothing_follows_a_write_and_no_write_follows() -> None:
    world = sharing(
        a_step("a"), a_step("w", "put", "a"), a_step("b", "look", "w"), a_step("c", "look", "b")
    )
    answers(world, "a", "w", "b", "c")
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert chains_of(world) == [["a"], ["w"], ["b", "c"]]
    order = [entry for entry in world.log if entry[0] == "calls" or "settled w" in entry[1]]
    assert order.index(("commits", ["settled w"])) < order.index(("calls", "b"))


async def test_what_must_not_happen_twice_shares_nothing() -> None:
    world = sharing(a_step("a"), a_step("p", "pay", "a"))
    answers(world, "a", "p")
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert chains_of(world) == [["a"]]


async def test_what_needs_two_chains_is_in_neither() -> None:
    world = sharing(a_step("a"), a_step("b"), a_step("c", "look", "a", "b"))
    answers(world, "a", "b", "c")
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert chains_of(world) == [["a"], ["b"], ["c"]]


async def test_what_is_not_quick_is_called_by_itself() -> None:
    world = sharing(a_step("a"), a_step("b", "think", "a"), a_step("c", "look", "b"))
    answers(world, "a", "b", "c")
    assert world.lanes is not None
    world.lanes.pace.note("think", ok(duration_ms=500))
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert chains_of(world) == [["a"], ["c"]]


def test_a_skill_is_quick_when_its_latest_attempts_were() -> None:
    pace = Pace()
    assert pace.manner("look") is None, "nothing is known of it"
    pace.note("look", ok(duration_ms=2))
    assert pace.manner("look") is Manner.QUICK
    pace.note("look", StructuredOutcome.failure("ERR_WORKER_DIED", ""))
    assert pace.manner("look") is None
    for _ in range(3):
        pace.note("look", ok(duration_ms=2))
    assert pace.manner("look") is Manner.QUICK
    pace.note("look", ok(duration_ms=500))
    assert pace.manner("look") is Manner.QUICK, "once is no habit"
    pace.note("look", ok(duration_ms=500))
    assert pace.manner("look") is None


def test_a_skill_waits_when_its_process_could_have_done_something_else() -> None:
    pace = Pace()
    for idled in (0.99, 0.97):
        assert pace.manner("ask") is None, "once is no habit"
        pace.note("ask", ok(duration_ms=900))
        pace.note_idle("ask", idled)
    assert pace.manner("ask") is Manner.WAITING
    pace.note_idle("ask", 0.3)
    assert pace.manner("ask") is None
    pace.forget("ask")
    pace.note_idle("ask", 0.99)
    pace.note_idle("ask", 0.99)
    assert pace.manner("ask") is Manner.WAITING


async def test_what_waits_shares_a_process_and_nothing_follows_it_there() -> None:
    world = sharing(a_step("a", "think"), a_step("b", "think", "a"), a_step("c", "look", "b"))
    answers(world, "a", "b", "c")
    assert world.lanes is not None
    for _ in range(2):
        world.lanes.pace.note("think", ok(duration_ms=500))
        world.lanes.pace.note_idle("think", 1.0)
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert chains_of(world) == [["a"], ["b"], ["c"]]


async def test_a_chain_whose_process_is_lost_goes_on_one_by_one() -> None:
    world = sharing(a_step("a"), a_step("b", "look", "a"), a_step("c", "look", "b"))
    answers(world, "a", "b", "c")
    assert world.lanes is not None
    world.lanes.troubles = [(1, False), (1, True)]  # the planner's, then the chain's
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert chains_of(world) == [["a", "b", "c"]]
    assert [len(world.calls[step]) for step in "abc"] == [1, 1, 1]


async def test_a_chain_that_was_not_begun_in_time_is_a_chain_again() -> None:
    world = sharing(a_step("a"), a_step("b", "look", "a"), a_step("c", "look", "b"))
    answers(world, "a", "b", "c")
    assert world.lanes is not None
    world.lanes.troubles = [(1, False), (1, False), (0, False)]
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert chains_of(world) == [["a", "b", "c"], ["b", "c"], ["b", "c"]]


async def test_cancelling_ends_the_call_under_way_and_forgets_those_that_would_follow() -> None:
    world = sharing(a_step("a"), a_step("b", "look", "a"), a_step("c", "look", "b"))
    answers(world, "a")
    drive = world.begin()
    await world.settled()
    assert world.waiting == ["b"]
    world.say("cancel")
    await world.settled()
    assert (await drive).status is RunStatus.CANCELLED
    settled = [event for event in world.events if isinstance(event, StepSettled)]
    assert [(e.step_id, e.outcome.code) for e in settled[1:]] == [
        ("a", "OK"),
        ("b", "ERR_CANCELLED"),
    ]


async def test_a_failure_is_tried_again_and_what_follows_waits_for_it() -> None:
    world = sharing(a_step("a"), a_step("b", "think", "a"), a_step("c", "look", "b"))
    answers(world, "a", "c")
    world.replies["b"] = [transient(), ok("b", duration_ms=1)]
    drive = world.begin()
    await world.settled()
    await world.later(60)
    assert (await drive).status is RunStatus.COMPLETED
    assert [call.attempt for call in world.calls["b"]] == [1, 2]


@st.composite
def plans(draw: st.DrawFn) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for number in range(draw(st.integers(1, 9))):
        earlier = [step["id"] for step in steps]
        needs = draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3)) if earlier else []
        params: dict[str, Any] = {"n": number}
        if needs and draw(st.booleans()):
            path = draw(st.sampled_from(("", ".v", ".nothing")))
            params["from"] = f"{{{{{needs[0]}{path}}}}}"
        skill = draw(st.sampled_from(("look", "think", "put", "pay")))
        steps.append(a_step(f"s{number}", skill, *needs, params=params, on_error=draw(ERRORS)))
    return steps


ERRORS = st.sampled_from(("continue", "abort"))
KINDS = st.sampled_from(("ok", "ok", "ok", "transient", "lost", "large"))
TROUBLES = st.lists(st.tuples(st.integers(0, 3), st.booleans()), max_size=6)


def replying(kinds: dict[str, list[str]]) -> Any:
    """What a skill says is a matter of step and attempt alone."""

    def reply(call: SkillCall) -> StructuredOutcome:
        kind = dict(enumerate(kinds[call.step_id], 1)).get(call.attempt, "ok")
        match kind:
            case "transient":
                return transient()
            case "lost":
                return StructuredOutcome.failure("ERR_INTERNAL", "it broke")
            case "large":
                return ok({"v": "x" * 2_000}, duration_ms=1)
            case _:
                return ok({"v": call.params}, duration_ms=1)

    return reply


async def journal_of(
    steps: list[dict[str, Any]], kinds: dict[str, list[str]], troubles: list[Any] | None
) -> tuple[Any, ...]:
    """What the run's journal says, whatever the order of what went side by side."""
    ids = [step["id"] for step in steps]
    world = World(*steps, answer={i: f"{{{{{i}}}}}" for i in ids}, permissions=("money:spend",))
    if troubles is not None:
        world.lanes = SharedProcess(world)
        world.lanes.troubles = troubles
    world.replies |= {step_id: [replying(kinds)] * 50 for step_id in ids}
    drive = world.begin()
    for _ in range(100):  # retries back off for half a minute, the run may take an hour
        for _ in range(5):
            await world.settled()
        if drive.done():
            break
        await world.later(30)
    run = await drive
    assert run.finished is not None
    per_step = {
        step_id: [
            event.model_dump(mode="json", exclude={"at"})
            for event in world.events
            if getattr(event, "step_id", None) == step_id
        ]
        for step_id in ids
    }
    ended = (run.status, run.finished.code, json.dumps(run.finished.answer, sort_keys=True))
    return ended, per_step


@given(plans(), st.data())
@settings(max_examples=150, deadline=None)
def test_sharing_changes_nothing_that_a_journal_says(
    steps: list[dict[str, Any]], data: st.DataObject
) -> None:
    for step in steps:
        step["on_error"] = "continue"  # else what goes side by side may be cut short, or not
    kinds = {step["id"]: data.draw(st.lists(KINDS, max_size=4)) for step in steps}
    alone = asyncio.run(journal_of(steps, kinds, None))
    shared = asyncio.run(journal_of(steps, kinds, data.draw(TROUBLES)))
    assert shared == alone
