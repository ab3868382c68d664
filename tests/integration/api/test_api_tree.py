"""The tree and its record over HTTP: what is shown, to whom, and the answer to why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from tests.support.api_front import Front

from aos.actors.roster import AgentStore
from aos.api.errors import NotReady
from aos.cluster.identity import Role
from aos.cluster.postgres import Database
from aos.skills.contracts import AgentProfile
from aos.supervisors.supervisor import RequestRefused

TREE, EVENTS = "/api/v1/tree", "/api/v1/tree/events"


@pytest.fixture
async def admin(front: Front) -> httpx.AsyncClient:
    return await front.client(Role.ADMIN)


@pytest.fixture
async def theirs(front: Front) -> httpx.AsyncClient:
    """A client of another tenant, an admin there."""
    return await front.client(Role.ADMIN, tenant="others")


@pytest.fixture
async def their_agent(database: Database, theirs: httpx.AsyncClient) -> UUID:
    return (await AgentStore(database).register("others", AgentProfile(name="coder"))).agent_id


async def happened(
    database: Database, child: object, kind: str, *, ago: float = 60, **columns: Any
) -> None:
    given = {"reason": "", "detail": "", "delay_ms": 0, "tenant_id": None, **columns}
    await database.execute(
        "INSERT INTO supervision_events"
        " (at, supervisor, child, kind, reason, detail, delay_ms, tenant_id)"
        " VALUES (now() - make_interval(secs => $1), 'agents', $2, $3, $4, $5, $6, $7)",
        ago, str(child), kind, *given.values(),
    )  # fmt: skip


def a_tree(*agents: UUID) -> dict[str, Any]:
    since = (datetime.now(UTC) - timedelta(seconds=90)).isoformat()
    alive = {"state": "running", "restart": "permanent", "restarts": 1, "since": since}
    children = [
        {"id": str(agent), "type": "worker", "kind": "agent", "pid": 10, "epoch": 3, **alive}
        for agent in agents
    ]
    return {
        "id": "root", "state": "running", "pid": 1,
        "children": [
            {"id": "hosts", "type": "worker", "kind": "manager", "pid": 2, "warm": 2, **alive},
            {"id": "agents", "type": "supervisor", "kind": "supervisor", "pid": 3, **alive,
             "children": children},
            {"id": "front", "type": "worker", "kind": "http", "pid": 4, **alive,
             "unreachable": "silent"},
        ],
    }  # fmt: skip


async def test_an_admin_of_the_default_tenant_sees_everything(
    front: Front, admin: httpx.AsyncClient, agent: UUID, their_agent: UUID
) -> None:
    front.bell.shown = a_tree(agent, their_agent)
    root = (await admin.get(TREE)).json()
    hosts, agents, served = root["children"]
    assert (root["pid"], hosts["warm"], served["unreachable"]) == (1, 2, "silent")
    assert (agents["type"], agents["restart"], agents["restarts"]) == (
        "supervisor", "permanent", 1,
    )  # fmt: skip
    named = [(each["name"], each["tenant"], each["epoch"]) for each in agents["children"]]
    assert named == [("researcher", "default", 3), ("coder", "others", 3)]


@pytest.mark.parametrize(
    ("role", "tenant", "sees"),
    [
        (Role.ADMIN, "others", "coder"),
        (Role.VIEWER, "others", "coder"),
        (Role.OPERATOR, "default", "researcher"),
        (Role.VIEWER, "default", "researcher"),
    ],
)
async def test_others_see_their_own_agents_and_nothing_of_the_platform(
    front: Front, agent: UUID, their_agent: UUID, role: Role, tenant: str, sees: str
) -> None:
    front.bell.shown = a_tree(agent, their_agent)
    client = await front.client(role, tenant)
    root = (await client.get(TREE)).json()
    (agents,) = root["children"]
    (own,) = agents["children"]
    assert (own["name"], own["pid"]) == (sees, 10)
    for above in (root, agents):
        assert above["state"] == "running"
        assert (above["pid"], above["since"], above["restart"]) == (None, None, None)
    status = (await client.get("/api/v1/status")).json()
    assert [child["id"] for child in status["tree"]["children"]] == ["agents"]
    assert [child["name"] for child in status["tree"]["children"][0]["children"]] == [sees]


async def test_who_has_no_agent_sees_that_the_root_stands(
    front: Front, theirs: httpx.AsyncClient, agent: UUID
) -> None:
    front.bell.shown = a_tree(agent)
    root = (await theirs.get(TREE)).json()
    assert (root["id"], root["state"], root["children"]) == ("root", "running", [])


async def test_a_tree_that_cannot_be_had_is_not_now(front: Front, admin: httpx.AsyncClient) -> None:
    front.bell.shown = None
    response = await admin.get(TREE)
    assert (response.status_code, response.json()["code"]) == (503, "AOS-6103")


async def test_events_are_newest_first_and_filtered(
    admin: httpx.AsyncClient, database: Database, agent: UUID
) -> None:
    for ago, kind in ((300, "ended"), (200, "restarting"), (100, "started")):
        await happened(database, agent, kind, ago=ago, reason="crash", delay_ms=5)
    await happened(database, "front", "ended")

    async def found(**params: Any) -> list[tuple[str, str]]:
        page = (await admin.get(EVENTS, params=params)).json()
        return [(event["name"] or event["child"], event["kind"]) for event in page["items"]]

    assert await found() == [
        ("front", "ended"), ("researcher", "started"), ("researcher", "restarting"),
        ("researcher", "ended"),
    ]  # fmt: skip
    for child in (str(agent), "researcher"):
        assert await found(child=child, kind="ended") == [("researcher", "ended")]
    since = datetime.now(UTC) - timedelta(seconds=150)
    assert await found(child="researcher", since=since.isoformat()) == [("researcher", "started")]
    assert await found(child="front") == [("front", "ended")]
    event = (await admin.get(EVENTS, params={"kind": "started"})).json()["items"][0]
    assert (event["reason"], event["delay_ms"], event["supervisor"]) == ("crash", 5, "agents")


async def test_pages_of_events_neither_repeat_nor_skip(
    admin: httpx.AsyncClient, database: Database, agent: UUID
) -> None:
    for number in range(7):
        await happened(database, agent, "started", detail=str(number))
    seen: list[str] = []
    params: dict[str, Any] = {"limit": 3, "child": "researcher"}
    answers: list[str | None] = []
    while True:
        page = (await admin.get(EVENTS, params=params)).json()
        seen += [event["detail"] for event in page["items"]]
        answers.append(page["why"])
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert seen == ["6", "5", "4", "3", "2", "1", "0"]
    assert [answer is None for answer in answers] == [False, True, True]


async def test_filters_that_cannot_be_are_refused(
    admin: httpx.AsyncClient, database: Database, agent: UUID
) -> None:
    await database.execute(
        "INSERT INTO agents (agent_id, tenant_id, name, profile)"
        " SELECT gen_random_uuid(), 'default', 'a' || n, profile FROM agents,"
        " generate_series(1, 60) n"
    )
    foreign = (await admin.get("/api/v1/agents")).json()["next_cursor"]
    for params, status, code in (
        ({"cursor": "x"}, 400, "AOS-1104"),
        ({"cursor": foreign}, 400, "AOS-1104"),
        ({"since": "yesterday"}, 422, "AOS-1101"),
        ({"since": "2026-01-01T00:00:00"}, 422, "AOS-1101"),
        ({"kind": "Started!"}, 422, "AOS-1101"),
        ({"child": "a\x00b"}, 422, "AOS-1101"),
        ({"child": "nobody"}, 404, "AOS-1110"),
    ):
        response = await admin.get(EVENTS, params=params)
        assert (response.status_code, response.json()["code"]) == (status, code), params


async def test_a_tenant_reads_of_its_own_agents_only(
    front: Front, theirs: httpx.AsyncClient, database: Database, agent: UUID, their_agent: UUID
) -> None:
    await happened(database, agent, "ended", tenant_id="default")
    await happened(database, their_agent, "ended", tenant_id="others")
    await happened(database, "front", "ended")
    ours, everything = await front.client(Role.VIEWER), await front.client(Role.ADMIN)

    async def names(client: httpx.AsyncClient) -> list[str]:
        items = (await client.get(EVENTS)).json()["items"]
        return [event["name"] or event["child"] for event in items]

    assert await names(ours) == ["researcher"]
    assert await names(theirs) == ["coder"]
    assert await names(everything) == ["front", "coder", "researcher"]
    for client, child in ((theirs, agent), (theirs, "front"), (ours, their_agent), (ours, "front")):
        refused = await client.get(EVENTS, params={"child": str(child)})
        assert (refused.status_code, refused.json()["code"]) == (404, "AOS-1110")
    page = (await everything.get(EVENTS, params={"child": str(their_agent)})).json()
    assert [event["tenant"] for event in page["items"]] == ["others"]


async def test_the_answer_comes_from_the_living_tree_and_the_record(
    front: Front, admin: httpx.AsyncClient, database: Database, agent: UUID
) -> None:
    front.bell.shown = a_tree(agent)
    for kind in ("ended", "restarting", "started"):
        await happened(database, agent, kind, ago=95 * 60 + 25, reason="killed")
    why = (await admin.get(EVENTS, params={"child": "researcher"})).json()["why"]
    assert "researcher was restarted once in the last 24 h, last 95 min ago" in why
    assert "because it was killed; it runs as process 10 since" in why
    front.bell.shown = None
    why = (await admin.get(EVENTS, params={"child": "researcher"})).json()["why"]
    assert "researcher is passive: the last that is known of it is `started`" in why


async def test_an_agent_may_be_called_like_a_part_of_the_platform(
    admin: httpx.AsyncClient, database: Database
) -> None:
    made = (await admin.post("/api/v1/agents", json={"name": "front"})).json()
    await happened(database, "front", "ended", detail="the platform's")
    await happened(database, made["id"], "ended", detail="the agent's", tenant_id="default")
    page = (await admin.get(EVENTS, params={"child": "front"})).json()
    assert [event["detail"] for event in page["items"]] == ["the agent's"]


async def test_a_team_is_found_by_name_and_is_its_tenants(
    front: Front, admin: httpx.AsyncClient, theirs: httpx.AsyncClient, database: Database,
    their_agent: UUID,
) -> None:  # fmt: skip
    declared = {"name": "desk", "children": [{"id": "scribe", "agent": "coder"}]}
    made = await theirs.post("/api/v1/teams", json=declared)
    child = f"team:{made.json()['id']}"
    await happened(database, child, "quarantined", tenant_id="others")
    await happened(database, "clock", "ended", tenant_id="others", reason="crash")
    until = (datetime.now(UTC) + timedelta(seconds=40)).isoformat()
    team = {"id": child, "state": "quarantined", "until": until, "children": []}
    working = {**team, "state": "running", "kind": "team", "children": [
        {"id": "clock", "state": "running", "restarts": 1},
        {"id": "scribe", "agent_id": str(their_agent), "state": "running"},
    ]}  # fmt: skip
    for stands in (team, working):
        front.bell.shown = {"id": "root", "children": [{"id": "agents", "children": [stands]}]}
        (agents,) = (await theirs.get(TREE)).json()["children"]
        assert [node["name"] for node in agents["children"]] == ["desk"], "whatever it tells"
    for called in ("desk", child):
        page = (await theirs.get(EVENTS, params={"child": called})).json()
        assert [(event["name"], event["kind"]) for event in page["items"]] == [
            ("desk", "quarantined")
        ]
    page = (await theirs.get(EVENTS, params={"child": "clock"})).json()
    assert [event["reason"] for event in page["items"]] == ["crash"]
    front.bell.shown = {"id": "root", "children": [{"id": "agents", "children": [team]}]}
    page = (await theirs.get(EVENTS, params={"child": "desk"})).json()
    assert "desk is quarantined until" in page["why"]
    assert "Release it now with `aos team start desk`." in page["why"]
    member = (await theirs.get(EVENTS, params={"child": "coder"})).json()
    assert "coder is passive" in member["why"]
    strangers = await front.client(Role.OPERATOR)
    for called in ("desk", child, "clock"):
        refused = await strangers.get(EVENTS, params={"child": called})
        assert refused.json()["code"] == "AOS-1110"


async def test_release_is_asked_of_the_supervisor(
    front: Front, http: httpx.AsyncClient, agent: UUID
) -> None:
    for name in ("researcher", str(agent)):
        response = await http.post(f"/api/v1/agents/{name}/release")
        assert (response.status_code, response.json()["id"]) == (202, str(agent))
    assert front.bell.released == [("default", agent)] * 2


async def test_what_is_not_quarantined_cannot_be_released(
    front: Front, http: httpx.AsyncClient, agent: UUID
) -> None:
    front.bell.refusal = RequestRefused("not_quarantined: it runs", why="not_quarantined")
    response = await http.post("/api/v1/agents/researcher/release")
    problem = response.json()
    assert (response.status_code, problem["code"]) == (409, "AOS-4102")
    assert (problem["why"], problem["retryable"]) == ("not_quarantined", False)
    assert "aos tree" in problem["next_action"]
    front.bell.refusal = RequestRefused("not_found: agents has no child 1-2-3", why="not_found")
    problem = (await http.post("/api/v1/agents/researcher/release")).json()
    assert (problem["why"], problem["detail"]) == (
        "not_quarantined", "not_quarantined: researcher is passive",
    )  # fmt: skip


async def test_who_may_release(
    front: Front, theirs: httpx.AsyncClient, http: httpx.AsyncClient, agent: UUID
) -> None:
    viewer = await front.client(Role.VIEWER)
    for client, status, code in ((viewer, 403, "AOS-2003"), (theirs, 404, "AOS-3101")):
        refused = await client.post(f"/api/v1/agents/{agent}/release")
        assert (refused.status_code, refused.json()["code"]) == (status, code)
    assert front.bell.released == []
    front.bell.refusal = NotReady("the supervisor agents is not there yet")
    assert (await http.post(f"/api/v1/agents/{agent}/release")).status_code == 503
