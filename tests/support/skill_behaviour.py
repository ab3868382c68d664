"""Skills that do what a test says."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from pydantic import BaseModel, field_validator

from aos.skills.contracts import Effects, ResourceContract, StructuredOutcome
from aos.skills.registry import AnySkill
from aos.skills.skill import SkillContext, skill
from tests.support.skill_calls import run


class Ask(BaseModel):
    what: str = ""
    count: int = 0

    @field_validator("what")
    @classmethod
    def _no_traps(cls, value: str) -> str:
        if value == "exit in validator":
            raise SystemExit(3)
        return value


class Answer(BaseModel):
    text: str = ""


class Behaviour:
    """What the skills below do next; set by each test."""

    body: Any = None


async def behave(request: Ask, context: SkillContext) -> Answer:
    """Do what the test says."""
    return cast("Answer", await Behaviour.body(request, context))


SHORT = ResourceContract(timeout_s=0.02)
unsafe = skill(name="unsafe", effects=Effects.UNSAFE)(behave)
idempotent = skill(name="idempotent", effects=Effects.IDEMPOTENT)(behave)
reading = skill(name="reading", effects=Effects.READ)(behave)
hurried = {
    effects: skill(name=f"hurried.{effects}", effects=effects, resources=SHORT)(behave)
    for effects in Effects
}


async def does(skill: AnySkill, body: Any, **options: Any) -> StructuredOutcome:
    Behaviour.body = body
    return await run(skill, options.pop("params", {}), **options)


def raises(error: BaseException) -> Any:
    async def body(request: Ask, context: SkillContext) -> Answer:
        raise error

    return body


def returns(value: object) -> Any:
    async def body(request: Ask, context: SkillContext) -> object:
        return value

    return body


async def never(request: Ask, context: SkillContext) -> Answer:
    await asyncio.Event().wait()
    raise AssertionError
