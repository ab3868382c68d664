"""With a clock that never stands still: every event is a little later than its decision."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.driving import World
from tests.support.runs import RUN, ok, transient

from aos.actors.replay.mock import mock
from aos.actors.replay.verify import verify
from aos.actors.runs.submission import CODE_VERSION
from aos.cluster.clock import SystemClock
from aos.skills.call import SkillCall
from aos.skills.contracts import Effects, SkillDescriptor, StructuredOutcome


class SlowWorld(World):
    """Each call takes a few milliseconds of real time, and fails at first every third time."""

    async def __call__(
        self, call: SkillCall, descriptor: SkillDescriptor, effects: Effects
    ) -> StructuredOutcome:
        await asyncio.sleep(call.seed % 7 / 1_000)
        if call.step_id != "plan" and call.attempt == 1 and call.seed % 3 == 0:
            return transient(retry_after_ms=call.seed % 20)
        return await super().__call__(call, descriptor, effects)


@pytest.mark.parametrize("seed", range(12))
async def test_a_run_in_real_time_verifies_and_replays_alike(seed: int) -> None:
    calls: list[dict[str, Any]] = [
        {"id": f"s{n}", "skill": ("look", "pay", "put", "think")[n % 4],
         "depends_on": [f"s{n - 3}"] if n > 3 else []}
        for n in range(10)
    ]  # fmt: skip
    waits: list[dict[str, Any]] = [
        {"id": "t", "skill": "wait.timer", "params": {"seconds": seed / 200}},
        {"id": "go", "skill": "wait.signal", "params": {"name": "go", "timeout_s": 0.02},
         "on_error": "continue"},
        {"id": "bad", "skill": "wait.timer", "params": {"nonsense": 1},
         "on_error": "abort" if seed % 5 == 4 else "continue"},
    ]  # fmt: skip
    world = SlowWorld(
        *calls, *waits, answer="{{s9}}", at=datetime.now(UTC), seed=seed * 1_000_003,
        permissions=("money:spend",), code_version=CODE_VERSION,
    )  # fmt: skip
    world.clock = SystemClock()  # type: ignore[assignment]
    world.replies |= {each["id"]: [ok(n)] * 3 for n, each in enumerate(calls)}
    async with asyncio.timeout(30):
        drive = world.begin()
        await asyncio.sleep(0.02)
        world.say("signal", name="go")
        if seed % 3 == 2:
            world.say("pause")
            world.say("continue")
        await drive
    assert world.state.finished is not None
    assert verify(RUN, world.rows).divergence is None
    again = mock(RUN, world.events)
    assert again.same, again.difference
