"""The Anthropic provider against a real server that speaks the protocol."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.anthropic_server import KEY, AnthropicServer, Turn
from tests.support.raw_server import RawServer

from aos.skills.builtin import llm_invoke
from aos.skills.contracts import TAXONOMY, Usage
from aos.skills.llm.anthropic import AnthropicProvider
from aos.skills.llm.provider import Message, ModelFailure, ModelReply, ModelRequest, Tool

WEATHER = Tool(
    name="weather",
    description="Today's weather.",
    input_schema={"type": "object", "properties": {"city": {"type": "string"}}},
)
MODEL = "claude-sonnet-5-5"


def request(**fields: Any) -> ModelRequest:
    defaults = {"model": MODEL, "messages": (Message(role="user", content="Hello?"),)}
    return ModelRequest(**(defaults | fields))


@pytest.fixture
def server() -> Iterator[AnthropicServer]:
    with AnthropicServer() as running:
        yield running


async def ask(*turns: Turn, heard: list[str] | None = None, **fields: Any) -> ModelReply:
    with AnthropicServer(turns) as server:
        provider = AnthropicProvider(KEY, server.url)
        on_text = (heard if heard is not None else []).append
        return await provider.generate(request(**fields), on_text)


async def failure_of(*turns: Turn, **fields: Any) -> ModelFailure:
    with pytest.raises(ModelFailure) as caught:
        await ask(*turns, **fields)
    assert caught.value.code in llm_invoke.descriptor.failure_modes
    return caught.value


async def test_text_is_streamed_and_counted() -> None:
    heard: list[str] = []
    turn = Turn(
        text="Hello from a scripted Claude.",
        input_tokens=5,
        cache_read_tokens=100,
        cache_write_tokens=20,
        output_tokens=9,
    )
    reply = await ask(turn, heard=heard)
    assert reply.text == "".join(heard) == "Hello from a scripted Claude."
    assert len(heard) > 1
    assert reply.content == ({"type": "text", "text": reply.text},)
    assert reply.stop_reason == "end_turn"
    assert reply.usage == Usage(
        provider="anthropic", model=MODEL, input_tokens=125, output_tokens=9, cached_tokens=100
    )
    assert reply.cache_write_tokens == 20


async def test_what_is_sent(server: AnthropicServer) -> None:
    await AnthropicProvider(KEY, server.url).generate(
        request(system="Be brief.", tools=(WEATHER, WEATHER), max_tokens=77), lambda text: None
    )
    body = server.requests[0].body
    mark = {"type": "ephemeral"}
    assert body["system"] == [{"type": "text", "text": "Be brief.", "cache_control": mark}]
    assert [tool.get("cache_control") for tool in body["tools"]] == [None, mark]
    assert (body["max_tokens"], body["stream"], body["model"]) == (77, True, MODEL)
    assert {"temperature", "top_p", "top_k"}.isdisjoint(body)


async def test_a_tool_loop(server: AnthropicServer) -> None:
    turns = [
        Turn(text="Let me look.", tools=(("weather", {"city": "Oslo"}), ("weather", {}))),
        Turn(text="Rain."),
    ]
    with AnthropicServer(turns) as scripted:
        provider = AnthropicProvider(KEY, scripted.url)
        first = await provider.generate(request(tools=(WEATHER,)), lambda text: None)
        assert first.stop_reason == "tool_use"
        assert [block["type"] for block in first.content] == ["text", "tool_use", "tool_use"]
        assert [block.get("input") for block in first.content] == [None, {"city": "Oslo"}, {}]
        result = {"type": "tool_result", "tool_use_id": "toolu_0000", "content": "rain"}
        conversation = (
            Message(role="user", content="Weather?"),
            Message(role="assistant", content=first.content),
            Message(role="user", content=(result,)),
        )
        second = await provider.generate(
            request(messages=conversation, tools=(WEATHER,)), lambda text: None
        )
        assert second.text == "Rain."
        assert scripted.requests[1].body["messages"][1]["content"] == list(first.content)


@pytest.mark.parametrize(
    ("status", "kind", "code", "retryable"),
    [
        (400, "invalid_request_error", "ERR_LLM_INVALID_REQUEST", False),
        (401, "authentication_error", "ERR_LLM_AUTH", False),
        (402, "billing_error", "ERR_LLM_AUTH", False),
        (403, "permission_error", "ERR_LLM_AUTH", False),
        (404, "not_found_error", "ERR_LLM_MODEL_NOT_FOUND", False),
        (408, "timeout_error", "ERR_TIMEOUT", True),
        (409, "conflict_error", "ERR_LLM_INVALID_REQUEST", False),
        (413, "request_too_large", "ERR_LLM_CONTEXT_LENGTH", False),
        (429, "rate_limit_error", "ERR_LLM_RATE_LIMITED", True),
        (500, "api_error", "ERR_LLM_API_ERROR", True),
        (503, "api_error", "ERR_LLM_API_ERROR", True),
        (529, "overloaded_error", "ERR_LLM_OVERLOADED", True),
    ],
)
async def test_refusals(status: int, kind: str, code: str, retryable: bool) -> None:
    failure = await failure_of(
        Turn(status=status, error_type=kind, error_message="why", headers={"retry-after": "7"})
    )
    assert (failure.code, TAXONOMY[failure.code].retryable) == (code, retryable)
    assert failure.retry_after_ms == 7_000
    assert failure.details["status_code"] == status
    assert (failure.details["reason"], failure.details["type"]) == ("why", kind)
    assert failure.usage is None


async def test_one_attempt_is_one_request() -> None:
    with AnthropicServer([Turn(status=529), Turn(text="late")]) as server:
        with pytest.raises(ModelFailure):
            await AnthropicProvider(KEY, server.url).generate(request(), lambda text: None)
        assert len(server.requests) == 1


async def test_a_prompt_that_is_too_long_is_named() -> None:
    said = "prompt is too long: 210000 tokens > 200000 maximum"
    failure = await failure_of(
        Turn(status=400, error_type="invalid_request_error", error_message=said)
    )
    assert (failure.code, failure.details["reason"]) == ("ERR_LLM_CONTEXT_LENGTH", said)


async def test_a_wrong_key(server: AnthropicServer) -> None:
    with pytest.raises(ModelFailure) as caught:
        await AnthropicProvider("sk-wrong", server.url).generate(request(), lambda text: None)
    assert caught.value.code == "ERR_LLM_AUTH"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("overloaded_error", "ERR_LLM_OVERLOADED"),
        ("rate_limit_error", "ERR_LLM_RATE_LIMITED"),
        ("api_error", "ERR_LLM_API_ERROR"),
        ("news_to_us", "ERR_LLM_API_ERROR"),
        ("invalid_request_error", "ERR_LLM_INVALID_REQUEST"),
    ],
)
async def test_an_error_inside_the_stream(kind: str, code: str) -> None:
    failure = await failure_of(Turn(text="Half an answ", error_event=kind))
    assert failure.code == code
    assert failure.usage == Usage(
        provider="anthropic", model=MODEL, input_tokens=12, output_tokens=3
    )


@pytest.mark.parametrize("cut_after", [1, 4, 6])
async def test_a_stream_that_breaks_off_still_counts(cut_after: int) -> None:
    heard: list[str] = []
    failure = await failure_of(Turn(text="x" * 60, cut_after=cut_after), heard=heard)
    assert failure.code == "ERR_LLM_STREAM_BROKEN"
    assert failure.usage is not None
    assert failure.usage.input_tokens == 12
    assert failure.usage.output_tokens == max(1, -(-len("".join(heard)) // 4))


async def test_a_stream_that_ends_too_early_is_broken() -> None:
    """The transfer is complete, the message is not."""
    failure = await failure_of(Turn(text="abc", garbage_after=4))
    assert failure.code == "ERR_LLM_STREAM_BROKEN"


async def test_a_refusal_of_the_content() -> None:
    failure = await failure_of(
        Turn(
            text="I",
            stop_reason="refusal",
            stop_details={"type": "refusal", "category": "bio", "explanation": None},
        )
    )
    assert (failure.code, failure.details["category"]) == ("ERR_LLM_CONTENT_FILTER", "bio")
    assert failure.usage is not None
    assert failure.usage.output_tokens == 7


async def test_nobody_listens() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(ModelFailure) as caught:
        await AnthropicProvider(KEY, f"http://127.0.0.1:{port}").generate(
            request(), lambda text: None
        )
    assert caught.value.code == "ERR_CONNECTION_REFUSED"


async def test_a_server_that_hangs_up() -> None:
    async with RawServer(b"") as silent:
        with pytest.raises(ModelFailure) as caught:
            await AnthropicProvider(KEY, silent.url("")).generate(request(), lambda text: None)
    assert (caught.value.code, caught.value.usage) == ("ERR_CONNECTION_LOST", None)


async def test_the_server_also_runs_as_a_process_of_its_own(tmp_path: Path) -> None:
    script = tmp_path / "turns.json"
    script.write_text('[{"text": "From afar.", "tools": [["weather", {"city": "Oslo"}]]}]')
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.anthropic_server", str(script)),
        cwd=Path(__file__).parents[3],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = (await process.stdout.readline()).decode().strip()
    reply = await AnthropicProvider(KEY, url).generate(request(), lambda text: None)
    assert (reply.text, reply.content[1]["input"]) == ("From afar.", {"city": "Oslo"})
    await process.communicate(b"")  # closes its standard input
    assert process.returncode == 0


async def test_a_host_that_does_not_resolve() -> None:
    with pytest.raises(ModelFailure) as caught:
        await AnthropicProvider(KEY, "http://no-such-host.invalid").generate(
            request(), lambda text: None
        )
    assert caught.value.code == "ERR_DNS_FAILURE"


async def test_tls_that_is_none(server: AnthropicServer) -> None:
    with pytest.raises(ModelFailure) as caught:
        await AnthropicProvider(KEY, server.url.replace("http:", "https:")).generate(
            request(), lambda text: None
        )
    assert caught.value.code == "ERR_SSL"


async def test_cancelling_stops_the_request() -> None:
    gate = threading.Event()
    with AnthropicServer([Turn(text="late", gate=gate)]) as server:
        provider = AnthropicProvider(KEY, server.url)
        task = asyncio.create_task(provider.generate(request(), lambda text: None))
        await asyncio.to_thread(server.answering.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
