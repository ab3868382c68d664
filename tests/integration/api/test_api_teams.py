"""Teams over HTTP, by the SDK and by the command line, on a real front and a real Postgres."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from tests.support.api_front import Front
from tests.support.command_line import Cli, environment

from aos.actors.roster import AgentStore
from aos.api.client import AosClient, ApiError, AsyncAosClient
from aos.cluster.identity import Role
from aos.cluster.postgres import Database
from aos.skills.contracts import AgentProfile
from aos.supervisors.supervisor import RequestRefused
from aos.supervisors.teams.errors import TeamNotRunning

TEAM: dict[str, Any] = {
    "name": "desk",
    "strategy": "rest_for_one",
    "children": [
        {"id": "planner", "agent": "ann", "restart": "transient", "goal": "Find it"},
        {"id": "in", "team": {"children": [{"id": "scribe", "agent": "bob"}]}},
        {"id": "clock", "service": "harbour:Clock", "args": {"log": "x"}},
    ],
}
YAML = """\
name: desk
children:
  - {id: planner, agent: ann}
  - {id: scribe, agent: nobody}
"""


@pytest.fixture(autouse=True)
async def agents(database: Database) -> dict[str, UUID]:
    store = AgentStore(database)
    names = ("ann", "bob", "cyd")
    return {n: (await store.register("default", AgentProfile(name=n))).agent_id for n in names}


async def test_a_team_is_made_and_shown(
    http: httpx.AsyncClient, front: Front, agents: dict[str, UUID]
) -> None:
    made = await http.post("/api/v1/teams", json=TEAM)
    assert made.status_code == 201
    team = made.json()
    assert made.headers["Location"] == f"/api/v1/teams/{team['id']}"
    assert front.bell.rung_for_teams == 1
    shown = {name: team[name] for name in ("name", "state", "strategy", "restart", "members")}
    assert shown == {
        "name": "desk", "state": "running", "strategy": "rest_for_one", "restart": "transient",
        "members": 2,
    }  # fmt: skip
    planner, inner, clock = team["children"]
    assert (planner["kind"], planner["of"], planner["agent_id"]) == (
        "agent", "ann", str(agents["ann"]),
    )  # fmt: skip
    run = (await http.get(f"/api/v1/runs/{planner['run_id']}")).json()
    assert (run["goal"], run["agent"]) == ("Find it", "ann")
    assert (inner["kind"], inner["of"], inner["children"][0]["path"]) == (
        "team", "one_for_one", "in/scribe",
    )  # fmt: skip
    assert (clock["kind"], clock["of"], clock["state"]) == ("service", "harbour:Clock", "stopped")
    for name in (team["id"], "desk"):
        assert (await http.get(f"/api/v1/teams/{name}")).json() == team
    again = await http.post("/api/v1/teams", json=TEAM)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (200, "true")
    assert again.json()["id"] == team["id"]


async def test_how_its_children_stand_is_what_its_supervisor_says(
    http: httpx.AsyncClient, front: Front
) -> None:
    team_id = UUID((await http.post("/api/v1/teams", json=TEAM)).json()["id"])
    scribe = {"id": "scribe", "state": "waiting", "waits_for": "needs gold 1; no machine has it"}
    front.bell.teams[team_id] = {
        "state": "running",
        "restarts": 2,
        "kind": "team",
        "children": [
            {
                "id": "planner",
                "state": "running",
                "restarts": 1,
                "pid": 7,
                "epoch": 3,
                "since": "x",
            },
            {"id": "in", "state": "running", "restarts": 0, "children": [scribe]},
        ],
    }
    team = (await http.get("/api/v1/teams/desk")).json()
    assert (team["phase"], team["restarts"], team["problem"]) == ("running", 2, None)
    planner, inner, clock = team["children"]
    assert (planner["pid"], planner["epoch"], planner["restarts"]) == (7, 3, 1)
    assert inner["children"][0]["waits_for"] == "needs gold 1; no machine has it"
    assert clock["state"] == "stopped", "it was forgotten, as temporary children are"
    front.bell.attended = False
    unknown = (await http.get("/api/v1/teams/desk")).json()
    assert (unknown["phase"], unknown["problem"]) == (None, "nobody answers")
    assert {each["state"] for each in unknown["children"]} == {"unknown"}


async def test_a_mistake_is_a_problem_with_its_place(http: httpx.AsyncClient, front: Front) -> None:
    async def refused(text: str | bytes) -> dict[str, Any]:
        headers = {"Content-Type": "application/yaml"}
        answer = await http.post("/api/v1/teams", content=text, headers=headers)
        problem: dict[str, Any] = answer.json()
        assert answer.status_code == problem["status"] == 422
        assert problem["next_action"]
        return problem

    problem = await refused(YAML)
    assert problem["code"] == "AOS-4118"
    assert problem["errors"] == [
        {"field": "children[1].agent", "message": "no agent 'nobody' is registered (line 4)"}
    ]
    assert (await refused("name: [desk"))["code"] == "AOS-4111"
    assert (await refused(b"name: \xff"))["code"] == "AOS-4111"
    assert (await refused("#" * 70_000))["code"] == "AOS-4112"
    assert (await refused(YAML.replace("scribe", "planner")))["code"] == "AOS-4113"
    front.bell.broken_services["harbour:Clock"] = "harbour:Clock cannot be imported: no harbour"
    problem = await refused(json.dumps(TEAM))
    assert problem["code"] == "AOS-4119"
    assert problem["errors"] == [
        {
            "field": "children[2].service",
            "message": "harbour:Clock cannot be imported: no harbour",
        }
    ]
    assert (await http.get("/api/v1/teams")).json()["items"] == []


async def test_what_is_taken_is_a_conflict(http: httpx.AsyncClient) -> None:
    assert (await http.post("/api/v1/teams", json=TEAM)).status_code == 201
    one = {"id": "a", "agent": "cyd"}
    for team, code in (
        ({"name": "desk", "children": [one]}, "AOS-4122"),
        ({"name": "other", "children": [one, {"id": "b", "agent": "bob"}]}, "AOS-4121"),
    ):
        answer = await http.post("/api/v1/teams", json=team)
        assert (answer.status_code, answer.json()["code"]) == (409, code)


async def test_a_team_is_stopped_started_and_removed(http: httpx.AsyncClient, front: Front) -> None:
    await http.post("/api/v1/teams", json=TEAM)
    for verb, state in (
        ("stop", "stopped"), ("stop", "stopped"), ("start", "running"), ("start", "running"),
    ):  # fmt: skip
        answer = await http.post(f"/api/v1/teams/desk/{verb}")
        assert (answer.status_code, answer.json()["state"]) == (200, state)
    assert (await http.delete("/api/v1/teams/desk")).json()["name"] == "desk"
    assert front.bell.rung_for_teams == 6
    for call in (
        http.get("/api/v1/teams/desk"),
        http.delete("/api/v1/teams/desk"),
        http.post("/api/v1/teams/desk/start"),
        http.post(f"/api/v1/teams/{uuid4()}/children/planner/restart"),
    ):
        answer = await call
        assert (answer.status_code, answer.json()["code"]) == (404, "AOS-4123")


async def test_children_are_administered_by_their_paths(
    http: httpx.AsyncClient, front: Front
) -> None:
    team_id = UUID((await http.post("/api/v1/teams", json=TEAM)).json()["id"])
    for verb in ("terminate", "restart", "release"):
        answer = await http.post(f"/api/v1/teams/desk/children/in/scribe/{verb}")
        assert answer.status_code == 200
    assert front.bell.administered == [
        (team_id, "in/scribe", verb) for verb in ("terminate", "restart", "release")
    ]
    unknown = await http.post("/api/v1/teams/desk/children/planner/promote")
    assert unknown.status_code == 422
    front.bell.refusal = RequestRefused("running: planner is running", why="running")
    refused = await http.post("/api/v1/teams/desk/children/planner/restart")
    problem = refused.json()
    assert (problem["status"], problem["code"], problem["why"]) == (409, "AOS-4102", "running")
    front.bell.refusal = TeamNotRunning("desk is not running")
    refused = await http.post("/api/v1/teams/desk/children/planner/restart")
    assert (refused.status_code, refused.json()["code"]) == (409, "AOS-4125")


async def test_who_may_only_look_changes_nothing_and_others_see_nothing(front: Front) -> None:
    writer = await front.client()
    viewer = await front.client(Role.VIEWER)
    stranger = await front.client(tenant="others")
    await writer.post("/api/v1/teams", json=TEAM)
    assert (await viewer.get("/api/v1/teams/desk")).status_code == 200
    for method, path in (
        ("POST", ""), ("DELETE", "/desk"), ("POST", "/desk/start"), ("POST", "/desk/stop"),
        ("POST", "/desk/children/planner/terminate"),
    ):  # fmt: skip
        answer = await viewer.request(method, f"/api/v1/teams{path}", json=TEAM)
        assert (answer.status_code, answer.json()["code"]) == (403, "AOS-2003")
    assert (await stranger.get("/api/v1/teams")).json()["items"] == []
    assert (await stranger.get("/api/v1/teams/desk")).status_code == 404
    assert (await stranger.post("/api/v1/teams", json=TEAM)).json()["code"] == "AOS-4118"


async def test_pages_of_teams(http: httpx.AsyncClient) -> None:
    for name in ("ann", "bob", "cyd"):
        team = {"name": f"of-{name}", "children": [{"id": "a", "agent": name}]}
        await http.post("/api/v1/teams", json=team)
    first = (await http.get("/api/v1/teams", params={"limit": 2})).json()
    rest = (await http.get("/api/v1/teams", params={"cursor": first["next_cursor"]})).json()
    names = [team["name"] for page in (first, rest) for team in page["items"]]
    assert (names, rest["next_cursor"]) == (["of-ann", "of-bob", "of-cyd"], None)


# the SDK


@pytest.fixture
async def aos(front: Front) -> AsyncIterator[AsyncAosClient]:
    async with AsyncAosClient(front.url, await front.key()) as client:
        yield client


async def test_the_sdk_knows_all_of_it(aos: AsyncAosClient, front: Front) -> None:
    made = await aos.teams.create(TEAM)
    assert await aos.teams.create(json.dumps(TEAM)) == made
    assert await aos.teams.get("desk") == await aos.teams.get(made.id) == made
    assert [team.id for team in (await aos.teams.list()).items] == [made.id]
    assert (await aos.teams.stop("desk")).state == "stopped"
    assert (await aos.teams.start("desk")).state == "running"
    for act in (aos.teams.terminate, aos.teams.restart, aos.teams.release):
        await act("desk", "in/scribe")
    assert [verb for _, _, verb in front.bell.administered] == ["terminate", "restart", "release"]
    front.bell.refusal = RequestRefused("not_found: …", why="not_found")
    with pytest.raises(ApiError) as refused:
        await aos.teams.release("desk", "planner")
    assert (refused.value.status, refused.value.why) == (409, "not_found")
    assert (await aos.teams.delete("desk")).id == made.id
    with pytest.raises(ApiError) as refused:
        await aos.teams.create(YAML)
    assert refused.value.errors[0]["field"] == "children[1].agent"


def sync_calls(url: str, key: str) -> list[str]:
    """What the client for code that waits does with a team, state by state."""
    with AosClient(url, key) as aos:
        states = [aos.teams.create(TEAM).state, aos.teams.stop("desk").state]
        states += [aos.teams.start("desk").state, aos.teams.get("desk").state]
        for act in (aos.teams.terminate, aos.teams.restart, aos.teams.release):
            act("desk", "planner")
        states += [team.state for team in aos.teams.list().items]
        return [*states, aos.teams.delete("desk").state]


async def test_the_client_that_waits_has_the_same(front: Front) -> None:
    key = await front.key()
    states = await asyncio.to_thread(sync_calls, front.url, key)
    assert states == ["running", "stopped", "running", "running", "running", "running"]


# the command line


@pytest.fixture
async def cli(front: Front) -> Cli:
    return Cli(environment(front, AOS_URL=front.url, AOS_API_KEY=await front.key()))


async def test_the_command_line_knows_all_of_it(cli: Cli, front: Front, tmp_path: Path) -> None:
    file = tmp_path / "desk.json"
    file.write_text(json.dumps(TEAM))
    made = await cli("team", "create", str(file))
    assert made.code == 0, made.err
    assert "desk  running" in made.out
    assert "planner  stopped  agent ann  transient" in made.out
    assert "└── scribe  stopped  agent bob" in made.out
    shown = json.loads((await cli("team", "show", "desk", "--json")).out)
    assert shown["children"][0]["of"] == "ann"
    listed = await cli("team", "ls")
    assert "rest_for_one" in listed.out
    assert json.loads((await cli("team", "ls", "--json")).out)["items"][0]["id"] == shown["id"]
    stopped = await cli("team", "stop", "desk")
    assert "desk  stopped" in stopped.out
    assert json.loads((await cli("team", "start", "desk", "--json")).out)["state"] == "running"
    for verb in ("terminate", "restart", "release"):
        assert (await cli("team", verb, "desk", "in/scribe")).code == 0
    assert [verb for _, _, verb in front.bell.administered] == ["terminate", "restart", "release"]
    front.bell.refusal = RequestRefused("running: planner is running", why="running")
    refused = await cli("team", "restart", "desk", "planner")
    assert (refused.code, refused.out) == (4, "")
    assert "error AOS-4102: running: planner is running" in refused.err
    assert "desk  running" in (await cli("team", "rm", "desk")).out
    assert (await cli("team", "ls")).out == "no teams\n"


async def test_a_declaration_comes_by_standard_input(cli: Cli) -> None:
    aos = [sys.executable, "-m", "aos.api.cli.main", "team", "create", "-", "--json"]
    process = await asyncio.create_subprocess_exec(
        *aos, env=cli.environment, stdin=PIPE, stdout=PIPE
    )
    out, _ = await process.communicate(YAML.replace("nobody", "bob").encode())
    assert json.loads(out)["members"] == 2


async def test_mistakes_on_the_command_line(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "desk.yaml"
    file.write_text(YAML)
    refused = await cli("team", "create", str(file))
    assert refused.code == 4
    assert "error AOS-4118: children[1].agent (line 4): no agent 'nobody'" in refused.err
    assert "next: Register it with `aos agent create NAME`" in refused.err
    missing = await cli("team", "create", str(tmp_path / "nowhere.yaml"))
    assert missing.code == 2
    assert "error AOS-1112" in missing.err
    file.write_bytes(b"\xff")
    assert "is not UTF-8 text" in (await cli("team", "create", str(file))).err
