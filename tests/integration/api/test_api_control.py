"""What is said to runs over HTTP: accepted, refused, repeated; and who may."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.support.api_front import Front, Journal, Submit, make_front, now, some_id

from aos.actors.runs.events import Plan, PlannedStep, RunParked, RunStatus, StepSettled, WaitBegan
from aos.actors.runs.queue import RunQueue
from aos.cluster.identity import Role
from aos.cluster.postgres import Database
from aos.skills.contracts import Effects, StructuredOutcome

RUNS = "/api/v1/runs"


async def heard_of(database: Database, journal: Journal) -> list[tuple[str, Any]]:
    queue = RunQueue(database, journal.tenant, journal.agent_id)
    said = await queue.messages({journal.run_id: 0})
    return [(each.kind, each.body) for each in said.get(journal.run_id, ())]


async def planned(journal: Journal, *steps: PlannedStep) -> None:
    outcome = StructuredOutcome.success(None, skill="planner.rules", version="1.0.0")
    await journal.append(
        StepSettled(
            at=now(), step_id="plan", attempt=1, effects=Effects.READ, idempotency_key="k",
            outcome=outcome, plan=Plan(steps=steps, answer="done"),
        )
    )  # fmt: skip


def step(step_id: str, skill: str = "http_call", **fields: Any) -> PlannedStep:
    return PlannedStep(
        **{"id": step_id, "skill": skill, "version": "1.0.0", "effects": Effects.READ, **fields}
    )


SAID = [
    ("signals", {"name": "go", "payload": {"a": [1, 2.5, None]}}, "signal"),
    ("cancel", {"reason": "enough"}, "cancel"),
    ("cancel", None, "cancel"),
    ("pause", {"reason": "lunch"}, "pause"),
    ("continue", None, "continue"),
]


@pytest.mark.parametrize(("what", "body", "kind"), SAID)
async def test_what_is_said_is_a_message_and_the_agent_is_rung_for(
    front: Front, http: httpx.AsyncClient, submit: Submit, what: str, body: Any, kind: str
) -> None:
    journal = await submit()
    front.bell.rung.clear()
    answer = await http.post(f"{RUNS}/{journal.run_id}/{what}", json=body)
    assert answer.status_code == 202, answer.text
    assert answer.json() == {
        "run_id": str(journal.run_id), "kind": kind, "number": 1, "warning": None,
    }  # fmt: skip
    [(heard, given)] = await heard_of(front.database, journal)
    assert heard == kind
    assert given == (body or ({} if kind == "continue" else {"reason": ""}))
    assert front.bell.rung == [("default", journal.agent_id)]


async def test_a_repeated_key_is_the_same_message(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    journal, key = await submit(), {"Idempotency-Key": "once"}
    url = f"{RUNS}/{journal.run_id}/signals"
    first = await http.post(url, json={"name": "go", "payload": 1}, headers=key)
    again = await http.post(url, json={"name": "go", "payload": 1}, headers=key)
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert len(await heard_of(front.database, journal)) == 1
    other = await http.post(url, json={"name": "go", "payload": 2}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "AOS-3004")


@pytest.mark.parametrize(
    ("what", "body"),
    [(what, body) for what, body, _ in SAID] + [("priority", {"priority": 3})]
    + [("decisions", {"step_id": "a", "approved": True})]
    + [("verdicts", {"step_id": "a", "verdict": "happened"})],
)  # fmt: skip
async def test_nothing_is_said_to_runs_that_are_over_unknown_or_of_others(
    front: Front, http: httpx.AsyncClient, submit: Submit, what: str, body: Any
) -> None:
    journal = await submit()
    theirs = await front.client(tenant="others")
    viewer = await front.client(Role.VIEWER)
    url = f"{RUNS}/{journal.run_id}/{what}"
    for client, status, code in ((theirs, 404, "AOS-3002"), (viewer, 403, "AOS-2003")):
        answer = await client.post(url, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
    answer = await http.post(f"{RUNS}/{some_id()}/{what}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (404, "AOS-3002")
    await journal.started()
    await journal.finished()
    answer = await http.post(url, json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "AOS-3010")
    assert answer.json()["why"] == "completed"


@pytest.mark.parametrize(
    ("what", "body", "field"),
    [
        ("signals", {"name": "no name!"}, "name"),
        ("signals", {"name": "go", "extra": 1}, "extra"),
        ("signals", {}, "name"),
        ("priority", {"priority": 101}, "priority"),
        ("verdicts", {"step_id": "a", "verdict": "perhaps"}, "verdict"),
        ("cancel", {"reason": "nul\u0000"}, "reason"),
        ("signals", {"name": "go", "payload": "\ud800"}, "payload"),
        ("signals", {"name": "go", "payload": 1e400}, "payload"),
    ],
)
async def test_what_cannot_be_said_is_named(
    http: httpx.AsyncClient, submit: Submit, what: str, body: Any, field: str
) -> None:
    journal = await submit()
    answer = await http.post(
        f"{RUNS}/{journal.run_id}/{what}", content=json.dumps(body),
        headers={"Content-Type": "application/json"},
    )  # fmt: skip
    assert answer.status_code in (400, 422), answer.text
    if answer.status_code == 422:
        assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_large_payloads_are_warned_of_and_then_refused(
    database: Database, database_url: str, tmp_path: Any, agent: UUID
) -> None:
    front = await make_front(database, database_url, tmp_path, payload_limit=2_000)
    try:
        http = await front.client()
        run = (await http.post(RUNS, json={"agent": "researcher", "goal": "x"})).json()["id"]
        url = f"{RUNS}/{run}/signals"
        near = await http.post(url, json={"name": "go", "payload": "x" * 1_900})
        assert near.status_code == 202
        assert "1,902 bytes" in near.json()["warning"]
        over = await http.post(url, json={"name": "go", "payload": "x" * 2_000})
        assert (over.status_code, over.json()["code"]) == (413, "AOS-1120")
    finally:
        await front.close()


async def test_a_decision_needs_a_question(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    url = f"{RUNS}/{journal.run_id}/decisions"
    await journal.started()
    await planned(journal, step("ask", "wait.decision"), step("a"))
    for step_id, words in (("ask", "has not ended"), ("nobody", "no step"), ("a", "not ended")):
        answer = await http.post(url, json={"step_id": step_id, "approved": True})
        assert (answer.status_code, answer.json()["code"]) == (409, "AOS-3011")
        assert words in answer.json()["detail"]
    await journal.append(WaitBegan(at=now(), step_id="ask", question="may I?"))
    shown = (await http.get(f"{RUNS}/{journal.run_id}")).json()
    assert shown["steps"][1]["waits_for"] == "a decision: may I?"
    assert shown["steps"][1]["status"] == "waiting"
    said = await http.post(url, json={"step_id": "ask", "approved": False, "comment": "no"})
    assert said.status_code == 202
    [(kind, body)] = await heard_of(front.database, journal)
    assert (kind, body["approved"], body["comment"]) == ("decide", False, "no")


async def test_a_verdict_needs_a_doubt_and_undoing_somebody_who_can(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    url = f"{RUNS}/{journal.run_id}/verdicts"
    await journal.started()
    await planned(journal, step("pay", "pay", effects=Effects.UNSAFE), step("a"))
    answer = await http.post(url, json={"step_id": "a", "verdict": "happened"})
    assert (answer.status_code, answer.json()["code"]) == (409, "AOS-3011")
    await journal.in_doubt("pay")
    answer = await http.post(url, json={"step_id": "pay", "verdict": "compensate"})
    assert (answer.status_code, answer.json()["code"]) == (409, "AOS-3011")
    assert "no compensation" in answer.json()["detail"]
    answer = await http.post(url, json={"step_id": "pay", "verdict": "happened", "output": 7})
    assert answer.status_code == 202


async def test_priority_changes_the_queue_and_is_on_record(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    answer = await http.post(f"{RUNS}/{journal.run_id}/priority", json={"priority": -5})
    assert answer.status_code == 202
    assert answer.json()["number"] is None
    assert (await http.get(f"{RUNS}/{journal.run_id}")).json()["priority"] == -5
    [row] = await front.database.fetch("SELECT * FROM operator_actions")
    assert (row["run_id"], row["action"], row["detail"]) == (
        journal.run_id, "priority", '{"priority":-5}',
    )  # fmt: skip


async def test_a_parked_run_says_what_it_waits_for(http: httpx.AsyncClient, submit: Submit) -> None:
    journal = await submit()
    await journal.started()
    await planned(journal, step("s", "wait.signal"))
    await journal.append(WaitBegan(at=now(), step_id="s", signal="go"))
    await journal.append(RunParked(at=now(), reason="waits for signal 'go'"))
    run = (await http.get(f"{RUNS}/{journal.run_id}")).json()
    assert (run["status"], run["waits_for"], run["wake_at"]) == (
        "waiting", "waits for signal 'go'", None,
    )  # fmt: skip
    why = (await http.get(f"{RUNS}/{journal.run_id}/eligibility")).json()
    assert (why["standing"], why["eligible"]) == ("waiting", False)
    await http.post(f"{RUNS}/{journal.run_id}/signals", json={"name": "go"})
    why = (await http.get(f"{RUNS}/{journal.run_id}/eligibility")).json()
    assert (why["standing"], why["eligible"], why["position"]) == ("starting", True, 1)


async def test_repairs_of_an_unfinished_run_are_messages(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    url = f"{RUNS}/{journal.run_id}/repair"
    await journal.started()
    await planned(journal, step("a"), step("b"))
    await journal.settled("b", 1)
    answer = await http.post(url, json={"step_id": "a", "action": "set_result", "output": 7})
    assert answer.status_code == 202
    assert answer.json() == {"run_id": str(journal.run_id), "number": 1, "derived_from": None}
    for step_id, action in (("b", "skip"), ("plan", "skip"), ("nobody", "skip")):
        answer = await http.post(url, json={"step_id": step_id, "action": action})
        assert (answer.status_code, answer.json()["code"]) == (409, "AOS-3011")
    [(kind, body)] = await heard_of(front.database, journal)
    assert (kind, body["output"]) == ("repair", 7)


async def test_every_journal_event_can_be_streamed(http: httpx.AsyncClient, submit: Submit) -> None:
    journal = await submit()
    await journal.started()
    await planned(journal, step("s", "wait.signal"), step("pay", "pay", effects=Effects.UNSAFE))
    await journal.append(WaitBegan(at=now(), step_id="s", signal="go", until=now()))
    await journal.in_doubt("pay")
    await journal.finished("x", RunStatus.CANCELLED)
    text = (await http.get(f"{RUNS}/{journal.run_id}/events")).text
    for kind in ("wait_began", "step_intended", "step_settled", "run_finished"):
        assert f"event: {kind}" in text
