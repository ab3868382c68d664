"""`http_call` against a server of the test's own."""

from __future__ import annotations

from typing import Any

from aos.skills.builtin import http_call
from aos.skills.contracts import JsonObject, StructuredOutcome
from tests.support.raw_server import Answer, RawServer
from tests.support.skill_calls import run, settings


async def ask(
    *answers: Answer, path: str = "/page", **params: Any
) -> tuple[StructuredOutcome, list[str]]:
    """The outcome of one call to a server that gives these answers, and what it received."""
    async with RawServer(*answers) as server:
        outcome = await call(server, path, **params)
        return outcome, server.requests


async def call(server: RawServer, path: str = "/page", **params: Any) -> StructuredOutcome:
    request: JsonObject = {"url": server.url(path), **params}
    allowed = settings(private_hosts_allowed=(server.host_port,))
    outcome = await run(http_call, request, using=allowed)
    assert outcome.ok or outcome.code in http_call.descriptor.failure_modes
    return outcome


def output(outcome: StructuredOutcome) -> dict[str, Any]:
    assert outcome.ok, outcome
    assert isinstance(outcome.output, dict)
    return dict(outcome.output)
