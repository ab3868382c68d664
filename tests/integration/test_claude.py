"""The same main job with Claude's planner and model, over a server that speaks the protocol."""

from __future__ import annotations

import pytest
from tests.support.anthropic_server import AnthropicServer, Turn
from tests.support.running import RunningAos, kill


def test_a_tool_use_loop_reaches_an_answer(
    aos: RunningAos, claude_agent: str, model_server: AnthropicServer
) -> None:
    page = aos.site.url("/tides")
    model_server.script(
        Turn(text="I will fetch it.", tools=(("http_call", {"url": page}),)),
        Turn(text="High water is at 10:31."),
    )
    run = aos.client.runs.wait(aos.client.runs.create(claude_agent, "When is high water?").id)
    assert (run.status, run.answer) == ("completed", "High water is at 10:31.")
    assert [(step.skill, step.round) for step in run.steps] == [
        ("planner.claude", 1),
        ("http_call", 1),
        ("planner.claude", 2),
    ]
    assert run.totals.input_tokens > 0
    assert run.totals.cost_microusd > 0
    second = model_server.requests[-1].body["messages"]
    assert second[-1]["content"][0]["type"] == "tool_result"
    assert "10:31" in str(second[-1]["content"])


def test_a_failed_call_is_told_to_the_model(
    aos: RunningAos, claude_agent: str, model_server: AnthropicServer
) -> None:
    missing = aos.site.url("/nowhere")
    model_server.script(
        Turn(tools=(("http_call", {"url": missing}),)), Turn(text="There is no such page.")
    )
    run = aos.client.runs.wait(aos.client.runs.create(claude_agent, "Read it").id)
    assert (run.status, run.answer) == ("completed", "There is no such page.")
    assert "ERR_HTTP_404" in str(model_server.requests[-1].body["messages"][-1])


@pytest.mark.parametrize("turn", [Turn(status=529), Turn(status=429, headers={"retry-after": "0"})])
def test_an_overloaded_model_is_asked_again(
    aos: RunningAos, claude_agent: str, model_server: AnthropicServer, turn: Turn
) -> None:
    model_server.script(turn, Turn(text="Here I am."))
    run = aos.client.runs.wait(aos.client.runs.create(claude_agent, "Are you there?").id)
    assert (run.status, run.answer) == ("completed", "Here I am.")
    assert run.steps[0].attempts == 2


def test_a_wrong_key_fails_the_run_and_says_what_to_set(
    aos: RunningAos, claude_agent: str, model_server: AnthropicServer
) -> None:
    model_server.script(Turn(status=401, error_type="authentication_error"))
    run = aos.client.runs.wait(aos.client.runs.create(claude_agent, "Anything").id)
    assert (run.status, run.code) == ("failed", "ERR_LLM_AUTH")


def test_an_unknown_tool_is_an_invalid_plan_and_asked_for_again(
    aos: RunningAos, claude_agent: str, model_server: AnthropicServer
) -> None:
    model_server.script(Turn(tools=(("no_such_skill", {}),)), Turn(text="Without it, then."))
    run = aos.client.runs.wait(aos.client.runs.create(claude_agent, "Use something odd").id)
    assert (run.status, run.answer) == ("completed", "Without it, then.")
    assert run.steps[0].attempts == 2


def test_an_unsafe_effect_whose_outcome_is_unknown_is_not_repeated(
    aos: RunningAos, claude_agent: str, model_server: AnthropicServer
) -> None:
    """The agent dies while a POST is under way: nobody knows whether it was received."""
    target = aos.site.url("/slow/payment")
    model_server.script(
        Turn(tools=(("http_call", {"url": target, "method": "POST", "body": {"eur": 100}}),)),
        Turn(text="never reached"),
    )
    mark = len(aos.site.arrivals)
    run = aos.client.runs.create(claude_agent, "Pay")
    posted = aos.site.await_arrival(lambda a: a.path == "/slow/payment", after=mark)
    pid = aos.client.agents.get(claude_agent).pid
    assert pid is not None
    kill(pid)
    ended = aos.client.runs.wait(run.id, timeout=60)
    assert (ended.status, ended.code) == ("quarantined", "ERR_IN_DOUBT")
    assert posted.key == f"{run.id}/r1-1/1"
    assert posted.key in (ended.message or "")
    assert [a.path for a in aos.site.arrivals[mark:]].count("/slow/payment") == 1
