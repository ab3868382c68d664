from __future__ import annotations

import pytest
from tests.support.skill_calls import run, settings

from aos.skills.builtin import llm_invoke
from aos.skills.llm import scripted
from aos.skills.llm.provider import ModelFailure
from aos.skills.llm.router import choose

KEY = "sk-ant-test-0123456789"


@pytest.mark.parametrize(
    ("model", "provider", "name"),
    [
        (None, "anthropic", "claude-sonnet-5-5"),
        ("anthropic:", "anthropic", "claude-sonnet-5-5"),
        ("anthropic:claude-opus-5-5", "anthropic", "claude-opus-5-5"),
        ("claude-haiku-5-5", "anthropic", "claude-haiku-5-5"),
        ("scripted", "scripted", scripted.MODEL),
        ("scripted:", "scripted", scripted.MODEL),
        ("scripted:tiny", "scripted", "tiny"),
        (scripted.MODEL, "scripted", scripted.MODEL),
    ],
)
def test_with_a_key(model: str | None, provider: str, name: str) -> None:
    chosen, its_name = choose(settings(anthropic_api_key=KEY), model)
    assert (chosen.name, its_name) == (provider, name)


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_the_scripted_model_is_the_default(key: str | None) -> None:
    chosen, name = choose(settings(anthropic_api_key=key))
    assert (chosen.name, name) == ("scripted", scripted.MODEL)


@pytest.mark.parametrize("model", ["claude-opus-5-5", "anthropic:claude-opus-5-5", "gpt-9"])
@pytest.mark.parametrize("key", [None, ""])
def test_a_model_that_cannot_be_reached_is_never_replaced(model: str, key: str | None) -> None:
    with pytest.raises(ModelFailure) as caught:
        choose(settings(anthropic_api_key=key), model)
    assert caught.value.code == "ERR_LLM_NOT_CONFIGURED"


def test_an_unknown_provider() -> None:
    with pytest.raises(ModelFailure, match="no provider 'openai'") as caught:
        choose(settings(), "openai:gpt-9")
    assert caught.value.code == "ERR_LLM_MODEL_NOT_FOUND"


async def test_the_skill_says_so_too() -> None:
    outcome = await run(llm_invoke, {"prompt": "hi", "model": "claude-opus-5-5"})
    assert (outcome.code, outcome.retryable) == ("ERR_LLM_NOT_CONFIGURED", False)
    assert outcome.blame == "operator"
