"""Effects that may have happened: reconcilers, policies, people, undoing."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.catalogue import descriptor
from tests.support.driving import World
from tests.support.runs import ok, permanent

from aos.actors.runs.events import RunStatus, StepReconciled
from aos.skills.contracts import Effects, JsonValue, StructuredOutcome


def world_in_doubt(*, reconciles: bool = True, compensates: bool = False, **fields: Any) -> World:
    """A run whose one step paid, or not: its process died between the call and the outcome."""
    world = World({"id": "pay", "skill": "wire"}, answer="{{pay}}", **fields)
    world.catalogue["wire"] = descriptor(
        "wire", Effects.UNSAFE, reconciles=reconciles, compensates=compensates
    )
    return world


async def lost(world: World) -> None:
    world.begin()
    await world.settled()
    await world.crash()


def found(verdict: str, output: JsonValue = None) -> StructuredOutcome:
    return ok({"verdict": verdict, "output": output, "reason": "asked"})


def modes(world: World) -> list[str]:
    return [call.mode.value for call in world.calls["pay"]]


def verdicts(world: World) -> list[tuple[str, str]]:
    return [
        (event.verdict.value, event.source.value)
        for event in world.events
        if isinstance(event, StepReconciled)
    ]


async def test_what_happened_is_not_done_again() -> None:
    world = world_in_doubt()
    await lost(world)
    world.replies["pay"] = [found("happened", {"receipt": 7})]
    state = await world.drive()
    assert state.finished is not None
    assert (state.status, state.finished.answer) == (RunStatus.COMPLETED, {"receipt": 7})
    assert modes(world) == ["execute", "reconcile"]
    assert len({call.idempotency_key for call in world.calls["pay"]}) == 1


async def test_what_did_not_happen_is_done_under_the_same_key() -> None:
    world = world_in_doubt()
    await lost(world)
    world.replies["pay"] = [found("did_not_happen"), ok({"receipt": 8})]
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert modes(world) == ["execute", "reconcile", "execute"]
    assert len({call.idempotency_key for call in world.calls["pay"]}) == 1


async def test_a_reconciler_that_cannot_tell_is_asked_again_and_then_the_policy_decides() -> None:
    world = world_in_doubt()
    await lost(world)
    world.replies["pay"] = [found("unclear"), permanent(), found("unclear")]
    state = await world.drive()
    while state.finished is None:
        assert state.parked is not None
        assert state.parked.until is not None
        await world.later((state.parked.until - world.clock.now()).total_seconds())
        state = await world.drive()
    assert (state.finished.status, state.finished.code) == ("quarantined", "ERR_IN_DOUBT")
    assert verdicts(world) == [("unclear", "hook")] * 3


@pytest.mark.parametrize(
    ("verdict", "status", "code"),
    [
        ("happened", RunStatus.COMPLETED, "OK"),
        ("fail", RunStatus.FAILED, "ERR_IN_DOUBT"),
    ],
)
async def test_a_person_is_asked_and_their_word_holds(
    verdict: str, status: RunStatus, code: str
) -> None:
    world = world_in_doubt(reconciles=False, on_in_doubt="ask")
    await lost(world)
    state = await world.drive()
    assert state.parked is not None
    assert "person" in state.parked.reason
    world.say("verdict", step_id="pay", verdict=verdict, output={"receipt": 9}, reason="I looked")
    state = await world.drive()
    assert state.finished is not None
    assert (state.status, state.finished.code) == (status, code)
    assert verdicts(world) == [(verdict, "person")]
    assert modes(world) == ["execute"]


async def test_policy_may_undo_and_the_step_has_failed_then() -> None:
    world = world_in_doubt(reconciles=False, compensates=True, on_in_doubt="compensate")
    await lost(world)
    world.replies["pay"] = [ok()]
    state = await world.drive()
    assert state.finished is not None
    assert (state.status, state.finished.code) == (RunStatus.FAILED, "ERR_COMPENSATED")
    assert modes(world) == ["execute", "compensate"]
    assert len({call.idempotency_key for call in world.calls["pay"]}) == 1, "whose undoing it is"


async def test_policy_may_do_it_again_under_the_same_key() -> None:
    world = world_in_doubt(reconciles=False, on_in_doubt="retry")
    await lost(world)
    world.replies["pay"] = [ok({"receipt": 1})]
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert modes(world) == ["execute", "execute"]
    assert verdicts(world) == [("retry", "policy")]
    assert len({call.idempotency_key for call in world.calls["pay"]}) == 1


async def test_an_operator_may_set_the_result_of_what_is_in_doubt() -> None:
    world = world_in_doubt(reconciles=False, on_in_doubt="ask")
    await lost(world)
    await world.drive()
    world.say("repair", step_id="pay", action="set_result", output={"receipt": 3}, reason="seen")
    state = await world.drive()
    assert state.finished is not None
    assert (state.status, state.finished.answer) == (RunStatus.COMPLETED, {"receipt": 3})


async def test_an_operators_redrive_is_a_new_effect_under_a_new_key() -> None:
    world = world_in_doubt(reconciles=False, on_in_doubt="ask")
    await lost(world)
    await world.drive()
    world.say("repair", step_id="pay", action="redrive", reason="it was refunded")
    world.replies["pay"] = [ok({"receipt": 3})]
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert len({call.idempotency_key for call in world.calls["pay"]}) == 2
