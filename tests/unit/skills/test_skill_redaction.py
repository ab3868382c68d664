from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, JsonValue, PlainSerializer, SecretBytes, SecretStr
from tests.support.skill_behaviour import Ask
from tests.support.skill_calls import run, settings

from aos.skills.builtin import http_call, json_transform
from aos.skills.contracts import Effects, Reconciliation, Sensitive, StructuredOutcome
from aos.skills.redaction import MASK, Redactor, may_hold_secrets, redactor, secrets_in
from aos.skills.skill import (
    DidNotHappen,
    Happened,
    SkillContext,
    SkillFailure,
    skill,
)

KEY = "sk-ant-very-secret"
URL = "postgresql://aos:p%40ss-w0rd@db.example.com/aos"
AWS = "AKIA" + "IOSFODNN7EXAMPLE"
IDEMPOTENCY_KEY = "0190c0de-0000-7000-8000-000000000000/sk-step-with-1-bad-name/1"


def test_every_secret_setting_is_masked_however_it_is_spelt() -> None:
    redact = redactor(settings(anthropic_api_key=KEY, database_url=URL))
    assert redact(f"key={KEY}!") == f"key={MASK}!"
    assert redact(f"cannot connect to {URL}") == f"cannot connect to {MASK}"
    assert redact("password p%40ss-w0rd, decoded p@ss-w0rd") == f"password {MASK}, decoded {MASK}"


def test_secrets_with_quotes_are_masked_inside_literals_and_json() -> None:
    redact = redactor(settings(anthropic_api_key='ab"cd\\ef'))
    assert redact(repr('ab"cd\\ef')) == f"'{MASK}'"
    assert redact('{"k": "ab\\"cd\\\\ef"}') == f'{{"k": "{MASK}"}}'


def test_what_is_too_short_to_be_a_secret_is_left_alone() -> None:
    assert redactor(settings(anthropic_api_key="abc"))("abc") == "abc"


def test_without_secrets_nothing_changes() -> None:
    assert redactor(settings())("text") == "text"


def test_a_secret_that_is_a_part_of_the_mask_does_not_grow_it() -> None:
    redact = Redactor().knowing(["redacted"])
    assert redact(redact(f"{MASK} redacted")) == redact(f"{MASK} redacted") == f"{MASK} redacted"


@pytest.mark.parametrize(
    ("value", "redacted"),
    [
        ({"password": "hunter2"}, {"password": MASK}),
        ({"apiKey": "x", "X-Api-Key": "y"}, {"apiKey": MASK, "X-Api-Key": MASK}),
        ({"token": ["a", "b", 3]}, {"token": [MASK, MASK, 3]}),
        ({"secret": {"token": "a", "name": "b"}}, {"secret": {"token": MASK, "name": "b"}}),
        ({"deep": [{"access_token": "a"}]}, {"deep": [{"access_token": MASK}]}),
        ([f"id {AWS}"], [f"id {MASK}"]),
    ],
)
def test_values_under_the_names_of_credentials_are_masked(value: Any, redacted: Any) -> None:
    assert Redactor().json(value) == redacted


@pytest.mark.parametrize(
    "value",
    [
        {"idempotency_key": "k-1", "Idempotency-Key": "k-1"},
        {"next_page_token": "p2", "input_tokens": "3", "max_tokens": 4, "tokens": ["a"]},
        {"password": None, "secret": True, "token": 5, "api_key": ""},
        {"headers": {"Authorization": "Bearer {{login.token}}"}, "token": " {{login.token}} "},
        {"type": "object", "properties": {"password": {"type": "string"}}},
        {"token": IDEMPOTENCY_KEY},
    ],
)
def test_what_only_looks_like_one_is_not(value: JsonValue) -> None:
    assert Redactor(kept=IDEMPOTENCY_KEY).json(value) == value


def test_the_idempotency_key_stays_legible_whatever_it_looks_like() -> None:
    redact = redactor(settings(anthropic_api_key="bad-name"), kept=IDEMPOTENCY_KEY)
    text = f"{AWS} {IDEMPOTENCY_KEY} bad-name {AWS}"
    assert redact(text) == f"{MASK} {IDEMPOTENCY_KEY} {MASK} {MASK}"
    assert redact.known_in(text) == f"{AWS} {IDEMPOTENCY_KEY} {MASK} {AWS}"
    assert redact("sk-step-with-1-other-name") == MASK


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=12), inner),
    max_leaves=10,
)
bait = st.recursive(
    st.sampled_from([f"x{KEY}y", AWS, f"Bearer {'a1' * 10}", MASK, IDEMPOTENCY_KEY, "{{a.b}}"])
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(max_size=5) | st.sampled_from(["token", "apiKey", KEY]), inner)
    ),
    max_leaves=10,
)


@given(bait)
def test_no_json_value_keeps_a_secret(value: Any) -> None:
    redacted = redactor(settings(anthropic_api_key=KEY)).json(value)
    assert KEY not in repr(redacted)
    assert AWS not in repr(redacted)


@given(bait)
def test_redacting_again_changes_nothing(value: Any) -> None:
    redact = redactor(settings(anthropic_api_key=KEY), kept=IDEMPOTENCY_KEY)
    assert redact.json(redact.json(value)) == redact.json(value)


@given(json_values)
def test_ordinary_json_is_never_changed(value: Any) -> None:
    assert redactor(settings(anthropic_api_key=KEY), kept=IDEMPOTENCY_KEY).json(value) == value


