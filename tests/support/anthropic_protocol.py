"""Anthropic's Messages API as data: what it refuses, and how a turn looks on the wire."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

_PIECE = 12
_REMOVED = ("temperature", "top_p", "top_k")


@dataclass(frozen=True)
class Turn:
    """One answer. `tools` are (name, input) pairs; token counts are reported as given.

    `cut_after` closes the connection after so many events, `error_event` ends the stream with an
    error of that type, `gate` holds the answer back (after `gate_after` events) until it is set.
    """

    text: str = ""
    tools: tuple[tuple[str, dict[str, Any]], ...] = ()
    stop_reason: str | None = None
    stop_details: dict[str, Any] | None = None
    input_tokens: int = 12
    output_tokens: int = 7
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    status: int = 200
    error_type: str = ""
    error_message: str = "scripted"
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    garbage_after: int | None = None
    error_event: str | None = None
    gate: threading.Event | None = None
    gate_after: int = 0


def refusal(
    path: str, headers: dict[str, str], body: dict[str, Any], key: str
) -> tuple[int, str, str] | None:
    """What the real API refuses, as far as our requests could get it wrong."""
    if path.partition("?")[0] != "/v1/messages":
        return 404, "not_found_error", path
    # SDKs before 2.12 sent the key in a header of its own.
    if headers.get("authorization") != f"Bearer {key}" and headers.get("x-api-key") != key:
        return 401, "authentication_error", "invalid x-api-key"
    if "anthropic-version" not in headers:
        return 400, "invalid_request_error", "anthropic-version: header is required"
    if missing := [name for name in ("model", "max_tokens", "messages") if not body.get(name)]:
        return 400, "invalid_request_error", f"{missing[0]}: Field required"
    if removed := [name for name in _REMOVED if name in body]:
        return 400, "invalid_request_error", f"{removed[0]}: Extra inputs are not permitted"
    if body["messages"][0].get("role") != "user":
        return 400, "invalid_request_error", "messages: first message must use the user role"
    return None


def _blocks(turn: Turn) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = [{"type": "text", "text": turn.text}] if turn.text else []
    for index, (name, arguments) in enumerate(turn.tools):
        blocks.append(
            {"type": "tool_use", "id": f"toolu_{index:04}", "name": name, "input": arguments}
        )
    return blocks


def _usage(turn: Turn, output_tokens: int) -> dict[str, int]:
    return {
        "input_tokens": turn.input_tokens,
        "cache_read_input_tokens": turn.cache_read_tokens,
        "cache_creation_input_tokens": turn.cache_write_tokens,
        "output_tokens": output_tokens,
    }


def _stop_reason(turn: Turn) -> str:
    return turn.stop_reason or ("tool_use" if turn.tools else "end_turn")


def message(turn: Turn, model: str) -> dict[str, Any]:
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": _blocks(turn),
        "stop_reason": _stop_reason(turn),
        "stop_sequence": None,
        "stop_details": turn.stop_details,
        "usage": _usage(turn, turn.output_tokens),
    }


def events(turn: Turn, model: str) -> Iterator[dict[str, Any]]:
    opening = message(turn, model) | {"content": [], "stop_reason": None, "stop_details": None}
    yield {"type": "message_start", "message": opening | {"usage": _usage(turn, 1)}}
    yield {"type": "ping"}
    for index, block in enumerate(_blocks(turn)):
        yield from _block_events(index, block)
    if turn.error_event is not None:
        error = {"type": turn.error_event, "message": turn.error_message}
        yield {"type": "error", "error": error}
        return
    yield {
        "type": "message_delta",
        "delta": {
            "stop_reason": _stop_reason(turn),
            "stop_sequence": None,
            "stop_details": turn.stop_details,
        },
        "usage": {"output_tokens": turn.output_tokens},
    }
    yield {"type": "message_stop"}


def _block_events(index: int, block: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A block as it is streamed: opened empty, filled in pieces, closed."""
    tool = block["type"] == "tool_use"
    empty = block | ({"input": {}} if tool else {"text": ""})
    whole = json.dumps(block["input"]) if tool else block["text"]
    yield {"type": "content_block_start", "index": index, "content_block": empty}
    for start in range(0, len(whole), _PIECE):
        piece = whole[start : start + _PIECE]
        delta = (
            {"type": "input_json_delta", "partial_json": piece}
            if tool
            else {"type": "text_delta", "text": piece}
        )
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}
