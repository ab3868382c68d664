"""Whatever a skill raises or returns ends in one outcome, classified by type."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic import BaseModel
from tests.support.skill_behaviour import Answer, Ask, does, raises, reading, returns, unsafe
from tests.support.skill_calls import run, settings

from aos.cluster.memory import under_limit
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


def raised_from(error: BaseException, cause: BaseException) -> BaseException:
    error.__cause__ = cause
    return error


def raised_while_handling(error: BaseException, first: BaseException) -> BaseException:
    error.__context__ = first
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        type("ArrayMemoryError", (MemoryError,), {})("Unable to allocate 8 GiB"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        ExceptionGroup("a task group", [ValueError(), ExceptionGroup("inner", [MemoryError()])]),
        raised_from(RuntimeError("cannot parse"), MemoryError()),
        raised_while_handling(KeyError("cleaning up"), MemoryError()),
    ],
    ids=["plain", "numpy's", "mmap's", "grouped", "cause", "context"],
)
async def test_memory_that_ran_out_is_told_by_type(error: BaseException) -> None:
    outcome = await does(unsafe, raises(error))
    assert (outcome.code, outcome.effect) == ("ERR_OUT_OF_MEMORY", EffectState.UNKNOWN)
    assert outcome.message == (
        "unsafe@1.0.0 needed more than 1024 MiB, the limit of skills that declare none: declare "
        "memory_mb in its ResourceContract, raise AOS_SKILL_MEMORY_MB, or give it less to do"
    )
    assert (await does(reading, raises(error))).effect is EffectState.NONE


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (
            raised_from(SkillFailure("ERR_VALIDATION_FAILED"), MemoryError()),
            "ERR_VALIDATION_FAILED",
        ),
        (ValueError("MemoryError"), "ERR_INTERNAL"),
        (OSError(errno.ENOSPC, "No space left on device"), "ERR_INTERNAL"),
    ],
)
async def test_what_only_sounds_like_it_or_is_the_skills_own_word_is_not(
    error: BaseException, code: str
) -> None:
    assert (await does(unsafe, raises(error))).code == code


async def test_a_chain_of_errors_that_bites_its_tail_is_read_once() -> None:
    first, second = ValueError(), KeyError()
    first.__context__, second.__context__ = second, first
    assert (await does(unsafe, raises(first))).code == "ERR_INTERNAL"


async def test_without_a_limit_the_machine_is_to_blame_for_what_is_not_there() -> None:
    free = settings(skill_memory_mb=0)
    outcome = await does(unsafe, raises(MemoryError()), using=free)
    assert outcome.message == "unsafe@1.0.0 found no memory, though no limit of AOS was set"


async def test_a_skill_runs_under_its_limit_and_nothing_else_does() -> None:
    async def body(request: Ask, context: SkillContext) -> Answer:
        return Answer(text=str(under_limit()))

    assert (await does(unsafe, body)).output == {"text": "True"}
    assert not under_limit()
    free = settings(skill_memory_mb=0)
    assert (await does(unsafe, body, using=free)).output == {"text": "False"}


async def test_a_traceback_is_bounded() -> None:
    outcome = await does(unsafe, raises(ValueError("x" * 1_000_000)))
    assert len(str(outcome.details["traceback"])) <= 8_001
    assert len(outcome.message) <= 500


def interrupted() -> None:
    """An event loop re-raises an interrupt out of itself: only a process of its own can show it."""
    asyncio.run(does(unsafe, raises(KeyboardInterrupt())))


def _paths() -> dict[str, str]:
    here = Path(__file__).parent
    given = os.environ.get("PYTHONPATH", "")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parents[2]), given])}


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
