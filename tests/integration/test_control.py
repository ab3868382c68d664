"""What is said at the door reaches a run in its process, or wakes it; on a whole AOS."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

from tests.support.effect_ledger import EffectLedger
from tests.support.running import RunningAos, eventually

from aos.api.client import RunView

PROGRAM = """
async def agent(ctx, goal):
    order = await ctx.signal("order")
    found = await ctx.call("json_transform", data=order, operation="extract", path="amount")
    return {"goal": goal, "found": found["result"]}
"""


def plan(*steps: dict[str, Any], answer: Any = "done") -> str:
    return json.dumps({"steps": steps, "answer": answer})


def submit(aos: RunningAos, agent: str, *steps: dict[str, Any], answer: Any = "done") -> UUID:
    return aos.client.runs.create(agent, plan(*steps, answer=answer)).id


def stands(aos: RunningAos, run_id: UUID, status: str, words: str = "") -> None:
    def holds() -> bool:
        run = aos.client.runs.get(run_id)
        return run.status == status and words in (run.waits_for or "")

    eventually(holds)


def over(aos: RunningAos, run_id: UUID, status: str = "completed") -> RunView:
    run = aos.client.runs.wait(run_id, timeout=60)
    assert run.status == status, run.message
    return run


def test_signals_and_decisions_wake_what_waits(aos: RunningAos, literal_agent: str) -> None:
    run = submit(
        aos,
        literal_agent,
        {"id": "go", "skill": "wait.signal", "params": {"name": "go"}},
        {
            "id": "ask", "skill": "wait.decision", "params": {"question": "Pay {{go.amount}}?"},
            "depends_on": ["go"],
        },
        answer={"amount": "{{go.amount}}", "by": "{{ask}}"},
    )  # fmt: skip
    stands(aos, run, "waiting", "signal 'go'")
    assert aos.client.runs.why(run).standing == "waiting"
    aos.client.runs.signal(run, "go", {"amount": 7})
    stands(aos, run, "waiting", "a decision about ask")
    shown = aos.client.runs.get(run)
    assert shown.steps[2].waits_for == "a decision: Pay 7?"
    aos.client.runs.decide(run, "ask", True, "ann")
    assert over(aos, run).answer == {"amount": 7, "by": "ann"}


def test_what_is_paused_goes_on_and_what_is_cancelled_ends(
    aos: RunningAos, literal_agent: str
) -> None:
    step = {"id": "t", "skill": "wait.timer", "params": {"seconds": 3_600}}
    run = submit(aos, literal_agent, step)
    stands(aos, run, "waiting")
    aos.client.runs.pause(run, "lunch")
    stands(aos, run, "paused", "paused by")
    assert "continue" in aos.client.runs.why(run).next_action
    aos.client.runs.resume(run)
    stands(aos, run, "waiting", "the time of t")
    aos.client.runs.cancel(run, "enough")
    assert "enough" in (over(aos, run, "cancelled").message or "")


def test_a_repair_is_heard(aos: RunningAos, literal_agent: str) -> None:
    step = {"id": "go", "skill": "wait.signal", "params": {"name": "never"}}
    run = submit(aos, literal_agent, step, answer="{{go}}")
    stands(aos, run, "waiting")
    assert aos.client.runs.repair(run, "go", "set_result", {"x": "y" * 70_000}).number == 1
    assert over(aos, run).answer == {"x": "y" * 70_000}


def test_a_fork_does_not_do_again_what_it_keeps(
    aos: RunningAos, agent: str, literal_agent: str
) -> None:
    del agent
    kept, lost = f"/slow/{uuid4().hex}", f"/missing/{uuid4().hex}"
    run = submit(
        aos,
        literal_agent,
        {"id": "good", "skill": "http_call", "params": {"url": aos.site.url(kept)}},
        {
            "id": "bad", "skill": "http_call", "params": {"url": aos.site.url(lost)},
            "depends_on": ["good"],
        },
        answer="{{bad.status_code}}",
    )  # fmt: skip
    over(aos, run, "failed")
    assert aos.site.times_answered(kept) == 1
    fork = aos.client.runs.fork(run, "bad", overrides={"bad": {"url": aos.site.url("/")}})
    assert over(aos, fork.id).derived_from == run
    assert aos.site.times_answered(kept) == 1
    over(aos, aos.client.runs.rerun(run).id, "failed")
    assert aos.site.times_answered(kept) == 2


def test_an_emergency_stop_holds_effects_up_until_it_is_lifted(
    aos: RunningAos, literal_agent: str, effect_ledger: EffectLedger
) -> None:
    aos.client.emergency_stop.begin("drill")
    try:
        pay = {"id": "pay", "skill": "pay", "params": {"ledger": effect_ledger.url}}
        run = submit(aos, literal_agent, pay)
        stands(aos, run, "waiting", "emergency stop: drill")
        assert aos.client.runs.why(run).standing == "stopped"
        assert not effect_ledger.lines()
    finally:
        aos.client.emergency_stop.lift()
    over(aos, run)
    assert len(effect_ledger.lines()) == 1


def test_a_program_is_uploaded_run_and_forked(aos: RunningAos, agent: str) -> None:
    made = aos.client.programs.keep(f"p-{uuid4().hex[:8]}", "agent", PROGRAM)
    run = aos.client.runs.create(agent, "count", program=made.name).id
    stands(aos, run, "waiting", "signal 'order'")
    aos.client.runs.signal(run, "order", {"amount": 7})
    done = over(aos, run)
    assert done.answer == {"goal": "count", "found": 7}
    call = next(step.id for step in done.steps if step.skill == "json_transform")
    changed = {call: {"data": {"amount": 8}, "operation": "extract", "path": "amount"}}
    fork = aos.client.runs.fork(run, call, overrides=changed)
    assert over(aos, fork.id).answer == {"goal": "count", "found": 8}
