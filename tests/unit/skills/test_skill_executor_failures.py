"""Whatever a skill raises or returns ends in one outcome, classified by type."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel
from tests.support.skill_behaviour import Answer, Ask, does, raises, reading, returns, unsafe
from tests.support.skill_calls import run

from aos.skills.contracts import Effects, EffectState
from aos.skills.registry import AnySkill
from aos.skills.skill import SkillContext, SkillFailure, skill


async def test_a_failure_keeps_what_the_skill_says() -> None:
    failure = SkillFailure(
        "ERR_HTTP_429",
        "slow down",
        details={"status_code": 429},
        retry_after_ms=1500,
        effect=EffectState.NONE,
        retryable=False,
    )
    outcome = await does(unsafe, raises(failure))
    assert (outcome.code, outcome.message) == ("ERR_HTTP_429", "slow down")
    assert (outcome.retry_after_ms, outcome.retryable) == (1500, False)
    assert (outcome.effect, outcome.details) == (EffectState.NONE, {"status_code": 429})
    assert outcome.blame == "upstream"


@pytest.mark.parametrize(
    ("chosen", "effect"), [(unsafe, EffectState.UNKNOWN), (reading, EffectState.NONE)]
)
async def test_a_failure_that_says_nothing_of_its_effect(
    chosen: AnySkill, effect: EffectState
) -> None:
    outcome = await does(chosen, raises(SkillFailure("ERR_HTTP_503")))
    assert (outcome.effect, outcome.retryable) == (effect, True)


async def test_a_failure_with_details_that_are_not_json_is_a_bug() -> None:
    failure = SkillFailure("ERR_HTTP_503", details={"when": cast("Any", object())})
    assert (await does(unsafe, raises(failure))).code == "ERR_INTERNAL"


class HalfMade(SkillFailure):
    def __init__(self) -> None:
        pass


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even this")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad"),
        SystemExit(3),
        GeneratorExit(),
        StopAsyncIteration(),
        asyncio.CancelledError(),
        BaseExceptionGroup("many", [KeyboardInterrupt()]),
        HalfMade(),
        Unprintable(),
        RecursionError("deep"),
        MemoryError(),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates"),
        ValueError("\ud800\0"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_skill_raises_is_an_outcome(error: BaseException) -> None:
    outcome = await does(unsafe, raises(error))
    assert (outcome.code, outcome.retryable) == ("ERR_INTERNAL", False)
    assert outcome.effect is EffectState.UNKNOWN
    assert "traceback" in outcome.details
    assert (await does(reading, raises(error))).effect is EffectState.NONE


async def test_a_traceback_is_bounded() -> None:
    outcome = await does(unsafe, raises(ValueError("x" * 1_000_000)))
    assert len(str(outcome.details["traceback"])) <= 8_001
    assert len(outcome.message) <= 500


def interrupted() -> None:
    """An event loop re-raises an interrupt out of itself: only a process of its own can show it."""
    asyncio.run(does(unsafe, raises(KeyboardInterrupt())))


def _paths() -> dict[str, str]:
    here = Path(__file__).parent
    return {**os.environ, "PYTHONPATH": f"{here}{os.pathsep}{here.parents[2]}"}


async def test_an_interrupt_passes() -> None:
    program = "from test_skill_executor_failures import interrupted; interrupted()"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=_paths(), stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert said.decode().rstrip().endswith("KeyboardInterrupt")


@pytest.mark.parametrize(
    "value", [object(), {"text": object()}, Answer.model_construct(text=cast("Any", object()))]
)
async def test_an_output_that_is_not_json(value: object) -> None:
    outcome = await does(unsafe, returns(value))
    assert (outcome.code, outcome.effect) == ("ERR_SERIALIZATION_FAILED", EffectState.DONE)


@pytest.mark.parametrize(
    "value",
    [None, "text", 3, {"text": 3}, [], Ask(), Answer.model_construct(text=cast("Any", ["x"]))],
)
async def test_an_output_of_another_shape(value: object) -> None:
    outcome = await does(unsafe, returns(value))
    assert (outcome.code, outcome.effect, outcome.output) == (
        "ERR_SCHEMA_MISMATCH",
        EffectState.DONE,
        None,
    )


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else 1


async def test_an_output_nested_too_deeply() -> None:
    deep = skill(name="deep", effects=Effects.UNSAFE)(deeply)
    outcome = await run(deep, {})
    assert (outcome.code, outcome.effect) == ("ERR_SERIALIZATION_FAILED", EffectState.DONE)


class Tree(BaseModel):
    tree: Any = None


async def deeply(request: Ask, context: SkillContext) -> Tree:
    """Return a deep tree."""
    return Tree(tree=nested(300))
