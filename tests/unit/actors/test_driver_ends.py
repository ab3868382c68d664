"""What a driver makes of steps and plans: what calls are made with, and how runs end."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.driving import World, planning
from tests.support.runs import RUN, TIMEOUT_S, ok, permanent, transient

from aos.actors.runs.events import RunStatus, StepSettled
from aos.actors.runs.waiting import WAITS
from aos.cluster.postgres import DatabaseUnavailable
from aos.skills.contracts import Effects, StructuredOutcome, Usage

LONG = "long " * 1_000


def a_step(step_id: str, skill: str = "look", **fields: Any) -> dict[str, Any]:
    return {"id": step_id, "skill": skill, **fields}


def ending(world: World) -> tuple[str, str]:
    assert world.state.finished is not None
    return world.state.finished.status.value, world.state.finished.code


def outcome_of(world: World, step_id: str) -> StructuredOutcome:
    settled = [each for each in world.events if isinstance(each, StepSettled)]
    return [each for each in settled if each.step_id == step_id][-1].outcome


# what a call is made with


async def test_a_call_carries_what_its_step_and_its_run_were_pinned_to() -> None:
    post = a_step("s", "send", params={"method": "POST"})
    world = World(post, trace_id="f" * 32, permissions=("x:y",))
    world.replies["s"] = [ok()]
    await world.drive()
    (call,) = world.calls["s"]
    assert (call.run_id, call.step_id, call.attempt) == (str(RUN), "s", 1)
    assert (call.skill, call.version) == ("send", "2.1.0")
    assert call.idempotency_key == f"{RUN}/s/1"
    assert (call.permissions, call.tenant, call.trace_id) == (("x:y",), "default", "f" * 32)
    assert world.effects["s"] is Effects.UNSAFE


async def test_changed_params_do_not_make_a_write_of_a_read() -> None:
    get, overrides = a_step("s", "send", params={"method": "GET"}), {"s": {"method": "POST"}}
    world = World(get, overrides=overrides)
    await world.drive()
    assert ending(world) == ("failed", "ERR_VALIDATION_FAILED")
    assert "s" not in world.calls
    world = World(get, overrides={"s": {"method": "GET", "url": "other"}})
    world.replies["s"] = [ok()]
    await world.drive()
    assert world.calls["s"][0].params == {"method": "GET", "url": "other"}


async def test_references_are_resolved_before_the_call() -> None:
    world = World(
        a_step("a"),
        a_step("b", params={"whole": "{{a}}", "part": "{{a.rows.1}}", "text": "n={{a.n}}"}),
        answer={"n": "{{a.n}}", "said": "{{b}}"},
    )
    world.replies |= {"a": [ok({"n": 1, "rows": [7, 8]})], "b": [ok("fine")]}
    await world.drive()
    assert world.calls["b"][0].params == {
        "whole": {"n": 1, "rows": [7, 8]},
        "part": 8,
        "text": "n=1",
    }
    assert world.state.finished is not None
    assert world.state.finished.answer == {"n": 1, "said": "fine"}


async def test_in_a_literal_plan_braces_reach_the_skill() -> None:
    plan = planning(a_step("a", params={"x": "{{b}}"}), answer="{{a}}", literal=True)
    world = World(plan_outcome=ok(plan))
    world.replies["a"] = [ok(1)]
    await world.drive()
    assert world.calls["a"][0].params == {"x": "{{b}}"}
    assert world.state.finished is not None
    assert world.state.finished.answer == "{{a}}"


async def test_large_outputs_leave_and_come_back_for_the_next_step() -> None:
    page = {"body": LONG, "status": 200}
    world = World(a_step("a"), a_step("b", params={"html": "{{a.body}}"}), answer="{{a}}")
    world.replies |= {"a": [ok(page)], "b": [ok()]}
    await world.drive()
    assert outcome_of(world, "a").output == {"body": None, "status": 200}
    assert world.calls["b"][0].params == {"html": LONG}
    finished = world.state.finished
    assert finished is not None
    assert finished.answer == {"body": None, "status": 200}
    assert [json.loads(world.blobs[digest]) for digest in finished.large.values()] == [LONG]
    assert len(world.blobs) == 1, "equal contents are kept once"
    assert world.loads == [], "this process has just seen it"


async def test_a_large_answer_leaves_too() -> None:
    world = World(answer={"report": LONG})
    await world.drive()
    finished = world.state.finished
    assert finished is not None
    assert finished.answer == {"report": None}
    assert json.loads(world.blobs[finished.large["report"]]) == LONG


async def test_another_process_loads_the_large_outputs_it_needs() -> None:
    world = World(a_step("a"), a_step("b", params={"html": "{{a.body}}"}))
    world.replies["a"] = [ok({"body": LONG})]
    world.begin()
    await world.settled()
    await world.crash()
    world.replies["b"] = [ok()]
    await world.drive()
    assert world.calls["b"][-1].params == {"html": LONG}
    assert len(world.loads) == 1


# planning


async def test_the_planner_is_asked_with_what_may_be_used_and_what_was_seen() -> None:
    first = planning(a_step("a"), a_step("b", on_error="continue"), answer=None, memo={"m": 1})
    world = World(plan_outcome=ok(first), denied_skills=("put",), goal="find out", max_steps=9)
    world.replies |= {
        "a": [ok({"n": 1})],
        "b": [permanent()],
        "plan-2": [ok(planning(answer="done"))],
    }
    await world.drive()
    one, two = (world.calls[step_id][0].params for step_id in ("plan", "plan-2"))
    assert (one["goal"], one["round"], one["observations"], one["memos"]) == ("find out", 1, [], [])
    assert [each["name"] for each in one["skills"]] == [
        "think",
        "look",
        "send",  # pay: no permission
        *WAITS,
    ]
    assert (two["round"], two["memos"], one["max_steps"], two["max_steps"]) == (2, [{"m": 1}], 9, 7)
    assert [
        (seen["step_id"], seen["round"], seen["ok"], seen["code"], seen["output"])
        for seen in two["observations"]
    ] == [("a", 1, True, "OK", {"n": 1}), ("b", 1, False, "ERR_HTTP_404", None)]


async def test_an_invalid_plan_of_fixed_rules_fails_the_run() -> None:
    world = World(a_step("a", "fly"))
    await world.drive()
    assert ending(world) == ("failed", "ERR_INVALID_PLAN")
    outcome = outcome_of(world, "plan")
    assert outcome.details == {"problems": ["step 'a' names the unknown skill 'fly'"]}
    assert len(world.calls["plan"]) == 1


async def test_an_invalid_plan_of_a_model_is_asked_for_again_and_paid_for() -> None:
    usage = Usage(provider="anthropic", model="m", input_tokens=10)
    bad = ok(planning(a_step("a", "fly")), usage=(usage,), cost_microusd=5)
    world = World(plan_outcome=bad)
    world.replies["plan"].append(ok(planning(answer="done"), usage=(usage,), cost_microusd=5))
    drive = world.begin()
    await world.settled()
    await world.later(1)
    assert (await drive).status is RunStatus.COMPLETED
    assert len(world.calls["plan"]) == 2
    assert (world.state.totals.cost_microusd, world.state.totals.input_tokens) == (10, 20)


async def test_a_run_whose_planner_is_gone_waits_and_says_for_what() -> None:
    world = World(planner="oracle")
    state = await world.drive()
    assert state.status is RunStatus.WAITING
    assert state.parked is not None
    assert state.parked.reason == "not installed: planner.oracle@1.0.0"
    assert world.calls == {}


async def test_a_plan_is_kept_once_and_not_as_an_output_too() -> None:
    world = World(a_step("a"))
    world.replies["a"] = [ok()]
    await world.drive()
    assert outcome_of(world, "plan").output is None
    assert world.state.plan is not None
    assert [step.id for step in world.state.plan.steps] == ["a"]


# how runs end


async def test_a_run_whose_skill_is_gone_waits_until_it_is_there_again() -> None:
    world = World(a_step("a"), a_step("b", "put"))
    world.begin()
    await world.settled()
    await world.later(0.05)
    await world.crash()
    gone = world.catalogue.pop("look")
    world.replies["b"] = [ok()]
    state = await world.drive()
    assert state.parked is not None
    assert state.parked.reason == "not installed: look@1.0.0"
    world.catalogue["look"] = gone
    world.replies["a"] = [ok()]
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert world.state.crashes == 0


@pytest.mark.parametrize("reference", ["{{a.nothing}}", "{{a.rows.9}}"])
async def test_a_reference_to_nothing_fails_its_step_without_a_call(reference: str) -> None:
    world = World(a_step("a"), a_step("b", params={"x": reference}))
    world.replies["a"] = [ok({"rows": []})]
    await world.drive()
    assert ending(world) == ("failed", "ERR_INVALID_REFERENCE")
    assert "b" not in world.calls


async def test_an_answer_that_refers_to_nothing_fails_the_run() -> None:
    world = World(a_step("a"), answer="{{a.nothing}}")
    world.replies["a"] = [ok({})]
    await world.drive()
    assert ending(world) == ("failed", "ERR_INVALID_REFERENCE")


async def test_a_partial_answer_says_null_for_what_is_missing() -> None:
    world = World(a_step("a"), a_step("b", on_error="continue"), answer=["{{a}}", "{{b}}"])
    world.replies |= {"a": [ok(1)], "b": [permanent()]}
    await world.drive()
    assert ending(world) == ("partial", "OK")
    assert world.state.finished is not None
    assert world.state.finished.answer == [1, None]


async def test_a_failed_run_has_no_answer_but_a_code_and_a_message() -> None:
    world = World(a_step("a"), answer="{{a}}")
    world.replies["a"] = [permanent()]
    await world.drive()
    assert ending(world) == ("failed", "ERR_HTTP_404")
    assert world.state.finished is not None
    assert (world.state.finished.answer, world.state.finished.message) == (
        None, "step a: no such page",
    )  # fmt: skip


async def test_a_retry_comes_when_its_time_has_come() -> None:
    world = World(a_step("a"))
    world.replies["a"] = [transient(retry_after_ms=3_000), ok()]
    drive = world.begin()
    await world.settled()
    await world.later(2.99)
    assert len(world.calls["a"]) == 1
    await world.later(0.01)
    assert [call.attempt for call in world.calls["a"]] == [1, 2]
    assert (await drive).status is RunStatus.COMPLETED


async def test_a_run_that_takes_too_long_ends_and_its_calls_are_cancelled() -> None:
    world = World(a_step("a"), a_step("b"))
    drive = world.begin()
    await world.settled()
    await world.answer("a", ok())
    await world.later(TIMEOUT_S - 0.01)
    assert not drive.done()
    await world.later(0.01)
    assert (await drive).status is RunStatus.FAILED
    assert ending(world) == ("failed", "ERR_RUN_TIMEOUT")
    assert world.cancelled == ["b"]


async def test_a_failing_run_lets_its_other_steps_end_but_not_for_ever() -> None:
    world = World(a_step("a"), a_step("b"), a_step("c"))
    drive = world.begin()
    await world.settled()
    await world.answer("a", permanent())
    await world.answer("b", ok())
    await world.later(1)
    assert not drive.done()
    await world.later(TIMEOUT_S)
    assert drive.done(), "the deadline holds for failing runs too"
    assert world.cancelled == ["c"]


async def test_without_postgres_a_large_value_is_a_failure_that_may_be_tried_again() -> None:
    world = World(a_step("a"), a_step("b", params={"x": "{{a}}"}))
    world.replies["a"] = [ok(LONG)]
    world.begin()
    await world.settled()
    await world.crash()
    blobs, world.blobs = world.blobs, Unreachable()
    world.replies["b"] = [ok()]
    drive = world.begin()
    await world.settled()
    world.blobs = blobs
    await world.later(1)
    assert (await drive).status is RunStatus.COMPLETED
    assert [each.outcome.code for each in settlements(world, "b")] == ["ERR_STORAGE", "OK"]


class Unreachable(dict[str, bytes]):
    """A table of blobs in a database that is away."""

    def __getitem__(self, digest: str) -> bytes:
        raise DatabaseUnavailable("no route to host", ambiguous=False)


def settlements(world: World, step_id: str) -> list[StepSettled]:
    return [
        each for each in world.events if isinstance(each, StepSettled) and each.step_id == step_id
    ]


async def test_a_bug_ends_the_driver_and_not_only_the_call() -> None:
    """Whoever drives must hear of it: a run that hangs until its deadline tells nobody anything."""
    world = World(a_step("a"))
    world.replies["a"] = [RuntimeError("a bug")]
    drive = world.begin()
    await world.settled()
    assert drive.done()
    with pytest.raises(RuntimeError, match="a bug"):
        drive.result()
