from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.skills.llm.extract import summarise
from aos.skills.llm.provider import Message, ModelFailure, ModelReply, ModelRequest, Tool
from aos.skills.llm.scripted import NOTICE, ScriptedProvider, ToolUse, Turn

PAGE = """Summarise what this says about supervisors:

# Actors

Actors are stateful workers. I like pears. An actor keeps its state in one process.

# Supervisors

Supervisors restart actors that fail. A supervisor keeps one open call per actor. Lunch is at noon.
When the process of an actor dies, its supervisor sees it at once.
"""


def request(*contents: str, max_tokens: int = 1000) -> ModelRequest:
    roles = ("user", "assistant")
    messages = [Message(role=roles[n % 2], content=text) for n, text in enumerate(contents)]
    return ModelRequest(model="m", messages=tuple(messages), max_tokens=max_tokens)


async def reply_to(*contents: str, max_tokens: int = 1000) -> ModelReply:
    return await ScriptedProvider().generate(
        request(*contents, max_tokens=max_tokens), lambda text: None
    )


async def test_it_extracts_what_the_text_is_about_and_says_what_it_is() -> None:
    reply = await reply_to(PAGE)
    assert reply.text == (
        f"{NOTICE}\n\n"
        "Supervisors:\n"
        "- Supervisors restart actors that fail.\n"
        "- A supervisor keeps one open call per actor.\n"
        "- When the process of an actor dies, its supervisor sees it at once."
    )
    assert "pears" not in reply.text
    assert (reply.stop_reason, reply.usage.provider) == ("end_turn", "scripted")


async def test_another_question_about_the_same_page_gets_another_answer() -> None:
    about_state = await reply_to(PAGE.replace("about supervisors", "about state and process"))
    assert "An actor keeps its state in one process." in about_state.text


async def test_it_answers_the_last_turn() -> None:
    reply = await reply_to("Cats purr. Cats sleep.", "Noted.", "Dogs bark. Dogs run.")
    assert "Dogs" in reply.text
    assert "Cats" not in reply.text


async def test_tool_results_are_read_too() -> None:
    result = {
        "type": "tool_result",
        "tool_use_id": "t",
        "content": [{"type": "text", "text": "Rain falls in Oslo. Nothing else is known."}],
    }
    asked = ModelRequest(model="m", messages=(Message(role="user", content=(result,)),))
    reply = await ScriptedProvider().generate(asked, lambda text: None)
    assert "Rain falls in Oslo." in reply.text


async def test_tokens_are_a_quarter_of_the_characters() -> None:
    reply = await reply_to("x" * 400)
    assert reply.usage.input_tokens == 100
    assert reply.usage.output_tokens == -(-len(reply.text) // 4)


async def test_max_tokens_hold() -> None:
    reply = await reply_to(PAGE, max_tokens=40)
    assert len(reply.text) <= 160
    assert reply.stop_reason == "end_turn"
    cut = await ScriptedProvider([Turn(text="word " * 40, tools=(ToolUse(name="t"),))]).generate(
        request("hi", max_tokens=3), lambda text: None
    )
    assert (cut.text, cut.stop_reason, len(cut.content)) == ("word word wo", "max_tokens", 1)


async def test_a_script_is_replayed_by_position_in_the_conversation() -> None:
    provider = ScriptedProvider([Turn(text="first"), Turn(text="second")])
    for _ in range(2):  # asking again, as a retry does, gets the same turn
        assert (await provider.generate(request("a"), lambda text: None)).text == "first"
    assert (await provider.generate(request("a", "first", "b"), lambda t: None)).text == "second"
    with pytest.raises(ModelFailure) as caught:
        await provider.generate(request("a", "b", "c", "d", "e"), lambda text: None)
    assert caught.value.details == {"reason": "script_exhausted"}


async def test_a_scripted_failure() -> None:
    provider = ScriptedProvider([Turn(code="ERR_LLM_RATE_LIMITED", retry_after_ms=20)])
    with pytest.raises(ModelFailure) as caught:
        await provider.generate(request("a"), lambda text: None)
    assert (caught.value.code, caught.value.retry_after_ms) == ("ERR_LLM_RATE_LIMITED", 20)


async def test_without_a_script_tools_are_never_called() -> None:
    asked = request(PAGE).model_copy(
        update={"tools": (Tool(name="t", description="d", input_schema={"type": "object"}),)}
    )
    reply = await ScriptedProvider().generate(asked, lambda text: None)
    assert [block["type"] for block in reply.content] == ["text"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("the of and", "the of and"),
        ("One sentence only.", "- One sentence only."),
        ("Title\n\nBody is here.", "Title:\n- Body is here."),
        ("- apples grow\n- apples fall\n- rain", "- apples grow\n- apples fall"),
    ],
)
def test_small_texts(text: str, expected: str) -> None:
    assert summarise(text, max_chars=500) == expected


@given(st.text(max_size=400), st.integers(min_value=0, max_value=300))
def test_a_summary_is_bounded_and_repeatable(text: str, room: int) -> None:
    summary = summarise(text, max_chars=room)
    assert len(summary) <= room
    assert summary == summarise(text, max_chars=room)


@given(st.lists(st.sampled_from(["Alpha beats beta. ", "Beta is slow! ", "## Gamma\n", "\n"])))
def test_every_sentence_of_a_summary_was_in_the_text(parts: list[str]) -> None:
    text = "".join(parts)
    for line in summarise(text, max_chars=500).splitlines():
        assert line.removeprefix("- ").removesuffix(":") in " ".join(text.split())
