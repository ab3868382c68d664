from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import BaseModel
from tests.support.skill_calls import settings

from aos.skills.builtin import http_call
from aos.skills.contracts import (
    EffectRule,
    Effects,
    EffectState,
    ResourceContract,
    SideEffect,
    Usage,
)
from aos.skills.skill import InvalidSkill, Skill, SkillContext, SkillFailure, skill


class Greeting(BaseModel):
    name: str = "you"


class Greeted(BaseModel):
    text: str


@skill(
    version="1.2.0",
    effects=Effects.PURE,
    permissions=("greet",),
    resources=ResourceContract(cpus=2),
    failure_modes=("ERR_TIMEOUT",),
)
async def greet(input: Greeting, context: SkillContext) -> Greeted:  # noqa: A002 - as users write it
    """Greet somebody.

    More that planners do not read.
    """
    context.progress(f"greeting {input.name}")
    return Greeted(text=f"hello {input.name} of {context.run_id}")


def test_a_decorated_function_becomes_a_descriptor() -> None:
    descriptor = greet.descriptor
    assert (descriptor.ref, descriptor.summary) == ("greet@1.2.0", "Greet somebody.")
    assert (descriptor.effects, descriptor.permissions) == (Effects.PURE, ("greet",))
    assert descriptor.resources.cpus == 2
    assert descriptor.input_schema["properties"] == {
        "name": {"default": "you", "title": "Name", "type": "string"}
    }
    assert descriptor.output_schema["required"] == ["text"]
    assert (greet.input_model, greet.output_model) == (Greeting, Greeted)
    assert greet.__doc__ is not None
    assert greet.__name__ == "greet"


async def test_direct_calls_keep_working() -> None:
    assert (await greet(Greeting(name="Ada"))).text == "hello Ada of local"


async def test_a_context_made_by_hand_collects_what_the_skill_reports() -> None:
    said: list[str] = []
    context = SkillContext(settings=settings(), run_id="r9", on_progress=said.append)
    assert (await greet(Greeting(), context)).text == "hello you of r9"
    context.charge(Usage(provider="p", model="m"), 12)
    context.side_effect("email", "ada@example.com")
    assert said == ["greeting you"]
    assert [charge.cost_microusd for charge in context.charges] == [12]
    assert context.side_effects == [SideEffect(type="email", target="ada@example.com")]
    with pytest.raises(ValueError, match="cannot be -1 millionths"):
        context.charge(Usage(provider="p", model="m"), -1)


def test_each_direct_call_has_an_idempotency_key_of_its_own() -> None:
    keys = {SkillContext(settings=settings()).idempotency_key for _ in range(3)}
    assert len(keys) == 3


def test_what_is_not_declared_is_the_careful_choice() -> None:
    @skill()
    async def undeclared(input: Greeting, context: SkillContext) -> Greeted:  # noqa: A002
        """Do something."""
        return Greeted(text="")

    assert undeclared.descriptor.effects is Effects.UNSAFE
    assert undeclared.descriptor.version == "1.0.0"


def test_skills_are_pickled_by_name() -> None:
    assert pickle.loads(pickle.dumps(http_call)) is http_call  # noqa: S301 - our own bytes


def test_a_name_may_be_given() -> None:
    decorated = skill(name="shop.greet")(greet.function)
    assert decorated.descriptor.name == "shop.greet"
    assert repr(decorated) == "<skill shop.greet@1.0.0>"


def synchronous(input: Greeting, context: SkillContext) -> Greeted:  # noqa: A002
    """Summary."""
    raise AssertionError


async def no_context(input: Greeting) -> Greeted:  # noqa: A002
    """Summary."""
    raise AssertionError


async def keyword_only(input: Greeting, *, context: SkillContext) -> Greeted:  # noqa: A002
    """Summary."""
    raise AssertionError


async def untyped(input, context: SkillContext) -> Greeted:  # noqa: A002
    """Summary."""
    raise AssertionError


async def not_a_model(input: dict[str, str], context: SkillContext) -> Greeted:  # noqa: A002
    """Summary."""
    raise AssertionError


async def wrong_context(input: Greeting, context: Greeting) -> Greeted:  # noqa: A002
    """Summary."""
    raise AssertionError


async def returns_nothing(input: Greeting, context: SkillContext) -> None:  # noqa: A002
    """Summary."""


async def unresolvable(input: Nowhere, context: SkillContext) -> Greeted:  # noqa: A002, F821
    """Summary."""
    raise AssertionError


async def undocumented(input: Greeting, context: SkillContext) -> Greeted:  # noqa: A002
    raise AssertionError


async def Shouting(input: Greeting, context: SkillContext) -> Greeted:  # noqa: A002, N802
    """Summary."""
    raise AssertionError


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (synchronous, "must be an `async def`"),
        (no_context, "exactly two arguments"),
        (keyword_only, "exactly two arguments"),
        (untyped, "the first argument of untyped must be annotated with a pydantic model"),
        (not_a_model, "must be annotated with a pydantic model"),
        (wrong_context, "must be annotated SkillContext"),
        (returns_nothing, "the return value of returns_nothing"),
        (unresolvable, "'Nowhere' is not defined"),
        (undocumented, "needs a docstring"),
        (Shouting, "name"),
    ],
)
def test_wrong_signatures_are_refused(function: Callable[..., Any], complaint: str) -> None:
    with pytest.raises(InvalidSkill, match=complaint) as caught:
        skill()(function)
    assert caught.value.code == "AOS-1201"


@pytest.mark.parametrize(
    ("declaration", "complaint"),
    [
        ({"version": "1.0"}, "version"),
        ({"failure_modes": ("ERR_MOON",)}, "ERR_MOON"),
        (
            {"effect_rules": (EffectRule(field="nme", values=(1,), effects=Effects.READ),)},
            "'nme', which is not an input",
        ),
    ],
)
def test_impossible_declarations_are_refused(declaration: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidSkill, match=complaint):
        skill(**declaration)(greet.function)


def test_a_failure_speaks_the_taxonomy() -> None:
    failure = SkillFailure("ERR_HTTP_429", retry_after_ms=5, effect=EffectState.NONE)
    assert failure.message == "The server limits the rate; Retry-After is honoured."
    assert str(failure).startswith("ERR_HTTP_429: ")
    for code in ("ERR_MOON", "OK"):
        with pytest.raises(ValueError, match="not a failure code"):
            SkillFailure(code)


def test_builtin_skills_say_what_they_may_fail_with() -> None:
    assert isinstance(http_call, Skill)
    assert "ERR_BLOCKED_ADDRESS" in http_call.descriptor.failure_modes
