"""Bad input gets a clear error with a code and a next action, and loses nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import httpx
from tests.support.api_front import Front, some_id

from aos.api.auth import KeyStore
from aos.cluster.identity import DEFAULT_TENANT, Role

RUNS = "/api/v1/runs"
JSON = {"Content-Type": "application/json"}


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["code"] == code
    assert body["type"] == f"urn:aos:problem:{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    assert body["next_action"]
    assert body["request_id"] == response.headers["x-request-id"]
    return body


async def runs_in(front: Front) -> int:
    return await front.database.fetch_value("SELECT count(*) FROM runs")


async def test_a_goal_that_cannot_be_accepted_names_the_field(
    front: Front, http: httpx.AsyncClient, agent: UUID
) -> None:
    refused: dict[object, str] = {
        "": "at least 1",
        " \n\t ": "at least 1",
        "x" * 10_001: "at most 10000",
        "a\x00b": "NUL",
        7: "string",
    }
    for goal, message in refused.items():
        response = await http.post(RUNS, json={"agent": "researcher", "goal": goal})
        body = problem(response, 422, "AOS-1101")
        assert [error["field"] for error in body["errors"]] == ["goal"]
        assert message in body["errors"][0]["message"]
    assert await runs_in(front) == 0


async def test_the_longest_goal_is_accepted_and_white_space_around_it_does_not_count(
    http: httpx.AsyncClient, agent: UUID
) -> None:
    goal = "é" * 10_000
    response = await http.post(RUNS, json={"agent": "researcher", "goal": f"  {goal}\n"})
    assert response.status_code == 202
    assert response.json()["goal"] == goal


async def test_a_lone_surrogate_is_not_text(http: httpx.AsyncClient, agent: UUID) -> None:
    body = rb'{"agent": "researcher", "goal": "\ud800"}'
    problem(await http.post(RUNS, content=body, headers=JSON), 422, "AOS-1101")


async def test_an_unknown_agent(front: Front, http: httpx.AsyncClient) -> None:
    for who in ("nobody", some_id()):
        response = await http.post(RUNS, json={"agent": who, "goal": "x"})
        assert who in problem(response, 404, "AOS-3101")["detail"]
    assert await runs_in(front) == 0


async def test_unknown_fields_are_refused_not_ignored(http: httpx.AsyncClient, agent: UUID) -> None:
    body = {"agent": "researcher", "goal": "x", "priorty": 5}
    response = await http.post(RUNS, json=body)
    assert problem(response, 422, "AOS-1101")["errors"][0]["field"] == "priorty"


async def test_malformed_json(http: httpx.AsyncClient, agent: UUID) -> None:
    for body in (b"{", b'{"agent": "researcher"', b"\xff\xfe", b"[" * 100_000, b"nonsense"):
        problem(await http.post(RUNS, content=body, headers=JSON), 400, "AOS-1102")


async def test_json_that_is_no_object(http: httpx.AsyncClient, agent: UUID) -> None:
    for body in (b"[]", b"null", b"3", b""):
        problem(await http.post(RUNS, content=body, headers=JSON), 422, "AOS-1101")


async def test_a_body_over_the_limit_is_refused_by_its_length(http: httpx.AsyncClient) -> None:
    body = json.dumps({"agent": "researcher", "goal": "x" * 2_200_000}).encode()
    problem(await http.post(RUNS, content=body, headers=JSON), 413, "AOS-1103")


async def test_a_body_that_hides_its_length_is_refused_while_it_arrives(
    http: httpx.AsyncClient,
) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"x" * 10_000

    problem(await http.post(RUNS, content=endless(), headers=JSON), 413, "AOS-1103")


async def test_no_key(front: Front) -> None:
    response = await front.open().get(RUNS)
    problem(response, 401, "AOS-2001")
    assert response.headers["www-authenticate"].startswith("Bearer")


async def test_who_has_no_key_is_not_told_what_is_wrong_with_the_request(front: Front) -> None:
    stranger = front.open(JSON)
    problem(await stranger.post(RUNS, content=b"{"), 401, "AOS-2001")
    problem(await stranger.get("/no/such/path"), 401, "AOS-2001")
    problem(await stranger.get("/metrics"), 401, "AOS-2001")


async def test_a_wrong_key(front: Front) -> None:
    stranger, looks_right = front.open(), "aos_12345678_" + "x" * 43
    for header in (
        {"Authorization": f"Bearer {looks_right}".encode()},
        {"Authorization": b"Bearer nonsense"},
        {"Authorization": "Bearer é".encode()},
        {"X-AOS-Key": looks_right.encode()},
    ):
        problem(await stranger.get(RUNS, headers=header), 401, "AOS-2002")


async def test_a_known_id_with_another_secret_is_wrong_too(front: Front) -> None:
    key = await front.key()
    forged = key[:-1] + ("a" if key[-1] != "a" else "b")
    response = await front.open({"Authorization": f"Bearer {forged}"}).get(RUNS)
    problem(response, 401, "AOS-2002")


async def test_a_revoked_key(front: Front) -> None:
    key = await front.key()
    assert await KeyStore(front.database).revoke(DEFAULT_TENANT, key[4:12])
    problem(await front.open({"X-AOS-Key": key}).get(RUNS), 401, "AOS-2002")


async def test_both_headers_carry_a_key(front: Front) -> None:
    key = await front.key()
    for header in ({"X-AOS-Key": key}, {"Authorization": f"bearer {key}"}):
        assert (await front.open(header).get(RUNS)).status_code == 200


async def test_a_viewer_reads_and_does_not_write(front: Front, agent: UUID) -> None:
    viewer = await front.client(Role.VIEWER)
    assert (await viewer.get(RUNS)).status_code == 200
    assert (await viewer.get("/metrics")).status_code == 200
    response = await viewer.post(RUNS, json={"agent": "researcher", "goal": "x"})
    assert "operator" in problem(response, 403, "AOS-2003")["detail"]
    problem(await viewer.post("/api/v1/agents", json={"name": "mine"}), 403, "AOS-2003")
    assert await runs_in(front) == 0


async def test_unknown_paths_and_methods(http: httpx.AsyncClient) -> None:
    problem(await http.get("/api/v1/nothing"), 404, "AOS-1105")
    response = await http.delete(RUNS)
    problem(response, 405, "AOS-1106")
    assert response.headers["allow"]


async def test_a_bad_cursor(http: httpx.AsyncClient) -> None:
    for path in (RUNS, "/api/v1/agents"):
        for cursor in ("x", "!!!!", "AAAA", "é", "a" * 300):
            problem(await http.get(path, params={"cursor": cursor}), 400, "AOS-1104")


async def test_a_bad_limit(http: httpx.AsyncClient) -> None:
    for limit in ("0", "201", "many"):
        response = await http.get(RUNS, params={"limit": limit})
        assert problem(response, 422, "AOS-1101")["errors"][0]["field"] == "limit"


async def test_an_unknown_run(http: httpx.AsyncClient) -> None:
    run = some_id()
    for path in (f"{RUNS}/{run}", f"{RUNS}/{run}/events", f"{RUNS}/{run}/values/sha256:00"):
        problem(await http.get(path), 404, "AOS-3002")
    for path in (f"{RUNS}/nothing", f"{RUNS}/nothing/events", f"{RUNS}/nothing/values/sha256:00"):
        body = problem(await http.get(path), 404, "AOS-1111")
        assert body["detail"] == "'nothing' is not the id of a run"
        assert "aos runs ls" in body["next_action"]


async def test_a_bad_profile_names_its_fields(http: httpx.AsyncClient) -> None:
    body = {"name": "Not A Name", "limits": {"max_steps": 0}, "colour": "red"}
    response = await http.post("/api/v1/agents", json=body)
    fields = {error["field"] for error in problem(response, 422, "AOS-1101")["errors"]}
    assert fields == {"name", "limits.max_steps", "colour"}


async def test_an_idempotency_key_has_a_length(http: httpx.AsyncClient, agent: UUID) -> None:
    for key in ("", "x" * 256):
        response = await http.post(
            RUNS, json={"agent": "researcher", "goal": "x"}, headers={"Idempotency-Key": key}
        )
        problem(response, 422, "AOS-1101")


async def test_a_request_id_is_kept_if_it_is_sane(http: httpx.AsyncClient) -> None:
    kept = await http.get("/health", headers={"X-Request-ID": "my-id.1"})
    assert kept.headers["x-request-id"] == "my-id.1"
    made = await http.get("/health", headers={"X-Request-ID": "no spaces\tplease"})
    assert UUID(made.headers["x-request-id"])


async def test_every_answer_has_the_security_headers(front: Front) -> None:
    for response in (await front.open().get("/health"), await front.open().get("/nothing")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in response.headers["content-security-policy"]
