"""Runs that wait: parked without a process, woken by time and by what is said to them."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.driving import World
from tests.support.runs import ok

from aos.actors.runs.events import RunStatus
from aos.cluster.canonical import bytes_hash


def wait(step_id: str, kind: str, *needs: str, **params: Any) -> dict[str, Any]:
    return {"id": step_id, "skill": kind, "params": params, "depends_on": list(needs)}


def kinds(world: World) -> list[str]:
    return [event.kind for event in world.events]


async def woken(world: World) -> Any:
    """The next activation takes the parked run up."""
    world.epoch += 1
    return await world.drive()


async def test_a_long_timer_parks_the_run_until_its_instant() -> None:
    world = World(wait("nap", "wait.timer", seconds=3_600), answer="{{nap}}")
    state = await world.drive()
    assert state.status is RunStatus.WAITING
    assert state.parked is not None
    assert state.parked.until is not None
    await world.later(3_600)
    state = await woken(world)
    assert state.status is RunStatus.COMPLETED
    assert kinds(world)[-3:] == ["run_woken", "step_closed", "run_finished"]
    assert state.crashes == 0


async def test_a_wait_does_not_count_towards_the_time_limit() -> None:
    world = World(wait("nap", "wait.timer", seconds=10**7))
    await world.drive()
    await world.later(10**7)
    assert (await woken(world)).status is RunStatus.COMPLETED


async def test_a_timer_in_the_past_ends_at_once() -> None:
    world = World(wait("nap", "wait.timer", until="2020-01-01T00:00:00Z"))
    assert (await world.drive()).status is RunStatus.COMPLETED


async def test_a_signal_that_comes_early_is_kept() -> None:
    world = World(wait("word", "wait.signal", name="go"), answer="{{word}}")
    world.say("signal", name="go", payload={"n": 1})
    state = await world.drive()
    assert state.finished is not None
    assert state.finished.answer == {"n": 1}


async def test_a_signal_wakes_a_parked_run_and_the_right_step_takes_it() -> None:
    world = World(
        wait("one", "wait.signal", name="a"), wait("two", "wait.signal", name="b"),
        answer={"one": "{{one}}", "two": "{{two}}"},
    )  # fmt: skip
    assert (await world.drive()).status is RunStatus.WAITING
    world.say("signal", name="b", payload="second")
    assert (await woken(world)).status is RunStatus.WAITING
    world.say("signal", name="a", payload="first")
    state = await woken(world)
    assert state.finished is not None
    assert state.finished.answer == {"one": "first", "two": "second"}


async def test_a_signal_that_does_not_come_in_time_fails_its_step() -> None:
    world = World(wait("word", "wait.signal", name="go", timeout_s=60))
    await world.drive()
    await world.later(60)
    state = await woken(world)
    assert (state.status, state.finished and state.finished.code) == (
        RunStatus.FAILED,
        "ERR_WAIT_TIMEOUT",
    )


async def test_a_persons_no_is_a_failure_and_a_yes_carries_a_value() -> None:
    for approved, status in ((True, RunStatus.COMPLETED), (False, RunStatus.FAILED)):
        world = World(wait("ask", "wait.decision", question="Pay?"), answer="{{ask}}")
        await world.drive()
        world.say("decide", step_id="ask", approved=approved, value="fine", comment="not now")
        state = await woken(world)
        assert state.status is status
        assert state.finished is not None
        assert state.finished.answer == ("fine" if approved else None)


async def test_what_has_no_meaning_is_recorded_and_changes_nothing() -> None:
    world = World(wait("word", "wait.signal", name="go"))
    world.say("decide", step_id="nowhere", approved=True)
    world.say("dance")
    world.say("signal", name="go", payload=1)
    assert (await world.drive()).status is RunStatus.COMPLETED
    assert kinds(world).count("message_ignored") == 2


async def test_a_child_is_made_once_and_its_answer_is_the_steps() -> None:
    world = World(wait("kid", "run.child", goal="Play"), answer="{{kid}}")
    state = await world.drive()
    assert state.status is RunStatus.WAITING
    child = state.steps["kid"].wait
    assert child is not None
    assert world.family.spawned == [("kid", {"goal": "Play"})]
    world.family.answers[str(child.child_run_id)] = [1, 2]
    world.say(
        "child", step_id="kid", child_run_id=child.child_run_id, status="completed", code="OK"
    )
    state = await woken(world)
    assert state.finished is not None
    assert state.finished.answer == [1, 2]
    assert len(world.family.spawned) == 1


async def test_a_child_that_fails_fails_its_step_and_a_refused_one_too() -> None:
    world = World(wait("kid", "run.child", goal="Play", agent="nobody"))
    world.family.refusal = "no agent 'nobody'"
    state = await world.drive()
    assert state.finished is not None
    assert (state.finished.code, "nobody" in state.finished.message) == ("ERR_CHILD_FAILED", True)


async def test_a_run_may_not_start_what_it_does_itself() -> None:
    world = World(wait("kid", "run.child", goal="Do it"), goal="Do it")
    state = await world.drive()
    assert state.finished is not None
    assert state.finished.code == "ERR_CHILD_CYCLE"


async def test_cancelling_ends_what_is_under_way_and_the_children() -> None:
    world = World({"id": "a", "skill": "put"}, wait("kid", "run.child", goal="Play"))
    drive = world.begin()
    await world.settled()
    world.say("cancel", reason="enough")
    await world.settled()
    state = drive.result()
    assert state.status is RunStatus.CANCELLED
    assert world.cancelled == ["a"]
    assert len(world.family.cancelled) == 1
    outcome = state.steps["a"].outcome
    assert outcome is not None
    assert (outcome.code, outcome.effect) == ("ERR_CANCELLED", "unknown")


async def test_a_paused_run_begins_nothing_and_goes_on_when_it_is_told_to() -> None:
    world = World({"id": "a", "skill": "look"}, {"id": "b", "skill": "look", "depends_on": ["a"]})
    world.replies["b"] = [ok()]
    drive = world.begin()
    await world.settled()
    world.say("pause", reason="wait")
    await world.settled()
    await world.answer("a", ok())
    assert drive.result().status is RunStatus.PAUSED
    assert "b" not in world.calls
    world.say("continue")
    assert (await woken(world)).status is RunStatus.COMPLETED


async def test_an_emergency_stop_lets_nothing_begin() -> None:
    world = World({"id": "a", "skill": "put"})
    world.halted = "fire"
    state = await world.drive()
    assert state.parked is not None
    assert state.parked.reason == "emergency stop: fire"
    assert "a" not in world.calls


PROGRAM = """
async def agent(ctx, goal):
    first = await ctx.call("look", n=1)
    rest = await ctx.gather(ctx.call("look", n=2), ctx.call("look", n=3))
    word = await ctx.signal("go")
    try:
        await ctx.call("nothing")
    except Exception as error:
        word = [word, error.code]
    return [goal, first, *rest, word]
