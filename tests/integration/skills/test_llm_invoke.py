"""`llm_invoke` end to end: executor, router, provider, price."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from tests.support.anthropic_server import KEY, AnthropicServer, Turn
from tests.support.skill_calls import events_of, run, settings

from aos.cluster.settings import Settings
from aos.skills.builtin import llm_invoke
from aos.skills.contracts import EffectState, ResourceContract
from aos.skills.llm.scripted import NOTICE
from aos.skills.skill import skill


def using(server: AnthropicServer) -> Settings:
    return settings(anthropic_api_key=KEY, anthropic_base_url=server.url)


async def test_a_reply_is_streamed_priced_and_charged() -> None:
    turn = Turn(text="Forty-two, I think.", input_tokens=1_000, output_tokens=100)
    with AnthropicServer([turn]) as server:
        texts, outcome = await events_of(
            llm_invoke, {"prompt": "What is it?", "system": "Short."}, using=using(server)
        )
        assert server.requests[0].body["messages"] == [{"role": "user", "content": "What is it?"}]
    assert "".join(texts) == "Forty-two, I think."
    assert outcome.output == {
        "text": "Forty-two, I think.",
        "model": "claude-sonnet-5-5",
        "provider": "anthropic",
        "input_tokens": 1_000,
        "output_tokens": 100,
        "cached_tokens": 0,
        "finish_reason": "end_turn",
        "cost_microusd": 3_000,
        "priced": True,
    }
    assert (outcome.cost_microusd, outcome.effect) == (3_000, EffectState.NONE)
    assert outcome.usage[0].input_tokens == 1_000


@pytest.mark.parametrize(
    ("params", "fields", "asked"),
    [
        ({"model": "claude-opus-5-5"}, {"model": "claude-haiku-5-5"}, "claude-opus-5-5"),
        ({}, {"model": "claude-haiku-5-5"}, "claude-haiku-5-5"),
        ({}, {}, "claude-sonnet-5-5"),
    ],
)
async def test_the_nearest_choice_of_model_counts(
    params: dict[str, Any], fields: dict[str, Any], asked: str
) -> None:
    with AnthropicServer() as server:
        outcome = await run(llm_invoke, {"prompt": "?", **params}, using=using(server), **fields)
        assert server.requests[0].body["model"] == asked
    assert outcome.ok


async def test_a_conversation() -> None:
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "user", "content": "Bye"},
    ]
    with AnthropicServer() as server:
        await run(llm_invoke, {"messages": messages}, using=using(server))
        assert server.requests[0].body["messages"] == messages


@pytest.mark.parametrize(
    "params", [{}, {"prompt": "a", "messages": [{"role": "user", "content": "b"}]}]
)
async def test_one_of_prompt_and_messages(params: dict[str, Any]) -> None:
    assert (await run(llm_invoke, params)).code == "ERR_VALIDATION_FAILED"


async def test_a_rate_limit_says_how_long() -> None:
    turn = Turn(status=429, error_type="rate_limit_error", headers={"retry-after": "2"})
    with AnthropicServer([turn]) as server:
        outcome = await run(llm_invoke, {"prompt": "?"}, using=using(server))
    assert (outcome.code, outcome.retryable) == ("ERR_LLM_RATE_LIMITED", True)
    assert (outcome.retry_after_ms, outcome.cost_microusd) == (2_000, 0)


async def test_a_broken_stream_is_charged() -> None:
    with AnthropicServer([Turn(text="x" * 60, input_tokens=1_000, cut_after=1)]) as server:
        outcome = await run(llm_invoke, {"prompt": "?"}, using=using(server))
    assert (outcome.code, outcome.retryable) == ("ERR_LLM_STREAM_BROKEN", True)
    assert outcome.cost_microusd == 2_000 + 10


async def test_a_call_that_is_stopped_is_charged_by_estimate() -> None:
    hurried = skill(
        name="llm_hurried",
        effects=llm_invoke.descriptor.effects,
        resources=ResourceContract(timeout_s=0.5),
    )(llm_invoke.function)
    gate = threading.Event()
    with AnthropicServer([Turn(text="x" * 60, gate=gate, gate_after=5)]) as server:
        outcome = await run(hurried, {"prompt": "?" * 4_000}, using=using(server))
    assert (outcome.code, outcome.effect) == ("ERR_TIMEOUT", EffectState.NONE)
    assert outcome.usage[0].input_tokens == 1_000
    assert outcome.usage[0].output_tokens > 0
    assert outcome.cost_microusd >= 2_000


async def test_a_wrong_key_is_not_told() -> None:
    wrong = "sk-ant-somebody-elses"
    with AnthropicServer([]) as server:
        given = settings(anthropic_api_key=wrong, anthropic_base_url=server.url)
        outcome = await run(llm_invoke, {"prompt": "?"}, using=given)
    assert (outcome.code, outcome.blame) == ("ERR_LLM_AUTH", "operator")
    assert wrong not in outcome.model_dump_json()


async def test_without_a_key_the_scripted_model_answers_and_says_so() -> None:
    outcome = await run(llm_invoke, {"prompt": "Rain falls. Snow falls. Rain falls on Oslo."})
    assert outcome.ok
    found: Any = outcome.output
    assert found["text"].startswith(NOTICE)
    assert (found["provider"], found["cost_microusd"], found["priced"]) == ("scripted", 0, True)
