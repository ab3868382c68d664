"""Whole lives of runs over the real driver, decided by a die: plans, outcomes, crashes, words."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any
from uuid import UUID

from aos.actors.runs.chain import chained, genesis
from aos.actors.runs.cutting import StepNeverRan
from aos.actors.runs.deriving import Birth, Change, derive
from aos.actors.runs.events import Derivation, RunStatus
from aos.actors.runs.mailbox import Message
from aos.actors.runs.state import Phase
from aos.actors.runs.submission import CODE_VERSION
from aos.actors.runs.waiting import WAITS
from aos.skills.contracts import Effects, EffectState, InDoubtPolicy, StructuredOutcome

from .catalogue import descriptor
from .driving import World, planning
from .runs import RUN, ok, permanent, transient

_CALLS = ("think", "look", "put", "pay", "reserve", "send")
_WAITS: dict[str, dict[str, Any]] = {
    "wait.timer": {"seconds": 40},
    "wait.signal": {"name": "go", "timeout_s": 4_000},
    "wait.decision": {"question": "Well?"},
    "run.child": {"goal": "some of it"},
}
SOURCE = UUID("01900000-0000-7000-8000-00000000beef")
_SECONDS = (0.01, 0.3, 2.0, 45.0, 4_000.0)


def _steps(die: Random, prefix: str) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for number in range(die.randint(1, 5)):
        earlier = [each["id"] for each in steps]
        skill = die.choice((*_CALLS, *_WAITS))
        params = dict(_WAITS.get(skill, {"method": "POST"} if skill == "send" else {}))
        if skill == "run.child":
            params["goal"] = f"part {prefix}{number}"
        if die.random() < 0.05:
            params = {"nonsense": 1}
        steps.append(
            {
                "id": f"{prefix}{number}",
                "skill": skill,
                "params": params,
                "depends_on": sorted(
                    set(die.sample(earlier, min(len(earlier), die.randint(0, 2))))
                ),
                "on_error": die.choice(("continue", "continue", "abort")),
            }
        )
    return steps


def _outcome(die: Random, effects: Effects) -> StructuredOutcome:
    writes = effects in (Effects.UNSAFE, Effects.IDEMPOTENT)
    effect = die.choice(list(EffectState)) if writes else EffectState.NONE
    kind = die.choice((ok, ok, ok, transient, permanent))
    fields: dict[str, Any] = {"effect": effect, "cost_microusd": die.randint(0, 9)}
    if kind is transient and die.random() < 0.3:
        fields["retry_after_ms"] = 5_000
    if kind is ok:
        return ok({"verdict": die.choice(("happened", "did_not_happen", "unclear"))}, **fields)
    return kind(**fields)


def _message(die: Random, world: World) -> None:
    """Somebody says something, sensible or not."""
    steps = sorted(world.state.steps)
    step_id = die.choice(steps)
    match die.choice(("signal", "decide", "child", "pause", "continue", "verdict", "repair", "no")):
        case "signal":
            world.say("signal", name=die.choice(("go", "other")), payload=die.randint(0, 9))
        case "decide":
            world.say("decide", step_id=step_id, approved=die.random() < 0.7, value="so")
        case "child":
            _child_ends(die, world)
        case "verdict":
            world.say("verdict", step_id=step_id, verdict=die.choice(("happened", "retry", "fail")))
        case "repair":
            action = die.choice(("skip", "set_result", "redrive"))
            world.say("repair", step_id=step_id, action=action)
        case "no" if die.random() < 0.1:
            world.say("cancel", reason="enough")
        case "no":
            pass
        case kind:
            world.say(kind)


def _child_ends(die: Random, world: World) -> None:
    for step in world.state.steps.values():
        child = step.wait.child_run_id if step.wait is not None else None
        if step.phase is Phase.WAITING and child is not None:
            status = die.choice((RunStatus.COMPLETED, RunStatus.FAILED))
            code = "OK" if status is RunStatus.COMPLETED else "ERR_TIMEOUT"
            world.family.answers[child] = {"part": step.spec.id}
            world.say(
                "child", step_id=step.spec.id, child_run_id=child, status=status.value, code=code
            )
            return


async def life(seed: int, policies: Sequence[InDoubtPolicy] = tuple(InDoubtPolicy)) -> World:
    """One life. It may not have ended: not every wait is for something that comes."""
    die = Random(seed)  # noqa: S311 - a die, not a secret
    steps = _steps(die, "a")
    answer: Any = die.choice(([f"{{{{{steps[-1]['id']}}}}}"], "done", None))
    world = World(
        plan_outcome=ok(planning(*steps, answer=answer), cost_microusd=3),
        permissions=("money:spend",), code_version=CODE_VERSION, seed=die.randint(0, 2**50),
        on_in_doubt=die.choice(policies), run_timeout_s=die.choice((60.0, 1e6, 1e6, 1e6)),
    )  # fmt: skip
    world.catalogue |= WAITS
    world.catalogue["reserve"] = descriptor(
        "reserve", Effects.UNSAFE, reconciles=True, compensates=True
    )
    world.replies["plan-2"] = [ok(planning(*_steps(die, "b"), answer="at last"))]
    return await _live(die, world)


async def derived_life(seed: int, source: World) -> World | None:
    """The life of a run that was forked from another one. None: it cannot be forked there."""
    die = Random(seed)  # noqa: S311 - a die, not a secret
    step_id = die.choice(sorted(source.state.steps))
    change = Change(how=Derivation.FORK, by="ann", step_id=step_id, repeat_effects=True)
    birth = Birth(RUN, source.clock.now(), "1" * 32, CODE_VERSION)
    try:
        events = derive(SOURCE, source.events, change, birth)
    except StepNeverRan:
        return None
    world = World(permissions=("money:spend",))
    await world.clock.advance((source.clock.now() - world.clock.now()).total_seconds())
    world.catalogue = source.catalogue
    world.events, world.rows = events, list(chained(genesis(RUN), 1, events))
    world.blobs = source.blobs
    world.replies = {"plan-2": [ok(planning(*_steps(die, "c"), answer="at last"))]}
    for number in range(world.state.heard):
        world.messages.append(Message(number + 1, "signal", "ann", {}))
    return await _live(die, world)


async def _live(die: Random, world: World) -> World:
    dangerous = die.choice((0.02, 0.1))
    drive = world.begin()
    await world.settled()
    for _ in range(die.randint(10, 40)):
        if world.state.finished is not None:
            break
        if drive.done():
            drive = world.begin()
            await world.settled()
        await _something(die, world, dangerous)
    drive.cancel()
    await asyncio.wait([drive])
    return world


async def _something(die: Random, world: World, dangerous: float) -> None:
    under_way = sorted(world._waiting)
    chance = die.random()
    if chance < dangerous:
        await world.crash()
    elif chance < 0.35:
        _message(die, world)
        await world.settled()
    elif under_way and chance < 0.8:
        for step_id in die.sample(under_way, die.randint(1, len(under_way))):
            if step_id in world._waiting and not world._waiting[step_id].done():
                world._waiting.pop(step_id).set_result(_outcome(die, world.effects[step_id]))
        await world.settled()
    elif chance < 0.9 and world.halted is None and die.random() < 0.2:
        world.halted = "fire"
    else:
        world.halted = None
        await world.later(die.choice(_SECONDS))