class Door(BaseModel):
    code: Annotated[str, Sensitive]
    floor: int = 0


class House(BaseModel):
    alarm: SecretStr = SecretStr("alarm-code")
    seal: SecretBytes = SecretBytes(b"wax-and-seal")
    doors: list[Door] = Field(default_factory=list[Door])
    spare: list[Annotated[str, Sensitive]] = Field(default_factory=list[str])
    safe: Annotated[dict[str, str] | None, Sensitive] = None
    pin: Annotated[int, Sensitive, Field(ge=0)] = 0
    door: Annotated[Door | None, Sensitive] = None
    note: str = ""


FULL = House(
    doors=[Door(code="front-door"), Door(code="back-door")],
    spare=["under-the-mat"],
    safe={"left": "three-turns"},
    pin=1234,
    door=Door(code="side-door"),
)


class Careless(BaseModel):
    """Says its secret in ways that no mark can see."""

    code: Annotated[str, Sensitive, PlainSerializer(lambda value: value)] = "open-sesame"
    loud: str = "he said open-sesame"


class Plain(BaseModel):
    text: str
    more: list[Plain] | None = None
    values: JsonValue = None


def test_secrets_are_found_however_deep_they_lie() -> None:
    assert set(secrets_in({"all": [Happened(FULL)]})) == {
        "alarm-code", "wax-and-seal", "front-door", "back-door", "under-the-mat", "three-turns",
        "side-door",
    }  # fmt: skip


def test_models_that_cannot_hold_secrets_are_not_searched() -> None:
    searched = {House, Door, Careless}
    for model in (
        House,
        Door,
        Careless,
        Plain,
        Ask,
        http_call.input_model,
        json_transform.input_model,
    ):
        assert may_hold_secrets(model) is (model in searched)


def test_a_mark_changes_nothing_for_the_skill_and_shows_in_the_schema() -> None:
    assert House.model_validate_json(FULL.model_dump_json()).pin == 1234
    assert FULL.model_dump()["door"] == {"code": "side-door", "floor": 0}
    schema = House.model_json_schema()["properties"]
    assert {name for name, each in schema.items() if each.get("writeOnly")} == {
        "alarm", "seal", "safe", "pin", "door",
    }  # fmt: skip
    assert repr(Sensitive) == "Sensitive"


@skill(effects=Effects.READ)
async def enter(request: House, context: SkillContext) -> House:
    """Say what was said."""
    context.progress(f"opening {request.doors[0].code}")
    if request.note == "fail":
        raise SkillFailure("ERR_HTTP_403", f"no: {request.spare}", details={"tried": "front-door"})
    if request.note == "crash":
        raise ValueError(request.alarm.get_secret_value())
    return request.model_copy(update={"note": "the front-door is green"})


async def entered(note: str = "") -> StructuredOutcome:
    params = FULL.model_dump(mode="json") | {"alarm": "alarm-code", "seal": "wax-and-seal"}
    return await run(enter, params | {"note": note})


async def test_sensitive_fields_are_masked_where_they_stand_and_where_they_are_repeated() -> None:
    outcome = await entered()
    assert outcome.output == {
        "alarm": "*" * 10,
        "seal": "*" * 10,
        "doors": [{"code": MASK, "floor": 0}, {"code": MASK, "floor": 0}],
        "spare": [MASK],
        "safe": MASK,
        "pin": MASK,
        "door": MASK,
        "note": f"the {MASK} is green",
    }


@pytest.mark.parametrize("note", ["fail", "crash"])
async def test_sensitive_input_is_not_in_what_a_failure_says(note: str) -> None:
    outcome = await entered(note)
    assert outcome.code in ("ERR_HTTP_403", "ERR_INTERNAL")
    assert MASK in outcome.message
    said = outcome.model_dump_json()
    assert not [each for each in secrets_in(FULL) if each in said]


async def test_a_serializer_that_ignores_the_mark_is_caught_by_the_value() -> None:
    @skill(effects=Effects.READ)
    async def careless(request: Plain, context: SkillContext) -> Careless:
        """Tell."""
        return Careless()

    outcome = await run(careless, {"text": ""})
    assert outcome.output == {"code": MASK, "loud": f"he said {MASK}"}


async def test_the_output_of_a_reconciliation_is_redacted_like_that_of_the_call() -> None:
    @skill()
    async def build(request: Plain, context: SkillContext) -> House:
        """Build."""
        raise AssertionError

    @build.reconcile
    async def find(request: Plain, context: SkillContext) -> Happened[House] | DidNotHappen:
        return Happened(FULL)

    assert find is build.reconciler
    outcome = await run(build, {"text": ""}, mode="reconcile")
    output = Reconciliation.model_validate(outcome.output).output
    assert isinstance(output, dict)
    assert (output["pin"], output["door"]) == (MASK, MASK)


@skill(name="planner.careful", effects=Effects.PURE)
async def plan(request: Plain, context: SkillContext) -> Plain:
    """Plan a login."""
    return Plain(text=KEY, values={"password": "demo", "headers": {"X-Api-Key": AWS}})


async def test_a_plan_is_executed_as_it_was_made() -> None:
    outcome = await run(plan, {"text": ""}, using=settings(anthropic_api_key=KEY))
    assert isinstance(outcome.output, dict)
    assert outcome.output["values"] == {"password": "demo", "headers": {"X-Api-Key": AWS}}
    assert outcome.output["text"] == MASK
