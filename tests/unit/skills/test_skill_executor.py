"""The pipeline: what goes in, what is shown meanwhile, how it is stopped."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from typing import cast

import pytest
from tests.support.skill_behaviour import (
    Answer,
    Ask,
    Behaviour,
    does,
    hurried,
    never,
    reading,
    returns,
    unsafe,
)
from tests.support.skill_calls import call_of, events_of, settings

from aos.cluster import faults
from aos.skills.call import Progress, SkillEvent
from aos.skills.contracts import Effects, EffectState, StructuredOutcome, Usage
from aos.skills.executor import execute
from aos.skills.registry import Registry
from aos.skills.skill import SkillContext, SkillFailure

KEY = "sk-ant-not-to-be-seen"


async def test_success_carries_everything_that_was_reported() -> None:
    async def body(request: Ask, context: SkillContext) -> Answer:
        context.charge(Usage(provider="p", model="m", input_tokens=3), 40)
        context.charge(Usage(provider="p", model="m", output_tokens=2), 2)
        context.side_effect("row", "table/1", reversible=True)
        return Answer(text=f"{request.count} {context.idempotency_key} {context.seed}")

    outcome = await does(unsafe, body, params={"count": 4})
    assert (outcome.status, outcome.code, outcome.effect) == ("success", "OK", EffectState.DONE)
    assert outcome.output == {"text": "4 run-1/s1/1 7"}
    assert (outcome.cost_microusd, len(outcome.usage)) == (42, 2)
    assert outcome.side_effects[0].target == "table/1"
    assert (outcome.skill, outcome.version) == ("unsafe", "1.0.0")
    assert outcome.duration_ms >= 0


async def test_reading_changes_nothing() -> None:
    outcome = await does(reading, returns(Answer()))
    assert outcome.effect is EffectState.NONE


async def test_progress_arrives_while_the_skill_runs() -> None:
    seen = asyncio.Event()

    async def body(request: Ask, context: SkillContext) -> Answer:
        context.progress("one")
        await seen.wait()
        context.progress("two")
        return Answer()

    Behaviour.body = body
    events: list[SkillEvent] = []
    async for event in execute(call_of(reading, {}), Registry([reading]), settings()):
        events.append(event)
        seen.set()
    assert events[:2] == [Progress(step_id="s1", text="one"), Progress(step_id="s1", text="two")]
    assert len(events) == 3


async def test_progress_from_another_thread_arrives() -> None:
    async def body(request: Ask, context: SkillContext) -> Answer:
        thread = threading.Thread(target=context.progress, args=("from a thread",))
        thread.start()
        await asyncio.to_thread(thread.join)
        return Answer()

    Behaviour.body = body
    texts, _ = await events_of(reading, {})
    assert texts == ["from a thread"]


async def test_a_slow_reader_gets_the_latest_progress() -> None:
    async def body(request: Ask, context: SkillContext) -> Answer:
        for number in range(5_000):
            context.progress(str(number))
        return Answer()

    Behaviour.body = body
    texts, _ = await events_of(reading, {})
    assert (len(texts), texts[-1]) == (1_000, "4999")


async def test_wrong_input_names_the_field_and_not_the_value() -> None:
    outcome = await does(unsafe, never, params={"count": "many secrets"})
    assert (outcome.code, outcome.effect) == ("ERR_VALIDATION_FAILED", EffectState.NONE)
    assert outcome.details["errors"][0]["field"] == "count"
    assert "many secrets" not in outcome.model_dump_json()


async def test_a_validator_that_exits_is_contained() -> None:
    outcome = await does(unsafe, never, params={"what": "exit in validator"})
    assert (outcome.code, outcome.effect) == ("ERR_INTERNAL", EffectState.NONE)


async def test_an_unknown_skill_is_an_outcome() -> None:
    events = [each async for each in execute(call_of("nope", {}), Registry(), settings())]
    assert [cast("StructuredOutcome", each).code for each in events] == ["ERR_SKILL_NOT_FOUND"]


@pytest.mark.parametrize(
    ("effects", "effect"),
    [
        (Effects.PURE, EffectState.NONE),
        (Effects.READ, EffectState.NONE),
        (Effects.IDEMPOTENT, EffectState.UNKNOWN),
        (Effects.UNSAFE, EffectState.UNKNOWN),
    ],
)
async def test_a_timeout_leaves_writes_unknown(effects: Effects, effect: EffectState) -> None:
    outcome = await does(hurried[effects], never)
    assert (outcome.code, outcome.effect, outcome.retryable) == ("ERR_TIMEOUT", effect, True)
    assert outcome.details == {"timeout_s": 0.02}


async def test_what_was_charged_before_a_timeout_is_charged() -> None:
    async def body(request: Ask, context: SkillContext) -> Answer:
        context.charge(Usage(provider="p", model="m"), 5)
        await asyncio.Event().wait()
        raise AssertionError

    assert (await does(hurried[Effects.READ], body)).cost_microusd == 5


async def test_a_skill_that_ignores_its_deadline_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aos.skills.attempt._GRACE_S", 0.01)
    release = asyncio.Event()
    ended = asyncio.Event()

    async def stubborn(request: Ask, context: SkillContext) -> Answer:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        ended.set()
        return Answer()

    outcome = await does(hurried[Effects.UNSAFE], stubborn)
    assert (outcome.code, outcome.effect) == ("ERR_TIMEOUT", EffectState.UNKNOWN)
    release.set()
    await ended.wait()


async def test_a_plain_dict_of_the_right_shape_is_accepted() -> None:
    assert (await does(unsafe, returns({"text": "x"}))).output == {"text": "x"}


async def test_secrets_never_leave() -> None:
    async def body(request: Ask, context: SkillContext) -> Answer:
        context.progress(f"using {KEY}")
        context.side_effect("call", f"https://x/?key={KEY}")
        if request.what == "fail":
            raise SkillFailure("ERR_HTTP_401", f"bad {KEY}", details={KEY: [KEY]})
        if request.what == "crash":
            raise ValueError(KEY)
        return Answer(text=KEY)

    Behaviour.body = body
    for what in ("", "fail", "crash"):
        texts, outcome = await events_of(
            unsafe, {"what": what}, using=settings(anthropic_api_key=KEY)
        )
        assert KEY not in "".join(texts) + outcome.model_dump_json()
        assert "[redacted]" in outcome.model_dump_json()


async def test_closing_the_iterator_cancels_the_skill() -> None:
    cancelled = asyncio.Event()

    async def body(request: Ask, context: SkillContext) -> Answer:
        context.progress("started")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    Behaviour.body = body
    events = cast(
        "AsyncGenerator[SkillEvent]", execute(call_of(unsafe, {}), Registry([unsafe]), settings())
    )
    assert await anext(events) == Progress(step_id="s1", text="started")
    await events.aclose()
    assert cancelled.is_set()


async def test_cancelling_the_reader_cancels_the_skill_and_passes() -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def body(request: Ask, context: SkillContext) -> Answer:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        raise AssertionError

    async def read(events: AsyncIterator[SkillEvent]) -> None:
        async for _ in events:
            raise AssertionError("nothing comes after a cancellation")

    Behaviour.body = body
    reader = asyncio.create_task(read(execute(call_of(unsafe, {}), Registry([unsafe]), settings())))
    await started.wait()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert cancelled.is_set()


@pytest.mark.parametrize("point", ["skill.started", "skill.finished"])
async def test_fault_points_stand_around_the_skill(
    point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    passed: list[str] = []

    def at(name: str) -> None:
        passed.append(name)
        if name == point:
            raise faults.FaultInjected(name)

    monkeypatch.setattr(faults, "point", at)
    outcome = await does(unsafe, returns(Answer()))
    assert (outcome.code, outcome.effect) == ("ERR_INTERNAL", EffectState.UNKNOWN)
    assert passed[-1] == point
