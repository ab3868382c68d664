"""Claude through Anthropic's Messages API. Loads the SDK, so only skill processes import it.

One request, no retries (the run machine's are journaled), always streamed. System prompt and tools
carry a cache mark: they are what repeats between the rounds of a run.
"""

from __future__ import annotations

from typing import Any

import anthropic
import httpx2

from ..contracts import JsonObject
from .anthropic_errors import failure_of
from .anthropic_stream import Heard
from .provider import Message, ModelReply, ModelRequest, OnText, Tool

NAME = "anthropic"
CONNECT_TIMEOUT_S = 10.0
_CACHE_MARK: JsonObject = {"type": "ephemeral"}


class AnthropicProvider:
    """Asks Anthropic's API, or what speaks its protocol at `base_url`. Stateless between calls."""

    def __init__(self, api_key: str, base_url: str | None = None) -> None:
        self._api_key = api_key
        self._base_url = base_url

    @property
    def name(self) -> str:
        """Always `anthropic`."""
        return NAME

    async def generate(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Ask once, streaming. Raises `ModelFailure`; what was consumed is in its `usage`."""
        arguments = _arguments(request)
        heard = Heard(NAME, request.model)
        try:
            async with (
                self._client() as client,
                await client.messages.create(**arguments, stream=True) as stream,
            ):
                async for event in stream:
                    heard.take(event, on_text)
        except (anthropic.AnthropicError, httpx2.HTTPError, ValueError, IndexError) as error:
            raise failure_of(error, heard) from error
        return heard.reply()

    def _client(self) -> anthropic.AsyncAnthropic:
        # The deadline is the skill's: a model may think for minutes before its first byte.
        timeout = httpx2.Timeout(None, connect=CONNECT_TIMEOUT_S)
        return anthropic.AsyncAnthropic(
            api_key=self._api_key, base_url=self._base_url, max_retries=0, timeout=timeout
        )


def _arguments(request: ModelRequest) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": [_message(message) for message in request.messages],
    }
    if request.system:
        block: JsonObject = {"type": "text", "text": request.system, "cache_control": _CACHE_MARK}
        arguments["system"] = [block]
    if request.tools:
        tools = [_tool(tool) for tool in request.tools]
        tools[-1]["cache_control"] = _CACHE_MARK  # marks everything up to and including itself
        arguments["tools"] = tools
    return arguments


def _message(message: Message) -> dict[str, Any]:
    content = message.content if isinstance(message.content, str) else list(message.content)
    return {"role": message.role, "content": content}


def _tool(tool: Tool) -> dict[str, Any]:
    return {
        "name": tool.name,
        "description": tool.description,
        "input_schema": tool.input_schema,
    }
