"""Agents and runs over HTTP: what is accepted, shown and listed, and to whom."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import httpx
from tests.support.api_front import Front, Submit, make_front

from aos.actors.runs.events import RunStatus
from aos.cluster.identity import Role
from aos.cluster.postgres import Database
from aos.supervisors.rescue import CHANNEL

AGENTS, RUNS = "/api/v1/agents", "/api/v1/runs"


async def test_an_agent_is_registered_and_shown_by_id_and_by_name(http: httpx.AsyncClient) -> None:
    made = await http.post(AGENTS, json={"name": "researcher", "description": "reads"})
    assert made.status_code == 201
    agent = made.json()
    assert made.headers["location"] == f"{AGENTS}/{agent['id']}"
    assert agent["state"] == "passive"
    assert agent["profile"]["planner"]["name"] == "auto"
    for name in (agent["id"], "researcher"):
        assert (await http.get(f"{AGENTS}/{name}")).json() == agent
    again = await http.post(AGENTS, json={"name": "researcher"})
    assert (again.status_code, again.json()["code"]) == (409, "AOS-3102")


async def test_pages_of_agents_neither_repeat_nor_skip(http: httpx.AsyncClient) -> None:
    names = [f"agent-{number}" for number in range(7)]
    for name in names:
        await http.post(AGENTS, json={"name": name})
    seen: list[str] = []
    params: dict[str, str | int] = {"limit": 3}
    for _ in range(3):
        page = (await http.get(AGENTS, params=params)).json()
        seen += [agent["name"] for agent in page["items"]]
        params["cursor"] = page["next_cursor"] or ""
    assert seen == names
    assert page["next_cursor"] is None


async def test_a_profile_that_is_none_hides_nobody_else(
    http: httpx.AsyncClient, agent: UUID, database: Database
) -> None:
    await http.post(AGENTS, json={"name": "broken"})
    await database.execute("""UPDATE agents SET profile = '{"limits": 3}' WHERE name = 'broken'""")
    page = await http.get(AGENTS)
    shown = {each["name"]: each["state"] for each in page.json()["items"]}
    assert shown == {"researcher": "passive", "broken": "unreadable"}
    alone = await http.get(f"{AGENTS}/broken")
    assert (alone.status_code, alone.json()["code"]) == (500, "AOS-3103")
    assert "table `agents`" in alone.json()["next_action"]
    assert (await http.get(f"{AGENTS}/{agent}")).status_code == 200


async def test_a_run_is_accepted(http: httpx.AsyncClient, agent: UUID) -> None:
    response = await http.post(RUNS, json={"agent": "researcher", "goal": "x", "priority": 3})
    assert response.status_code == 202
    run = response.json()
    assert response.headers["location"] == f"{RUNS}/{run['id']}"
    assert "idempotent-replayed" not in response.headers
    assert (run["status"], run["agent"], run["priority"]) == ("pending", "researcher", 3)
    assert run["planner"] == "rules"
    assert run["agent_id"] == str(agent)
    assert (await http.get(response.headers["location"])).json() == run


async def test_who_keeps_the_agents_hears_of_a_run(
    http: httpx.AsyncClient, agent: UUID, database: Database
) -> None:
    heard = asyncio.Event()
    told: list[str] = []

    def hear(agent_id: str) -> None:
        told.append(agent_id)
        heard.set()

    listening = asyncio.create_task(database.listen(CHANNEL, hear))
    async with asyncio.timeout(20):
        while not heard.is_set():  # nobody says when listening has begun
            await http.post(RUNS, json={"agent": "researcher", "goal": "x"})
            with suppress(TimeoutError):
                await asyncio.wait_for(heard.wait(), 0.1)
    listening.cancel()
    assert set(told) == {str(agent)}


async def test_with_a_model_key_auto_means_claude(
    database: Database, database_url: str, tmp_path: Path, agent: UUID
) -> None:
    front = await make_front(database, database_url, tmp_path, anthropic_api_key="sk-test")
    try:
        http = await front.client()
        run = (await http.post(RUNS, json={"agent": str(agent), "goal": "x"})).json()
    finally:
        await front.close()
    assert run["planner"] == "claude"


async def test_the_same_key_and_body_is_the_same_run(
    front: Front, http: httpx.AsyncClient, agent: UUID
) -> None:
    key = {"Idempotency-Key": "once"}
    first = await http.post(RUNS, json={"agent": "researcher", "goal": "x"}, headers=key)
    # The agent by its id and a goal with spaces around it are the same request.
    again = await http.post(RUNS, json={"agent": str(agent), "goal": " x "}, headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert again.headers["idempotent-replayed"] == "true"
    assert await front.database.fetch_value("SELECT count(*) FROM runs") == 1


async def test_the_same_key_with_another_body_is_a_conflict(
    front: Front, http: httpx.AsyncClient, agent: UUID
) -> None:
    key, body = {"Idempotency-Key": "once"}, {"agent": "researcher", "goal": "x"}
    await http.post(RUNS, json=body, headers=key)
    for change in ({"goal": "y"}, {"priority": 1}):
        response = await http.post(RUNS, json={**body, **change}, headers=key)
        assert (response.status_code, response.json()["code"]) == (409, "AOS-3003")
    assert await front.database.fetch_value("SELECT count(*) FROM runs") == 1


async def test_a_key_belongs_to_its_tenant(front: Front, agent: UUID) -> None:
    key = {"Idempotency-Key": "once"}
    ours, theirs = await front.client(), await front.client(tenant="others")
    await theirs.post(AGENTS, json={"name": "researcher"})
    body = {"agent": "researcher", "goal": "x"}
    one = (await ours.post(RUNS, json=body, headers=key)).json()
    two = (await theirs.post(RUNS, json=body, headers=key)).json()
    assert one["id"] != two["id"]


async def test_a_finished_run_is_shown_with_steps_answer_and_totals(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    await journal.started()
    await journal.planned("fetch", "lost")
    await journal.settled("fetch", code="ERR_HTTP_503", duration_ms=30)
    await journal.settled("fetch", {"a": 1}, attempt=2, duration_ms=12, cost_microusd=7)
    await journal.settled("lost", code="ERR_HTTP_404")
    await journal.finished("the answer", RunStatus.FAILED)
    run = (await http.get(f"{RUNS}/{journal.run_id}")).json()
    assert (run["status"], run["answer"], run["resumes"]) == ("failed", "the answer", 0)
    assert run["totals"] == {
        "steps": 2, "attempts": 4, "cost_microusd": 7, "input_tokens": 0, "output_tokens": 0,
    }  # fmt: skip
    plan, fetch, lost = run["steps"]
    assert (plan["id"], plan["skill"], plan["plans"]) == ("plan", "planner.rules", True)
    assert fetch["status"] == "succeeded"
    assert (fetch["attempts"], fetch["duration_ms"], fetch["cost_microusd"]) == (2, 42, 7)
    assert (lost["status"], lost["code"]) == ("failed", "ERR_HTTP_404")
    assert run["duration_ms"] is not None


async def test_runs_are_listed_newest_first_and_filtered(
    http: httpx.AsyncClient, database: Database, submit: Submit
) -> None:
    await http.post(AGENTS, json={"name": "other"})
    done = await submit("one")
    await done.started()
    await done.planned()
    await done.finished()
    await submit("two")
    await http.post(RUNS, json={"agent": "other", "goal": "three"})

    async def goals(**params: str) -> list[str]:
        page = (await http.get(RUNS, params=params)).json()
        return [run["goal"] for run in page["items"]]

    assert await goals() == ["three", "two", "one"]
    assert await goals(status="completed") == ["one"]
    assert await goals(agent="researcher") == ["two", "one"]
    assert await goals(agent="other", status="completed") == []
    first = (await http.get(RUNS, params={"limit": 2})).json()
    assert await goals(cursor=first["next_cursor"]) == ["one"]
    assert (await http.get(RUNS, params={"agent": "nobody"})).json()["code"] == "AOS-3101"
    assert (await http.get(RUNS, params={"status": "lost"})).status_code == 422


async def test_another_tenant_sees_nothing_of_ours(
    front: Front, http: httpx.AsyncClient, submit: Submit, agent: UUID
) -> None:
    journal = await submit()
    theirs = await front.client(Role.ADMIN, tenant="others")
    for path in (f"{RUNS}/{journal.run_id}", f"{RUNS}/{journal.run_id}/events"):
        assert (await theirs.get(path)).status_code == 404
    for path in (f"{AGENTS}/researcher", f"{AGENTS}/{agent}"):
        assert (await theirs.get(path)).status_code == 404
    assert (await theirs.get(RUNS)).json()["items"] == []
    assert (await theirs.get(AGENTS)).json()["items"] == []
    refused = await theirs.post(RUNS, json={"agent": str(agent), "goal": "x"})
    assert refused.json()["code"] == "AOS-3101"
    status = (await theirs.get("/api/v1/status")).json()
    assert (status["runs"], status["resources"], status["dashboard_url"]) == ({}, None, None)
    assert status["tree"] == {"id": "root", "state": "running", "restarts": 0, "children": []}


async def test_a_value_too_large_for_its_event_is_read_by_its_hash(
    http: httpx.AsyncClient, database: Database, submit: Submit
) -> None:
    journal = await submit()
    digest = "sha256:" + "0" * 64
    await database.execute(
        "INSERT INTO blobs (run_id, hash, tenant_id, content) VALUES ($1, $2, 'default', $3)",
        journal.run_id, digest, b'"a long text"',
    )  # fmt: skip
    response = await http.get(f"{RUNS}/{journal.run_id}/values/{digest}")
    assert response.json() == "a long text"


async def test_status_shows_counts_and_the_machinery(
    front: Front, submit: Submit, agent: UUID
) -> None:
    http = await front.client(Role.ADMIN)
    await submit()
    front.bell.shown = {
        "id": "root",
        "children": [{"id": "agents", "children": [{"id": str(agent)}]}],
    }
    node = {"dashboard_url": "http://127.0.0.1:8265", "ray_address": "127.0.0.1:6379"}
    (front.home / "node.json").write_text(json.dumps(node))
    status = (await http.get("/api/v1/status")).json()
    assert status["runs"] == {"pending": 1}
    assert status["agents"] == {"active": 1}
    assert status["tree"]["id"] == "root"
    assert status["tree"]["children"][0]["children"][0]["name"] == "researcher"
    assert status["resources"] == {"CPU": 2.0}
    assert status["postgres"]["ok"] is True
    assert {name: status[name] for name in node} == node
    assert status["problems"] == []


async def test_status_says_what_it_cannot_know(front: Front, http: httpx.AsyncClient) -> None:
    front.bell.shown = None
    response = await http.get("/api/v1/status")
    assert response.status_code == 200
    assert response.json()["tree"] is None
    assert response.json()["problems"] == ["tree: AOS-6103: the supervisor does not answer"]


async def test_the_process_is_healthy_and_ready_and_has_a_version(front: Front) -> None:
    stranger = front.open()
    assert (await stranger.get("/health")).json() == {"status": "alive"}
    assert (await stranger.get("/ready")).json() == {"status": "ready"}
    assert (await stranger.get("/version")).json()["api"] == "v1"
    front.bell.shown = None
    unready = await stranger.get("/ready")
    assert (unready.status_code, unready.json()["code"]) == (503, "AOS-6103")
    assert unready.headers["retry-after"] == "1"


async def test_the_openapi_document_describes_the_routes(http: httpx.AsyncClient) -> None:
    document = (await http.get("/api/v1/openapi.json")).json()
    assert {RUNS, f"{RUNS}/{{run_id}}/events", AGENTS, "/metrics"} <= document["paths"].keys()
    stream = document["paths"][f"{RUNS}/{{run_id}}/events"]["get"]["responses"]["200"]
    assert "text/event-stream" in stream["content"]