"""


def programmed(source: str = PROGRAM) -> World:
    digest = bytes_hash(source.encode())
    world = World(program={"name": "agent.py", "hash": digest, "entry": "agent"})
    world.family.sources[digest] = source
    return world


async def under_way(world: World, drive: asyncio.Task[Any]) -> str:
    """A step that is under way, as soon as there is one."""
    while not world.waiting:
        assert not drive.done(), drive.result()
        await world.breathe()
    return world.waiting[0]


async def test_a_program_is_driven_parked_and_re_executed() -> None:
    world = programmed()
    drive = world.begin()
    for outcome in (10, 20, 30):
        await world.answer(await under_way(world, drive), ok(outcome))
    assert (await drive).status is RunStatus.WAITING
    world.say("signal", name="go", payload="now")
    world.epoch += 1
    finished = (await world.begin()).finished
    assert finished is not None
    assert finished.answer == ["do it", 10, 20, 30, ["now", "ERR_SKILL_NOT_FOUND"]]
    assert len(world.calls) == 3, "nothing that has an outcome is called again"


async def test_a_program_that_does_something_else_is_refused_and_kept() -> None:
    world = programmed()
    drive = world.begin()
    await world.answer(await under_way(world, drive), ok(10))
    await under_way(world, drive)
    await world.later(0.1)
    await world.crash()
    (digest,) = world.family.sources
    world.family.sources[digest] = PROGRAM.replace("n=1", "n=7")
    finished = (await world.begin()).finished
    assert finished is not None
    assert (finished.status, finished.code) == ("quarantined", "ERR_PROGRAM_DIVERGED")
    assert "recorded" in finished.message
    assert "attempts" in finished.message
