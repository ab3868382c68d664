from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

from hypothesis import HealthCheck, given
from hypothesis import settings as tuned
from hypothesis import strategies as st
from pydantic import BaseModel
from tests.support.skill_calls import call_of, run

from aos.cluster.canonical import canonical
from aos.skills.builtin import BUILTIN, http_call
from aos.skills.contracts import (
    TAXONOMY,
    EffectRule,
    Effects,
    EffectState,
    JsonValue,
    StructuredOutcome,
    effects_of,
)
from aos.skills.skill import SkillContext, SkillFailure, skill


class Anything(BaseModel):
    value: int = 0


class Result(BaseModel):
    number: int = 0
    text: str = ""


class Script:
    raised: BaseException | None = None
    returned: object = None


async def act(request: Anything, context: SkillContext) -> Result:
    """Raise or return what hypothesis found."""
    if Script.raised is not None:
        raise Script.raised
    return cast("Result", Script.returned)


SKILLS = [skill(name=f"act.{effects}", effects=effects)(act) for effects in Effects]
WRITES = (Effects.IDEMPOTENT, Effects.UNSAFE)
FAILURES = sorted(code for code in TAXONOMY if code != "OK")

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
exceptions = st.one_of(
    st.builds(
        lambda kind, text: kind(text),
        st.sampled_from([ValueError, KeyError, OSError, SystemExit, GeneratorExit, Exception]),
        st.text(alphabet=st.characters()),
    ),
    st.builds(
        SkillFailure,
        st.sampled_from(FAILURES),
        st.text(alphabet=st.characters()),
        details=st.dictionaries(st.text(alphabet=st.characters()), json_values, max_size=2),
        retry_after_ms=st.none() | st.integers(),
        effect=st.none() | st.sampled_from(EffectState),
        retryable=st.none() | st.booleans(),
    ),
    st.just(asyncio.CancelledError()),
)
outputs = st.one_of(
    json_values,
    st.builds(Result, number=st.integers(), text=st.text()),
    st.builds(Result.model_construct, number=json_values, text=json_values),
    st.fixed_dictionaries({"number": st.integers(), "text": st.text()}),
    st.binary(),
    st.just(object()),
    st.sampled_from([Result, Anything(), {1, 2}, lambda: None]),
)


examples = tuned(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)  # the first draw builds tables, and other work may hold the processor


def settle(coroutine: Coroutine[Any, Any, StructuredOutcome]) -> StructuredOutcome:
    return asyncio.run(coroutine)


@examples
@given(st.sampled_from(SKILLS), exceptions)
def test_whatever_is_raised_ends_in_one_storable_outcome(chosen: Any, error: BaseException) -> None:
    Script.raised = error
    outcome = settle(run(chosen, {}))
    canonical(outcome.model_dump(mode="json"))
    assert not outcome.ok
    if chosen.descriptor.effects not in WRITES:
        assert outcome.effect is EffectState.NONE
    elif not isinstance(error, SkillFailure):
        assert outcome.effect is EffectState.UNKNOWN


@examples
@given(st.sampled_from(SKILLS), outputs)
def test_whatever_is_returned_ends_in_one_storable_outcome(chosen: Any, value: object) -> None:
    Script.raised, Script.returned = None, value
    outcome = settle(run(chosen, {}))
    canonical(outcome.model_dump(mode="json"))
    if outcome.ok:
        Result.model_validate(outcome.output)
    else:
        assert outcome.code in ("ERR_SCHEMA_MISMATCH", "ERR_SERIALIZATION_FAILED")
    done = chosen.descriptor.effects in WRITES
    assert outcome.effect is (EffectState.DONE if done else EffectState.NONE)


@examples
@given(st.sampled_from(BUILTIN), st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_whatever_is_asked_of_the_builtin_skills_is_validated(chosen: Any, params: Any) -> None:
    outcome = settle(run(chosen, params | {"\x00unknown": 1}))
    assert outcome.code == "ERR_VALIDATION_FAILED"


@examples
@given(json_values, st.booleans())
def test_effects_are_never_milder_than_the_input_that_will_be_validated(
    method: JsonValue, idempotent: bool
) -> None:
    params: dict[str, JsonValue] = {"url": "https://x.example", "idempotent": idempotent}
    params["method"] = method
    effects = effects_of(http_call.descriptor, params)
    if effects is Effects.READ:
        assert method in ("GET", "HEAD", "OPTIONS")
    elif effects is Effects.IDEMPOTENT:
        assert idempotent or method in ("PUT", "DELETE")
    else:
        assert effects is Effects.UNSAFE


@examples
@given(st.text())
def test_a_reference_matches_no_rule(name: str) -> None:
    params: dict[str, JsonValue] = {"url": "https://x.example", "method": "{{" + name + "}}"}
    assert effects_of(http_call.descriptor, params) is Effects.UNSAFE


def test_the_rules_of_http_call_in_their_order() -> None:
    def of(**params: JsonValue) -> Effects:
        return effects_of(http_call.descriptor, params)

    assert of() is Effects.READ  # the method's default is GET
    assert of(method="GET", idempotent=True) is Effects.READ
    assert of(method="POST") is Effects.UNSAFE
    assert of(method="POST", idempotent=True) is Effects.IDEMPOTENT
    assert of(method="PUT") is Effects.IDEMPOTENT
    assert of(method="PATCH") is Effects.UNSAFE
    assert of(method=None) is Effects.UNSAFE


@examples
@given(st.lists(st.sampled_from(Effects), min_size=1, max_size=4), json_values)
def test_the_first_matching_rule_decides(classes: list[Effects], value: JsonValue) -> None:
    rules = [EffectRule(field="value", values=(value,), effects=each) for each in classes]
    ruled = skill(effects=Effects.UNSAFE, effect_rules=rules)(act)
    assert effects_of(ruled.descriptor, call_of(ruled, {"value": value}).params) in (
        classes[0],
        Effects.UNSAFE,  # NaN equals nothing: conservative
    )
