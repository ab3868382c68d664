from __future__ import annotations

from pydantic import BaseModel
from tests.support.skill_calls import call_of, run

from aos.skills.call import SkillCall
from aos.skills.contracts import (
    Effects,
    EffectState,
    SkillDescriptor,
    StructuredOutcome,
    Usage,
)
from aos.skills.guards import DEFAULT_GUARDS, Guard, OutputSizeGuard, PermissionGuard
from aos.skills.skill import SkillContext, skill


class Size(BaseModel):
    size: int = 1


class Text(BaseModel):
    text: str


@skill(effects=Effects.UNSAFE, permissions=("disk:write", "network:outbound"))
async def produce(request: Size, context: SkillContext) -> Text:
    """Produce text."""
    context.charge(Usage(provider="p", model="m"), 3)
    return Text(text="x" * request.size)


class Recorder(Guard):
    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def before(self, call: SkillCall, descriptor: SkillDescriptor) -> StructuredOutcome | None:
        self.log.append(f"before {self.name}")
        return None

    def after(
        self, call: SkillCall, descriptor: SkillDescriptor, outcome: StructuredOutcome
    ) -> StructuredOutcome:
        self.log.append(f"after {self.name}: {outcome.code}")
        return outcome


class Broken(Guard):
    def before(self, call: SkillCall, descriptor: SkillDescriptor) -> StructuredOutcome | None:
        raise RuntimeError("guard broke")


class BrokenAfter(Guard):
    def after(
        self, call: SkillCall, descriptor: SkillDescriptor, outcome: StructuredOutcome
    ) -> StructuredOutcome:
        raise SystemExit(1)


PERMITTED = {"permissions": ("network:outbound", "disk:write")}


def test_the_default_list_is_visible() -> None:
    assert [type(guard) for guard in DEFAULT_GUARDS] == [PermissionGuard, OutputSizeGuard]


def test_the_base_guard_lets_everything_through() -> None:
    call = call_of(produce, {})
    outcome = StructuredOutcome.success({})
    assert Guard().before(call, produce.descriptor) is None
    assert Guard().after(call, produce.descriptor, outcome) is outcome


async def test_a_missing_permission_is_named_and_nothing_runs() -> None:
    outcome = await run(produce, {}, permissions=("network:outbound",))
    assert outcome.code == "ERR_PERMISSION_DENIED"
    assert outcome.details == {"missing": ["disk:write"]}
    assert (outcome.effect, outcome.usage, outcome.retryable) == (EffectState.NONE, (), False)


async def test_a_call_with_all_permissions_runs() -> None:
    assert (await run(produce, {}, **PERMITTED)).output == {"text": "x"}


async def test_too_large_an_output_is_refused_but_what_happened_has_happened() -> None:
    outcome = await run(produce, {"size": 10 * 1024 * 1024}, **PERMITTED)
    assert (outcome.code, outcome.output) == ("ERR_RESPONSE_TOO_LARGE", None)
    assert outcome.details["max_bytes"] == 10 * 1024 * 1024
    assert (outcome.effect, outcome.cost_microusd, outcome.retryable) == (
        EffectState.DONE,
        3,
        False,
    )


async def test_guards_nest() -> None:
    log: list[str] = []
    await run(produce, {}, guards=(Recorder("a", log), Recorder("b", log)))
    assert log == ["before a", "before b", "after b: OK", "after a: OK"]


async def test_the_first_refusal_ends_it() -> None:
    log: list[str] = []
    outcome = await run(produce, {}, guards=(PermissionGuard(), Recorder("b", log)), permissions=())
    assert (outcome.code, log) == ("ERR_PERMISSION_DENIED", [])


async def test_a_guard_that_raises_lets_nothing_through() -> None:
    outcome = await run(produce, {}, guards=(Broken(),))
    assert (outcome.code, outcome.effect, outcome.output) == (
        "ERR_INTERNAL",
        EffectState.NONE,
        None,
    )


async def test_a_guard_that_raises_afterwards_keeps_what_is_known_of_the_effect() -> None:
    outcome = await run(produce, {}, guards=(BrokenAfter(),))
    assert (outcome.code, outcome.effect, outcome.cost_microusd) == (
        "ERR_INTERNAL",
        EffectState.DONE,
        3,
    )
