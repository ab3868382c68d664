"""A provider without a model: deterministic, offline, free, and it says so.

Asked anything, it answers with an extract of what it was given: the sentences that carry most of
the text's own vocabulary, under the headings they stood under. It writes nothing that is not in
the request. Given a script instead, it replays that, turn by turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from ..contracts import Contract, JsonObject, Usage
from .extract import summarise
from .provider import (
    CHARS_PER_TOKEN,
    ModelFailure,
    ModelReply,
    ModelRequest,
    OnText,
    estimated_input_tokens,
    estimated_tokens,
    text_of,
)

NAME = "scripted"
MODEL = "scripted-extract-1"
NOTICE = "[Scripted model: sentences extracted from the request, no language model was asked.]"


class ToolUse(Contract):
    """A tool call that a scripted turn makes."""

    name: str
    input: JsonObject = Field(default_factory=dict)


class Turn(Contract):
    """One scripted reply, or with `code` one failure of the taxonomy."""

    text: str = ""
    tools: tuple[ToolUse, ...] = ()
    code: str | None = None
    retry_after_ms: int | None = None


class ScriptedProvider:
    """Extracts, or with `script` replays: a request that holds n assistant messages gets turn n.

    That makes a script independent of processes and retries. A request past the end of the script
    raises `ModelFailure` ERR_LLM_INVALID_REQUEST.
    """

    def __init__(self, script: Sequence[Turn] | None = None) -> None:
        self._script = None if script is None else tuple(script)

    @property
    def name(self) -> str:
        """Always `scripted`."""
        return NAME

    async def generate(self, request: ModelRequest, on_text: OnText) -> ModelReply:
        """Answer at once, streaming line by line."""
        turn = self._turn(request)
        if turn.code is not None:
            raise ModelFailure(turn.code, turn.text, retry_after_ms=turn.retry_after_ms)
        text = turn.text[: request.max_tokens * CHARS_PER_TOKEN]
        for line in text.splitlines(keepends=True):
            on_text(line)
        blocks = _blocks(request, turn, text)
        return ModelReply(
            content=blocks,
            text=text,
            stop_reason=_stop_reason(turn, text),
            model=request.model,
            usage=Usage(
                provider=NAME,
                model=request.model,
                input_tokens=estimated_input_tokens(request),
                output_tokens=sum(estimated_tokens(str(block)) for block in blocks[1:])
                + estimated_tokens(text),
            ),
        )

    def _turn(self, request: ModelRequest) -> Turn:
        if self._script is None:
            return Turn(text=_answer(request))
        position = sum(message.role == "assistant" for message in request.messages)
        if position >= len(self._script):
            raise ModelFailure(
                "ERR_LLM_INVALID_REQUEST",
                f"the script has {len(self._script)} turns, this request asks for another",
                details={"reason": "script_exhausted"},
            )
        return self._script[position]


def _stop_reason(turn: Turn, text: str) -> str:
    if len(text) < len(turn.text):
        return "max_tokens"
    return "tool_use" if turn.tools else "end_turn"


def _blocks(request: ModelRequest, turn: Turn, text: str) -> tuple[JsonObject, ...]:
    blocks: list[JsonObject] = [{"type": "text", "text": text}] if text or not turn.tools else []
    if len(text) < len(turn.text):  # a reply that is cut off never reaches its tool calls
        return tuple(blocks)
    position = len(request.messages)
    for index, use in enumerate(turn.tools):
        identity = f"toolu_scripted_{position}_{index}"
        blocks.append({"type": "tool_use", "id": identity, "name": use.name, "input": use.input})
    return tuple(blocks)


def _answer(request: ModelRequest) -> str:
    """The notice, then an extract of everything the last user turn holds."""
    given = text_of(request.messages[-1])
    room = request.max_tokens * CHARS_PER_TOKEN - len(NOTICE) - 2
    summary = summarise(given, max_chars=max(room, 0))
    return f"{NOTICE}\n\n{summary}" if summary else NOTICE
