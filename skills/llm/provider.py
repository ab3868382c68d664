"""The seam to language models: one request, one reply, text streamed meanwhile.

`ProviderConformance` in `tests/conformance/test_providers.py` is what every implementation passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, Protocol

from pydantic import Field

from ..contracts import Contract, EffectState, JsonObject, JsonValue, Usage
from ..skill import SkillFailure

OnText = Callable[[str], None]

CHARS_PER_TOKEN = 4
"""The estimate used where no provider has counted."""


class Message(Contract):
    """One turn. Content is a text, or blocks in the shape of the Messages API
    (`text`, `tool_use`, `tool_result`), kept as JSON so that they survive journals unchanged.
    """

    role: Literal["user", "assistant"]
    content: str | tuple[JsonObject, ...]


class Tool(Contract):
    """What the model may ask to have called. `input_schema` is JSON Schema."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str
    input_schema: JsonObject


class ModelRequest(Contract):
    """What to ask. `model` is the provider's own name for it, without a prefix."""

    model: str
    messages: tuple[Message, ...] = Field(min_length=1)
    system: str = ""
    tools: tuple[Tool, ...] = ()
    max_tokens: int = Field(default=4_096, ge=1)


class ModelReply(Contract):
    """What came back. `usage.input_tokens` includes the cached ones; `cache_write_tokens` of them
    were written to the provider's cache, which costs more.
    """

    content: tuple[JsonObject, ...]
    text: str
    stop_reason: str
    model: str
    usage: Usage
    cache_write_tokens: int = Field(default=0, ge=0)


class Provider(Protocol):
    """One way to reach models."""

    @property
    def name(self) -> str:
        """Short and stable: `anthropic`, `scripted`."""
        ...

    async def generate(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Ask once. `on_text` gets the reply's text piece by piece, before this returns.

        Raises `ModelFailure` with an ERR_LLM_* code, or one of ERR_TIMEOUT, ERR_CONNECTION_*,
        ERR_DNS_FAILURE, ERR_SSL. Cancelling stops the request.
        """
        ...


class ModelFailure(SkillFailure):
    """A model call that failed. `usage` is what was consumed before it did, where that is known."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        details: JsonObject | None = None,
        retry_after_ms: int | None = None,
        usage: Usage | None = None,
        cache_write_tokens: int = 0,
    ) -> None:
        super().__init__(
            code,
            message,
            details=details,
            retry_after_ms=retry_after_ms,
            effect=EffectState.NONE,
        )
        self.usage = usage
        self.cache_write_tokens = cache_write_tokens


def estimated_tokens(text: str) -> int:
    """About one token for four characters, at least one for any text."""
    return -(-len(text) // CHARS_PER_TOKEN)


def estimated_input_tokens(request: ModelRequest) -> int:
    """An estimate of what a request costs to read: system, messages and tools."""
    parts = [request.system, *(text_of(message) for message in request.messages)]
    parts += [f"{tool.name}{tool.description}{tool.input_schema}" for tool in request.tools]
    return sum(estimated_tokens(part) for part in parts)


def text_of(message: Message) -> str:
    """All text in a message, tool results included, blocks joined by blank lines."""
    if isinstance(message.content, str):
        return message.content
    return "\n\n".join(filter(None, (_block_text(block) for block in message.content)))


def _block_text(block: JsonValue) -> str:
    if isinstance(block, str):
        return block
    if isinstance(block, list):
        return "\n\n".join(filter(None, (_block_text(each) for each in block)))
    if not isinstance(block, dict):
        return ""
    if isinstance(text := block.get("text"), str):
        return text
    return _block_text(block.get("content"))
