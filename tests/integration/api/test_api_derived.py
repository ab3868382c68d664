"""Runs made of runs, dead letters, the emergency stop, programs, why runs stand as they do."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.integration.api.test_api_control import planned, step
from tests.support.api_front import Front, Journal, Submit, now, some_id

from aos.actors.runs.chain import broken_at
from aos.actors.runs.events import RunParked, RunStatus
from aos.actors.runs.store import RunStore
from aos.cluster.identity import Role
from aos.skills.contracts import Effects

RUNS, DEAD, STOP = "/api/v1/runs", "/api/v1/dead-letters", "/api/v1/stop"


async def ended(journal: Journal, status: RunStatus = RunStatus.FAILED) -> None:
    """a, then b fails; d beside them."""
    await journal.started()
    await planned(
        journal, step("a"), step("b", depends_on=("a",)), step("d"), step("c", depends_on=("b",))
    )
    await journal.settled("a", {"x": 1}, cost_microusd=5)
    await journal.settled("d", "d")
    await journal.settled("b", code="ERR_HTTP_404")
    await journal.finished(None, status)


async def actions(front: Front) -> list[tuple[str, str]]:
    rows = await front.database.fetch("SELECT * FROM operator_actions ORDER BY action_id")
    return [(row["action"], row["reason"]) for row in rows]


async def test_a_fork_keeps_what_does_not_depend_on_the_step(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    await ended(journal)
    front.bell.rung.clear()
    body = {"step_id": "b", "overrides": {"b": {"url": "x"}}, "reason": "typo"}
    answer = await http.post(f"{RUNS}/{journal.run_id}/fork", json=body)
    assert answer.status_code == 202, answer.text
    run = answer.json()
    assert answer.headers["location"] == f"{RUNS}/{run['id']}"
    assert (run["status"], run["derived_from"], run["derived_how"]) == (
        "pending", str(journal.run_id), "fork",
    )  # fmt: skip
    assert {each["id"]: each["status"] for each in run["steps"]} == {
        "plan": "succeeded", "a": "succeeded", "b": "open", "d": "succeeded", "c": "open",
    }  # fmt: skip
    assert run["totals"]["cost_microusd"] == 5
    assert run["totals"]["attempts"] == 3
    assert front.bell.rung == [("default", journal.agent_id)]
    assert await actions(front) == [("fork", "typo")]
    rows = await RunStore(front.database).links("default", UUID(run["id"]))
    assert broken_at(UUID(run["id"]), rows) is None


async def test_what_a_derived_run_keeps_is_counted_once(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    await ended(journal)
    before = await tallies(http)
    await http.post(f"{RUNS}/{journal.run_id}/fork", json={"step_id": "b"})
    assert await tallies(http) == before
    assert any("aos_skill_attempts_total" in line for line in before)


async def tallies(http: httpx.AsyncClient) -> list[str]:
    text = (await http.get("/metrics")).text
    return [line for line in text.splitlines() if line.startswith(("aos_skill", "aos_llm"))]


async def test_a_fork_under_a_key_is_made_once(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    journal, key = await submit(), {"Idempotency-Key": "fork-1"}
    await ended(journal)
    url = f"{RUNS}/{journal.run_id}/fork"
    first = await http.post(url, json={"step_id": "b"}, headers=key)
    again = await http.post(url, json={"step_id": "b"}, headers=key)
    assert again.json()["id"] == first.json()["id"]
    assert again.headers["idempotent-replayed"] == "true"
    other = await http.post(url, json={"step_id": "a"}, headers=key)
    assert (other.status_code, other.json()["code"]) == (409, "AOS-3003")
    assert await front.database.fetch_value("SELECT count(*) FROM runs") == 2


async def test_new_messages_are_numbered_on_from_what_is_kept(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    await ended(journal)
    body = {"step_id": "b", "action": "set_result", "output": "x" * 70_000, "reason": "by hand"}
    answer = await http.post(f"{RUNS}/{journal.run_id}/repair", json=body)
    assert answer.status_code == 202, answer.text
    made = answer.json()
    assert made["derived_from"] == str(journal.run_id)
    run = UUID(made["run_id"])
    state = await RunStore(front.database).state("default", run)
    assert state.steps["b"].over
    assert await RunStore(front.database).blob("default", run, state.steps["b"].large[""])
    said = await http.post(f"{RUNS}/{run}/signals", json={"name": "go"})
    assert said.json()["number"] == 2


@pytest.mark.parametrize(
    ("what", "body", "status", "code"),
    [
        ("fork", {"step_id": "nobody"}, 409, "AOS-3014"),
        ("fork", {"step_id": "c"}, 409, "AOS-3014"),
        ("fork", {"step_id": "b", "overrides": {"a": {}}}, 422, "AOS-3016"),
        ("fork", {"step_id": "b", "overrides": {"c": 1}}, 422, "AOS-1101"),
        ("repair", {"step_id": "a", "action": "skip"}, 409, "AOS-3011"),
        ("repair", {"step_id": "nobody", "action": "skip"}, 409, "AOS-3011"),
    ],
)
async def test_what_cannot_be_made_is_refused(
    http: httpx.AsyncClient, submit: Submit, what: str, body: Any, status: int, code: str
) -> None:
    journal = await submit()
    await ended(journal)
    answer = await http.post(f"{RUNS}/{journal.run_id}/{what}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    unknown = await http.post(f"{RUNS}/{some_id()}/{what}", json=body)
    assert unknown.status_code == (422 if status == 422 and code == "AOS-1101" else 404)


async def test_a_rerun_waits_for_the_end_and_begins_at_the_beginning(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit("find it")
    early = await http.post(f"{RUNS}/{journal.run_id}/rerun")
    assert (early.status_code, early.json()["code"]) == (409, "AOS-3013")
    await ended(journal)
    run = (await http.post(f"{RUNS}/{journal.run_id}/rerun")).json()
    assert (run["goal"], run["last_seq"], run["derived_how"]) == ("find it", 1, "rerun")


async def test_effects_are_not_repeated_unless_somebody_says_so(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    await journal.started()
    await planned(journal, step("a"), step("pay", "pay", effects=Effects.UNSAFE))
    await journal.settled("a", 1)
    await journal.in_doubt("pay")
    await journal.finished(None, RunStatus.QUARANTINED)
    for url in (f"{RUNS}/{journal.run_id}/rerun", f"{DEAD}/{journal.run_id}/requeue"):
        answer = await http.post(url)
        assert (answer.status_code, answer.json()["code"]) == (409, "AOS-3012")
        assert answer.json()["errors"] == [{"field": "pay", "message": "(pay) may have happened"}]
    url = f"{DEAD}/{journal.run_id}/requeue"
    answer = await http.post(url, json={"repeat_effects": True, "reason": "looked"})
    assert answer.status_code == 202


async def test_dead_letters_are_dealt_with_once(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    letters: list[Journal] = []
    for _ in range(3):
        letters.append(await submit())
        await ended(letters[-1], RunStatus.QUARANTINED)
    healthy = await submit()
    page = (await http.get(DEAD, params={"limit": 2})).json()
    rest = (await http.get(DEAD, params={"cursor": page["next_cursor"]})).json()
    listed = [each["id"] for each in page["items"] + rest["items"]]
    assert listed == [str(each.run_id) for each in reversed(letters)]
    first, second, third = (str(each.run_id) for each in letters)
    answers = await asyncio.gather(*(http.post(f"{DEAD}/{first}/requeue") for _ in range(3)))
    assert sorted(each.status_code for each in answers) == [202, 409, 409]
    gone = await http.post(f"{DEAD}/{second}/discard", json={"reason": "known"})
    assert gone.status_code == 200
    for run in (first, second, str(healthy.run_id)):
        for verb in ("requeue", "discard"):
            again = await http.post(f"{DEAD}/{run}/{verb}")
            assert (again.status_code, again.json()["code"]) == (409, "AOS-3015")
    assert [each["id"] for each in (await http.get(DEAD)).json()["items"]] == [third]
    assert (await http.get(f"{DEAD}/{third}")).json()["status"] == "quarantined"
    wrong = await http.get(f"{DEAD}/{healthy.run_id}")
    assert (wrong.status_code, wrong.json()["code"]) == (409, "AOS-3015")
    theirs = await front.client(tenant="others")
    assert (await theirs.get(DEAD)).json()["items"] == []
    assert (await theirs.post(f"{DEAD}/{third}/discard")).status_code == 404
    assert await actions(front) == [("requeue", ""), ("discard", "known")]


async def test_the_emergency_stop_is_the_tenants_own_or_everybodys(front: Front) -> None:
    admin = await front.client(Role.ADMIN)
    theirs = await front.client(Role.ADMIN, tenant="others")
    assert (await admin.get(STOP)).json() == {"stops": [], "woken": None}
    answer = await theirs.post(STOP, json={"reason": "fire", "everyone": True})
    assert (answer.status_code, answer.json()["code"]) == (403, "AOS-2003")
    assert (await theirs.post(STOP, json={"reason": "smoke"})).status_code == 200
    assert (await admin.get(STOP)).json()["stops"] == []
    assert (await admin.post(STOP, json={"reason": "fire", "everyone": True})).status_code == 200
    again = (await admin.post(STOP, json={"reason": "more fire", "everyone": True})).json()
    assert [each["reason"] for each in again["stops"]] == ["fire"]
    seen = (await theirs.get(STOP)).json()["stops"]
    assert [(each["reason"], each["everyone"]) for each in seen] == [
        ("smoke", False), ("fire", True),
    ]  # fmt: skip
    assert (await admin.get("/api/v1/status")).json()["stops"] == ["fire"]
    assert len((await theirs.delete(STOP)).json()["stops"]) == 1
    none = await theirs.delete(STOP)
    assert (none.status_code, none.json()["code"]) == (409, "AOS-3018")
    assert (await admin.delete(STOP, params={"everyone": True})).json()["stops"] == []
    operator = await front.client()
    assert (await operator.post(STOP, json={"reason": "x"})).status_code == 403
    assert [each[0] for each in await actions(front)] == ["stop", "stop", "lift", "lift"]


async def test_runs_that_a_stop_held_up_go_on_when_it_is_lifted(
    front: Front, submit: Submit, http: httpx.AsyncClient
) -> None:
    admin, journal = await front.client(Role.ADMIN), await submit()
    await admin.post(STOP, json={"reason": "fire"})
    await journal.started()
    later = now().replace(year=now().year + 1)
    await journal.append(RunParked(at=now(), until=later, reason="emergency stop: fire"))
    why = (await http.get(f"{RUNS}/{journal.run_id}/eligibility")).json()
    assert (why["standing"], why["eligible"]) == ("stopped", False)
    assert (await admin.delete(STOP)).json()["woken"] == 1
    why = (await http.get(f"{RUNS}/{journal.run_id}/eligibility")).json()
    assert why["standing"] == "starting"


async def test_pending_says_why_of_all(http: httpx.AsyncClient, submit: Submit) -> None:
    journals = [await submit() for _ in range(10)]
    page = (await http.get("/api/v1/eligibility", params={"limit": 4})).json()
    assert [each["run_id"] for each in page["items"]] == [str(j.run_id) for j in journals[:4]]
    rest = (await http.get("/api/v1/eligibility", params={"cursor": page["next_cursor"]})).json()[
        "items"
    ]
    assert [each["position"] for each in rest] == [5, 6, 7, 8, 9, 10]
    assert {each["standing"] for each in rest} == {"starting", "queued"}
    await http.post(f"{RUNS}/{journals[-1].run_id}/priority", json={"priority": 9})
    last = (await http.get(f"{RUNS}/{journals[-1].run_id}/eligibility")).json()
    assert (last["standing"], last["position"]) == ("starting", 1)


PROGRAM = "async def agent(ctx, goal):\n    return goal\n"


async def test_programs_are_uploaded_and_run(front: Front, agent: UUID) -> None:
    admin = await front.client(Role.ADMIN)
    body = {"name": "echo", "entry": "agent", "source": PROGRAM}
    made = await admin.post("/api/v1/programs", json=body)
    assert made.status_code == 201, made.text
    assert (await admin.post("/api/v1/programs", json=body)).json() == made.json()
    assert (await admin.get("/api/v1/programs")).json()["items"] == [made.json()]
    for name in ("echo", made.json()["hash"]):
        order = {"agent": "researcher", "goal": "x", "program": name}
        run = await admin.post(RUNS, json=order)
        assert run.status_code == 202
        assert run.json()["program"] == "echo"
    gone = await admin.post(RUNS, json={"agent": "researcher", "goal": "x", "program": "nobody"})
    assert (gone.status_code, gone.json()["code"]) == (404, "AOS-3017")


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ("async def agent(ctx, goal:\n  pass", 422, "line 1"),
        ("def agent(ctx, goal):\n  pass", 422, "not async"),
        ("async def other(ctx, goal):\n  pass", 422, "no function"),
        ("#" * 300_000, 413, "limit"),
    ],
)
async def test_what_is_no_program_is_refused(
    front: Front, source: str, status: int, words: str
) -> None:
    admin = await front.client(Role.ADMIN)
    body = {"name": "echo", "entry": "agent", "source": source}
    answer = await admin.post("/api/v1/programs", json=body)
    assert answer.status_code == status, answer.text
    assert words in answer.json()["detail"]


async def test_code_is_welcome_from_some(front: Front) -> None:
    body = {"name": "echo", "entry": "agent", "source": PROGRAM}
    operator = await front.client()
    assert (await operator.post("/api/v1/programs", json=body)).status_code == 403
    theirs = await front.client(Role.ADMIN, tenant="others")
    answer = await theirs.post("/api/v1/programs", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "AOS-2005")


async def test_children_are_listed(front: Front, http: httpx.AsyncClient, submit: Submit) -> None:
    parent, child = await submit(), await submit()
    await front.database.execute(
        "UPDATE runs SET parent_run_id = $2 WHERE run_id = $1", child.run_id, parent.run_id
    )
    page = (await http.get(f"{RUNS}/{parent.run_id}/children")).json()
    assert [each["id"] for each in page["items"]] == [str(child.run_id)]
    assert page["items"][0]["parent_run_id"] == str(parent.run_id)
    assert (await http.get(f"{RUNS}/{some_id()}/children")).status_code == 404
