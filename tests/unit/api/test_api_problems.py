"""Errors as HTTP, and what every request goes through: without a server."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from aos.actors.roster import AgentExists, AgentNotFound
from aos.actors.runs.store import RunNotFound
from aos.actors.runs.submission import IdempotencyConflict
from aos.api import problems
from aos.api.auth import KeyInvalid, KeyMissing, RoleTooNarrow
from aos.api.errors import (
    BodyTooLarge,
    ChildNotFound,
    InternalError,
    MalformedJson,
    NotARunId,
    NotReady,
    ValidationFailed,
)
from aos.api.middleware import BodyLimit, RequestScope
from aos.cluster.errors import REGISTRY, AosError
from aos.cluster.postgres import DatabaseUnavailable, QueryFailed
from aos.cluster.settings import InvalidSettings
from aos.supervisors.supervisor import RequestRefused as SupervisorRefuses

SECRET = "relation secret_table does not exist"


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValidationFailed, 422), (MalformedJson, 400), (BodyTooLarge, 413), (InvalidSettings, 400),
        (ChildNotFound, 404), (NotARunId, 404), (SupervisorRefuses, 409),
        (KeyMissing, 401), (KeyInvalid, 401), (RoleTooNarrow, 403),
        (AgentNotFound, 404), (AgentExists, 409), (RunNotFound, 404), (IdempotencyConflict, 409),
        (DatabaseUnavailable, 503), (NotReady, 503), (QueryFailed, 500), (InternalError, 500),
    ],
)  # fmt: skip
def test_each_error_has_its_status(error: type[AosError], status: int) -> None:
    assert problems.status_of(error()) == status


def test_every_error_of_ours_can_be_answered() -> None:
    for error in REGISTRY.values():
        body = problems.problem(error("detail"), problems.status_of(error()), "id")
        assert body["code"] == error.code
        assert body["next_action"]


def test_a_500_says_nothing_of_the_inside() -> None:
    body = json.dumps(problems.problem(QueryFailed(SECRET), 500, "id"))
    assert SECRET not in body
    assert SECRET in json.dumps(problems.problem(DatabaseUnavailable(SECRET), 503, "id"))


def test_validation_names_fields_and_repeats_no_values() -> None:
    issue = {"loc": ("body", "limits", 0, "x"), "msg": "too small", "input": SECRET}
    error = problems.validation_failed([issue, {"loc": ("body",), "msg": "no object"}])
    assert error.context["errors"] == [
        {"field": "limits.0.x", "message": "too small"},
        {"field": "body", "message": "no object"},
    ]
    assert SECRET not in str(error)


class Exchange:
    """One request through an ASGI application, without a server."""

    def __init__(self, *chunks: bytes, headers: dict[str, str] | None = None) -> None:
        self.sent: list[Message] = []
        self.chunks = list(chunks)
        self.scope: Scope = {
            "type": "http",
            "method": "POST",
            "path": "/x",
            "headers": [(k.encode(), v.encode()) for k, v in (headers or {}).items()],
        }

    async def receive(self) -> Message:
        body = self.chunks.pop(0) if self.chunks else b""
        return {"type": "http.request", "body": body, "more_body": bool(self.chunks)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def through(self, app: Any) -> Exchange:
        await app(self.scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        return self.sent[0]["status"]

    @property
    def headers(self) -> dict[str, str]:
        return {k.decode(): v.decode() for k, v in self.sent[0]["headers"]}

    @property
    def body(self) -> dict[str, Any]:
        return json.loads(b"".join(message.get("body", b"") for message in self.sent))


async def crashing(scope: Scope, receive: Receive, send: Send) -> None:
    raise RuntimeError(SECRET)


async def crashing_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError(SECRET)


async def test_a_crash_is_a_problem_with_the_request_id() -> None:
    exchange = await Exchange(headers={"x-request-id": "r-1"}).through(RequestScope(crashing))
    assert (exchange.status, exchange.body["code"]) == (500, "AOS-6000")
    assert exchange.body["request_id"] == exchange.headers["x-request-id"] == "r-1"
    assert SECRET not in json.dumps(exchange.body)


async def test_a_crash_after_the_beginning_of_an_answer_cuts_the_connection() -> None:
    exchange = Exchange()
    with pytest.raises(RuntimeError):
        await exchange.through(RequestScope(crashing_late))
    assert len(exchange.sent) == 1


async def test_a_body_is_counted_while_it_arrives() -> None:
    seen: list[int] = []

    async def reading(scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive())["more_body"]:
            seen.append(len(message["body"]))

    with pytest.raises(Exception, match="413"):
        await Exchange(b"x" * 6, b"x" * 6, b"x").through(BodyLimit(reading, limit=10))
    assert seen == [6]
    await Exchange(b"x" * 5, b"x" * 5).through(BodyLimit(reading, limit=10))


async def test_a_body_that_announces_too_much_is_never_read() -> None:
    exchange = await Exchange(b"x", headers={"content-length": "11"}).through(
        BodyLimit(crashing, limit=10)
    )
    assert (exchange.status, exchange.body["code"]) == (413, "AOS-1103")


async def test_cancelling_a_request_is_not_a_crash() -> None:
    async def waiting(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    exchange = Exchange()
    task = asyncio.create_task(exchange.through(RequestScope(waiting)))
    await asyncio.wait({task}, timeout=0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert exchange.sent == []
