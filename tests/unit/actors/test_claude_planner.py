"""The pure parts of the Claude planner: what it asks, and what it makes of a reply."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.catalogue import SMALL, descriptor, plan_request
from tests.support.runs import profile

from aos.actors.planning.admission import admit
from aos.actors.planning.claude import conversation, proposal
from aos.actors.planning.protocol import Observation, PlanProposal, PlanRequest
from aos.actors.runs.events import OnError
from aos.skills.contracts import Effects, JsonObject, Usage
from aos.skills.llm.provider import Message, ModelReply

DOTTED = {**SMALL, "web.search": descriptor("web.search", Effects.READ)}


def reply(*blocks: JsonObject, text: str = "") -> ModelReply:
    usage = Usage(provider="anthropic", model="claude")
    return ModelReply(
        content=blocks, text=text, stop_reason="end_turn", model="claude", usage=usage
    )


def call(number: int, name: str = "look", **params: Any) -> JsonObject:
    return {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": params}


def says(text: str) -> JsonObject:
    return {"type": "text", "text": text}


def asked(round_number: int = 1, **fields: Any) -> PlanRequest:
    return plan_request("find out", DOTTED, round=round_number, **fields)


def seen(step_id: str, round_number: int, **fields: Any) -> Observation:
    defaults: dict[str, Any] = {"skill": "look", "ok": True, "code": "OK"}
    return Observation(step_id=step_id, round=round_number, **(defaults | fields))


def memo(*blocks: JsonObject, **calls: str) -> JsonObject:
    return {"content": list(blocks), "calls": dict(calls)}


# replies


def test_text_without_a_tool_call_is_the_answer_and_its_braces_are_text() -> None:
    assert proposal(reply(says("It is {{42}}."), text="It is {{42}}."), asked()) == PlanProposal(
        answer="It is {{42}}.", literal=True
    )


def test_each_tool_call_is_a_step_beside_the_others() -> None:
    blocks = (says("Let me see."), call(1, at="x"), call(2, at="{{fetch.body}}"))
    said = proposal(reply(*blocks, text="Let me see."), asked(3))
    assert [(step.id, step.skill, step.params) for step in said.steps] == [
        ("r3-1", "look", {"at": "x"}),
        ("r3-2", "look", {"at": "{{fetch.body}}"}),
    ]
    assert all(step.depends_on == () for step in said.steps)
    assert all(step.on_error is OnError.CONTINUE for step in said.steps), "the model may go on"
    assert said.answer is None
    assert said.literal, "what a model repeats from a page must not be looked up"


def test_what_the_model_said_is_kept_whole_and_its_calls_by_their_steps() -> None:
    blocks = (says("Let me see."), call(1), call(2))
    said = proposal(reply(*blocks), asked())
    assert said.memo == memo(*blocks, toolu_1="r1-1", toolu_2="r1-2")


def test_a_proposal_is_admissible() -> None:
    said = proposal(reply(call(1, "web__search", q="{{nobody}}"), call(2)), asked())
    plan = admit(said.model_dump(mode="json"), DOTTED, profile(), ["plan"])
    assert [step.skill for step in plan.steps] == ["web.search", "look"]
    assert [step.depends_on for step in plan.steps] == [(), ()]


def test_a_tool_that_was_not_offered_is_left_to_admission_to_refuse() -> None:
    said = proposal(reply(call(1, "rm__rf")), asked())
    assert said.steps[0].skill == "rm__rf"


@pytest.mark.parametrize("given", [None, [], "x", 7])
def test_a_call_without_an_object_as_input_is_a_call_without_params(given: Any) -> None:
    block: JsonObject = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": given}
    assert proposal(reply(block), asked()).steps[0].params == {}


# conversations


def test_the_first_round_asks_the_goal() -> None:
    assert conversation(asked()) == (Message(role="user", content="find out"),)


def test_results_are_paired_with_the_calls_they_answer() -> None:
    first = memo(says("Let me see."), call(1), call(2), toolu_1="r1-1", toolu_2="r1-2")
    second = memo(call(3), toolu_3="r2-1")
    goal, *turns = conversation(
        asked(
            3,
            memos=(first, second),
            observations=(
                seen("r1-2", 1, output={"b": 2, "a": 1}),
                seen("r2-1", 2, output="third"),
                seen("r1-1", 1, output="first"),
            ),
        )
    )
    assert goal.content == "find out"
    assert [turn.role for turn in turns] == ["assistant", "user", "assistant", "user"]
    assert turns[0].content == (says("Let me see."), call(1), call(2))
    assert [(block["tool_use_id"], block["content"]) for block in turns[1].content] == [
        ("toolu_1", '"first"'),
        ("toolu_2", '{"a":1,"b":2}'),
    ]
    assert [(block["tool_use_id"], block["content"]) for block in turns[3].content] == [
        ("toolu_3", '"third"')
    ]


def result_of(*observations: Observation) -> JsonObject:
    request = asked(2, memos=(memo(call(1), toolu_1="r1-1"),), observations=observations)
    block = conversation(request)[-1].content[0]
    assert isinstance(block, dict)
    assert (block["type"], block["tool_use_id"]) == ("tool_result", "toolu_1")
    return block


def test_a_failure_is_told_as_one() -> None:
    block = result_of(seen("r1-1", 1, ok=False, code="ERR_HTTP_404", message="no such page"))
    assert (block["is_error"], block["content"]) == (True, "ERR_HTTP_404: no such page")


def test_every_call_gets_a_result_even_if_it_was_never_made() -> None:
    block = result_of()
    assert (block["is_error"], block["content"]) == (True, "the call was not made")


def test_a_step_of_the_same_name_in_another_round_is_another_step() -> None:
    assert result_of(seen("r1-1", 2, output="no"))["content"] == "the call was not made"


def test_a_long_result_is_cut() -> None:
    block = result_of(seen("r1-1", 1, output="x" * 50_000))
    assert (block["is_error"], len(str(block["content"]))) == (False, 20_000)


@pytest.mark.parametrize("strange", [None, 7, [], {}, {"content": "x", "calls": {}}])
def test_a_memo_of_another_planner_is_passed_over(strange: Any) -> None:
    assert len(conversation(asked(2, memos=(strange,)))) == 1


def test_the_same_journal_gives_the_same_conversation() -> None:
    request = asked(
        2, memos=(memo(call(1), toolu_1="r1-1"),), observations=(seen("r1-1", 1, output={"z": 1}),)
    )
    again = PlanRequest.model_validate_json(request.model_dump_json())
    assert conversation(again) == conversation(request)
