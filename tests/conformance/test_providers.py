"""What every model provider does alike; a new one is added to `PROVIDERS` and passes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from tests.support.anthropic_server import KEY, AnthropicServer
from tests.support.anthropic_server import Turn as ServerTurn

from aos.cluster.canonical import canonical
from aos.skills.contracts import TAXONOMY
from aos.skills.llm.anthropic import AnthropicProvider
from aos.skills.llm.provider import (
    Message,
    ModelFailure,
    ModelReply,
    ModelRequest,
    Provider,
    Tool,
)
from aos.skills.llm.scripted import ScriptedProvider, ToolUse, Turn

TOOL = Tool(name="look_up", description="Look something up.", input_schema={"type": "object"})
STATUS_OF = {"ERR_LLM_RATE_LIMITED": 429, "ERR_LLM_OVERLOADED": 529, "ERR_LLM_AUTH": 401}

Make = Callable[[Sequence[Turn]], AbstractContextManager[Provider]]


@contextmanager
def scripted(turns: Sequence[Turn]) -> Any:
    yield ScriptedProvider(turns)


@contextmanager
def anthropic(turns: Sequence[Turn]) -> Any:
    script = [
        ServerTurn(
            text=turn.text,
            tools=tuple((use.name, dict(use.input)) for use in turn.tools),
            status=STATUS_OF[turn.code] if turn.code else 200,
            headers=_headers(turn),
        )
        for turn in turns
    ]
    with AnthropicServer(script) as server:
        yield AnthropicProvider(KEY, server.url)


def _headers(turn: Turn) -> dict[str, str]:
    return {} if turn.retry_after_ms is None else {"retry-after": str(turn.retry_after_ms // 1000)}


PROVIDERS = {"scripted": scripted, "anthropic": anthropic}


@pytest.fixture(params=PROVIDERS)
def make(request: pytest.FixtureRequest) -> Make:
    found: Make = PROVIDERS[request.param]
    return found


def asking(*messages: Message, **fields: Any) -> ModelRequest:
    defaults: dict[str, Any] = {
        "model": "claude-sonnet-5-5",
        "messages": messages or (Message(role="user", content="Hello there?"),),
    }
    return ModelRequest(**(defaults | fields))


def ignore(text: str) -> None:
    pass


async def test_it_has_a_short_stable_name(make: Make) -> None:
    with make([]) as provider:
        assert provider.name in PROVIDERS


async def test_the_text_streamed_is_the_text_replied(make: Make) -> None:
    heard: list[str] = []
    with make([Turn(text="A first line.\nAnd a second, longer one.\n")]) as provider:
        reply = await provider.generate(asking(), heard.append)
    assert "".join(heard) == reply.text == "A first line.\nAnd a second, longer one.\n"
    assert reply.stop_reason == "end_turn"


async def test_the_reply_is_json_that_can_be_journaled(make: Make) -> None:
    with make([Turn(text="Hi", tools=(ToolUse(name="look_up", input={"q": [1]}),))]) as provider:
        reply = await provider.generate(asking(tools=(TOOL,)), ignore)
    canonical(reply.model_dump(mode="json"))
    assert ModelReply.model_validate_json(reply.model_dump_json()) == reply


async def test_usage_names_who_was_asked_and_counts(make: Make) -> None:
    with make([Turn(text="Hi")]) as provider:
        usage = (await provider.generate(asking(), ignore)).usage
        assert (usage.provider, usage.model) == (provider.name, "claude-sonnet-5-5")
    assert usage.input_tokens > 0
    assert usage.output_tokens > 0
    assert usage.cached_tokens <= usage.input_tokens


async def test_tool_calls_come_as_blocks_with_ids_of_their_own(make: Make) -> None:
    uses = (ToolUse(name="look_up", input={"q": "a"}), ToolUse(name="look_up"))
    with make([Turn(text="Looking.", tools=uses)]) as provider:
        reply = await provider.generate(asking(tools=(TOOL,)), ignore)
    assert reply.stop_reason == "tool_use"
    assert reply.text == "Looking."
    blocks = [block for block in reply.content if block["type"] == "tool_use"]
    assert [(block["name"], block["input"]) for block in blocks] == [
        ("look_up", {"q": "a"}),
        ("look_up", {}),
    ]
    assert len({str(block["id"]) for block in blocks}) == 2


async def test_a_tool_call_may_come_without_text(make: Make) -> None:
    heard: list[str] = []
    with make([Turn(tools=(ToolUse(name="look_up"),))]) as provider:
        reply = await provider.generate(asking(tools=(TOOL,)), heard.append)
    assert (reply.text, heard) == ("", [])
    assert [block["type"] for block in reply.content] == ["tool_use"]


async def test_its_blocks_go_back_into_the_conversation(make: Make) -> None:
    turns = [Turn(text="Looking.", tools=(ToolUse(name="look_up"),)), Turn(text="Found.")]
    question = Message(role="user", content="Find it.")
    with make(turns) as provider:
        first = await provider.generate(asking(question, tools=(TOOL,)), ignore)
        results = tuple(
            {"type": "tool_result", "tool_use_id": block["id"], "content": "it"}
            for block in first.content
            if block["type"] == "tool_use"
        )
        conversation = (
            question,
            Message(role="assistant", content=first.content),
            Message(role="user", content=results),
        )
        second = await provider.generate(asking(*conversation, tools=(TOOL,)), ignore)
    assert second.text == "Found."


@pytest.mark.parametrize("code", STATUS_OF)
async def test_failures_are_in_the_words_of_the_taxonomy(make: Make, code: str) -> None:
    turns = [Turn(code=code, retry_after_ms=3_000)]
    with make(turns) as provider, pytest.raises(ModelFailure) as caught:
        await provider.generate(asking(), ignore)
    assert (caught.value.code, caught.value.retry_after_ms) == (code, 3_000)
    assert code in TAXONOMY
    canonical(caught.value.details)


async def test_many_may_ask_at_once(make: Make) -> None:
    with make([Turn(text="same")] * 8) as provider:
        replies = await asyncio.gather(*(provider.generate(asking(), ignore) for _ in range(8)))
    assert {reply.text for reply in replies} == {"same"}
