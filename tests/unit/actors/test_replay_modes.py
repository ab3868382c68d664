"""Driven again: as it was, with something changed, and what it would call now."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.catalogue import SMALL, descriptor
from tests.support.driving import World
from tests.support.runs import RUN, ok, permanent, transient

from aos.actors.replay.dry_run import dry_run
from aos.actors.replay.errors import ImpossibleReplay, NotReplayable
from aos.actors.replay.mock import Change, Replayed, mock, what_if
from aos.actors.runs.events import RunFinished, RunStatus, StepSettled
from aos.actors.runs.fold import fold
from aos.actors.runs.submission import CODE_VERSION
from aos.skills.contracts import Effects, EffectState, InDoubtPolicy, ResourceContract, SideEffect

PAID = SideEffect(type="pay", target="x")


async def a_run(*steps: dict[str, Any], answer: Any = "done", **replies: Any) -> World:
    world = World(*steps, answer=answer, permissions=("money:spend",), code_version=CODE_VERSION)
    world.replies |= replies
    drive = world.begin()
    for _ in range(8):
        await world.later(30)
        if drive.done() and world.state.finished is None:
            drive = world.begin()
    assert world.state.finished is not None
    return world


async def two_steps() -> World:
    return await a_run(
        {"id": "a", "skill": "look", "params": {"url": "x"}},
        {"id": "b", "skill": "pay", "params": {"amount": "{{a.price}}"}},
        answer="{{b}}",
        a=[transient(), ok({"price": 7}, cost_microusd=30)],
        b=[
            ok(
                "receipt",
                effect=EffectState.DONE,
                side_effects=(SideEffect(type="pay", target="x"),),
            )
        ],
    )


def altered(world: World, **changes: Any) -> Replayed:
    return what_if(RUN, world.events, Change(**changes))


# mock


async def test_nothing_is_the_same_if_it_is_not() -> None:
    world = await two_steps()
    assert mock(RUN, world.events).same
    finished = world.events[-1]
    assert isinstance(finished, RunFinished)
    other = finished.model_copy(update={"status": RunStatus.PARTIAL})
    found = mock(RUN, [*world.events[:-1], other])
    assert not found.same
    assert found.recorded != found.attempted
    assert found.difference is not None
    assert found.difference.recorded == "finished partial OK"
    assert found.difference.attempted == "finished completed OK"


async def test_an_outcome_that_the_machine_did_not_ask_for_is_named() -> None:
    world = await two_steps()
    place = next(n for n, e in enumerate(world.events) if e.kind == "step_intended")
    found = mock(RUN, [*world.events[: place + 2], *world.events[place + 2 :]])
    assert found.same
    broken = [e for e in world.events if not (isinstance(e, StepSettled) and e.step_id == "b")]
    with pytest.raises(NotReplayable):
        # Without its outcome the recorded end contradicts the fold itself.
        mock(RUN, [*broken, broken[-1]])


async def test_times_outputs_and_texts_are_not_behaviour_and_costs_are() -> None:
    one = await two_steps()
    two = await two_steps()
    assert mock(RUN, one.events).recorded == mock(RUN, two.events).recorded
    place, event = next(
        (n, e) for n, e in enumerate(one.events) if isinstance(e, StepSettled) and e.step_id == "b"
    )

    def with_outcome(**update: Any) -> str:
        outcome = event.outcome.model_copy(update=update)
        changed = event.model_copy(update={"outcome": outcome})
        return mock(RUN, [*one.events[:place], changed, *one.events[place + 1 :]]).recorded

    before = mock(RUN, one.events).recorded
    assert with_outcome(message="else", duration_ms=99, details={"x": 1}) == before
    assert with_outcome(cost_microusd=1) != before
    assert with_outcome(side_effects=()) != before


# what if


async def test_a_changed_parameter_would_be_called_and_what_follows_is_not_known() -> None:
    found = altered(await two_steps(), params={"a": {"url": "y"}})
    assert not found.same
    assert [each.step_id for each in found.would_call] == ["a"]
    assert found.would_call[0].why == "its input is another"
    assert found.answered == ("plan",)
    assert found.status == "running"
    assert found.difference is not None


async def test_a_changed_parameter_downstream_is_answered_up_to_there() -> None:
    found = altered(await two_steps(), params={"b": {"amount": 8}})
    assert found.answered == ("plan", "a")
    assert [(each.step_id, each.skill) for each in found.would_call] == [("b", "pay@1.0.0")]


async def test_the_same_value_changes_nothing() -> None:
    found = altered(await two_steps(), params={"b": {"amount": 7}})
    assert found.same
    assert found.status == "completed"


async def test_another_goal_asks_the_planner_again() -> None:
    found = altered(await two_steps(), goal="another")
    assert [each.step_id for each in found.would_call] == ["plan"]


async def test_a_smaller_plan_is_not_admitted() -> None:
    found = altered(await two_steps(), limits={"max_steps": 1})
    assert (found.status, found.code) == ("failed", "ERR_INVALID_PLAN")
    assert found.difference is not None
    assert found.difference.step_id == "plan"


async def test_less_time_ends_the_run_where_it_ran_out() -> None:
    world = await a_run({"id": "t", "skill": "look"}, t=[transient(retry_after_ms=40_000), ok()])
    assert world.state.status is RunStatus.COMPLETED
    found = altered(world, limits={"run_timeout_s": 5})
    assert (found.status, found.code) == ("failed", "ERR_RUN_TIMEOUT")


async def test_another_policy_for_doubt_is_another_end() -> None:
    world = World({"id": "pay", "skill": "pay"}, permissions=("money:spend",))
    world.begin()
    await world.settled()
    await world.crash()
    world.begin()
    await world.settled()
    assert world.state.status is RunStatus.QUARANTINED
    failing = altered(world, limits={"on_in_doubt": InDoubtPolicy.FAIL.value})
    assert (failing.status, failing.code) == ("failed", "ERR_IN_DOUBT")
    again = altered(world, limits={"on_in_doubt": "retry"})
    assert [(each.step_id, each.attempt) for each in again.would_call] == [("pay", 1)]


async def test_what_does_not_fit_is_refused_with_what_does() -> None:
    world = await two_steps()
    for changes, named in (
        ({}, "nothing is changed"),
        ({"params": {"zz": {}}}, "known: plan, a, b"),
        ({"limits": {"money": 1}}, "max_steps"),
        ({"limits": {"max_steps": 0}}, "max_steps"),
        ({"limits": {"on_in_doubt": "hope"}}, "on_in_doubt"),
    ):
        with pytest.raises(ImpossibleReplay) as refused:
            altered(world, **changes)
        assert named in refused.value.detail


# dry run


async def test_a_dry_run_names_waves_costs_and_what_stands_in_the_way() -> None:
    world = await a_run(
        {"id": "b", "skill": "put", "depends_on": ["a", "c"]},
        {"id": "a", "skill": "look"},
        {"id": "c", "skill": "pay"},
        a=[ok()], b=[ok()], c=[permanent()],
    )  # fmt: skip
    state = fold(RUN, world.events)
    costly = descriptor("look", Effects.READ, resources=ResourceContract(cost_estimate_microusd=50))
    catalog = {**SMALL, "look": costly, "put": descriptor("put", Effects.UNSAFE)}
    del catalog["pay"]

    def find(name: str, version: str) -> Any:
        found = catalog.get(name)
        return found if found is not None and found.version == version else None

    found = dry_run(state, catalog, find)
    assert [(each.step_id, each.wave) for each in found.steps] == [
        ("plan", 1), ("a", 2), ("c", 2), ("b", 3),
    ]  # fmt: skip
    assert (found.cost_microusd, found.worst_microusd) == (50, 150)
    assert found.problems == (
        "c: pay@1.0.0 is not installed",
        "b: it is planned as idempotent, and would be unsafe",
    )
