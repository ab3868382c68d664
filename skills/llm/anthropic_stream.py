"""Folds the events of one streamed message into a reply."""

from __future__ import annotations

import json
from typing import Any

from anthropic.types import MessageDeltaUsage, RawMessageStreamEvent
from anthropic.types import Usage as MessageUsage

from ..contracts import JsonObject, Usage
from .provider import ModelFailure, ModelReply, OnText, estimated_tokens


class Heard:
    """What the stream has said so far. Blocks are kept as the JSON that may go back to the API."""

    def __init__(self, provider: str, model: str) -> None:
        self.provider = provider
        self.model = model
        self.text = ""
        self.started = False
        self.cache_write_tokens = 0
        self._blocks: list[JsonObject] = []
        self._arguments: dict[int, str] = {}
        self._complete = False
        self._stop_reason = ""
        self._stop_category: str | None = None
        self._fresh_tokens = 0
        self._cached_tokens = 0
        self._output_tokens = 0

    def take(self, event: RawMessageStreamEvent, on_text: OnText) -> None:
        """Fold one event in. Raises `ValueError` or `IndexError` where it makes no sense."""
        if event.type == "message_start":
            self.started = True
            self.model = event.message.model
            self._count(event.message.usage)
        elif event.type == "content_block_start":
            self._blocks.append(event.content_block.model_dump(mode="json", exclude_none=True))
        elif event.type == "content_block_delta":
            self._extend(event.index, event.delta, on_text)
        elif event.type == "content_block_stop":
            if event.index in self._arguments:
                self._blocks[event.index]["input"] = json.loads(
                    self._arguments[event.index] or "{}"
                )
        elif event.type == "message_delta":
            self._stop_reason = event.delta.stop_reason or ""
            details = event.delta.stop_details
            self._stop_category = details.category if details else None
            self._count(event.usage)
        else:
            self._complete = True

    def usage(self) -> Usage | None:
        """What was consumed; None if the provider never began. Output that a broken stream did
        not get to count is estimated from the text that arrived.
        """
        if not self.started:
            return None
        arrived = estimated_tokens(self.text + "".join(self._arguments.values()))
        return Usage(
            provider=self.provider,
            model=self.model,
            input_tokens=self._fresh_tokens + self._cached_tokens + self.cache_write_tokens,
            output_tokens=self._output_tokens
            if self._complete
            else max(self._output_tokens, arrived),
            cached_tokens=self._cached_tokens,
        )

    def reply(self) -> ModelReply:
        """The message. Raises `ModelFailure` ERR_LLM_STREAM_BROKEN or ERR_LLM_CONTENT_FILTER."""
        usage = self.usage()
        if usage is None or not self._complete:
            raise self.failure("ERR_LLM_STREAM_BROKEN", "the stream ended before the message did")
        if self._stop_reason == "refusal":
            raise self.failure("ERR_LLM_CONTENT_FILTER", category=self._stop_category)
        return ModelReply(
            content=tuple(self._blocks),
            text=self.text,
            stop_reason=self._stop_reason,
            model=self.model,
            usage=usage,
            cache_write_tokens=self.cache_write_tokens,
        )

    def failure(self, code: str, message: str = "", **details: str | None) -> ModelFailure:
        """A failure that carries what was consumed."""
        return ModelFailure(
            code,
            message,
            details={"model": self.model, **details},
            usage=self.usage(),
            cache_write_tokens=self.cache_write_tokens,
        )

    def _extend(self, index: int, delta: Any, on_text: OnText) -> None:
        block = self._blocks[index]
        if delta.type == "text_delta":
            block["text"] = f"{block.get('text', '')}{delta.text}"
            self.text += delta.text
            on_text(delta.text)
        elif delta.type == "input_json_delta":
            self._arguments[index] = self._arguments.get(index, "") + delta.partial_json
        elif delta.type == "thinking_delta":
            block["thinking"] = f"{block.get('thinking', '')}{delta.thinking}"
        elif delta.type == "signature_delta":
            block["signature"] = delta.signature

    def _count(self, usage: MessageUsage | MessageDeltaUsage) -> None:
        """Counts are cumulative: later ones replace earlier ones, absent ones change nothing."""
        self._output_tokens = usage.output_tokens
        if usage.input_tokens is not None:
            self._fresh_tokens = usage.input_tokens
        if usage.cache_read_input_tokens is not None:
            self._cached_tokens = usage.cache_read_input_tokens
        if usage.cache_creation_input_tokens is not None:
            self.cache_write_tokens = usage.cache_creation_input_tokens
