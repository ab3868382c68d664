"""Redirects: each hop passes the same guard, and a write is never lost sight of."""

from __future__ import annotations

from typing import Any

import pytest
from tests.support.raw_server import RawServer, answer
from tests.support.skill_calls import run, settings

from aos.skills.builtin import http_call
from aos.skills.contracts import EffectState, StructuredOutcome


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(status, Location=location)


async def call(
    server: RawServer, *others: RawServer, path: str = "/start", **params: Any
) -> StructuredOutcome:
    allowed = tuple(each.host_port for each in (server, *others))
    return await run(
        http_call,
        {"url": server.url(path), **params},
        using=settings(private_hosts_allowed=allowed),
    )


async def test_redirects_are_followed_and_the_last_url_is_told() -> None:
    async with RawServer(redirect("/a"), redirect("b?x=1"), answer(body=b"end")) as server:
        outcome = await call(server)
        assert outcome.ok
        assert outcome.output["url"] == server.url("/b?x=1")
        assert [each.split()[1] for each in server.requests] == ["/start", "/a", "/b?x=1"]


async def test_five_are_followed_and_six_are_not() -> None:
    async with RawServer(*[redirect("/on")] * 5, answer(body=b"end")) as server:
        assert (await call(server)).ok
    async with RawServer(redirect("/on")) as server:
        outcome = await call(server)
        assert (outcome.code, len(server.requests)) == ("ERR_HTTP_4XX", 6)
        assert "more than 5 redirects" in outcome.message


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:{other}/",
        "http://2130706433:{other}/",
        "http://127.0.0.1:{other}/",
        "//127.0.0.1:{other}/",
        "file:///etc/passwd",
        "ftp://example.com/",
        "gopher://127.0.0.1:{other}/",
    ],
)
async def test_no_redirect_leads_where_a_request_may_not_go(target: str) -> None:
    async with RawServer(answer(body=b"secret")) as other:
        async with RawServer(redirect(target.format(other=other.port))) as server:
            outcome = await call(server)
        assert (outcome.code, outcome.retryable) == ("ERR_BLOCKED_ADDRESS", False)
        assert other.requests == []


async def test_headers_meant_for_one_server_are_not_shown_to_another() -> None:
    headers = {"X-Api-Key": "k", "Authorization": "Bearer t", "Accept": "text/html"}
    async with RawServer(answer()) as other:
        async with RawServer(redirect("/same"), redirect(other.url("/else"))) as server:
            assert (await call(server, other, headers=headers)).ok
        for name in ("X-Api-Key: k", "Authorization: Bearer t", "Accept: text/html"):
            assert name in server.requests[1]
        assert "Accept: text/html" in other.requests[0]
        assert "Bearer" not in other.requests[0]
        assert "X-Api-Key" not in other.requests[0]


async def test_a_write_that_is_sent_on_is_sent_whole() -> None:
    async with RawServer(redirect("/new", "307 Temporary Redirect"), answer()) as server:
        outcome = await call(server, method="POST", body={"a": 1})
        assert outcome.effect is EffectState.DONE
        assert [each.split()[0] for each in server.requests] == ["POST", "POST"]
        assert all(each.endswith('{"a": 1}') for each in server.requests)
        assert all("Idempotency-Key: run-1/s1/1" in each for each in server.requests)
        assert len(outcome.side_effects) == 1


@pytest.mark.parametrize(
    ("status", "last", "code", "effect"),
    [
        # The first server took the write and points at its result: it is not known what happened.
        ("303 See Other", answer("404 Not Found"), "ERR_HTTP_404", EffectState.UNKNOWN),
        ("302 Found", answer("500 No"), "ERR_HTTP_500", EffectState.UNKNOWN),
        ("303 See Other", answer(), "OK", EffectState.DONE),
        # Or it only knows who will take it, and that one refused.
        ("307 Temporary Redirect", answer("404 Not Found"), "ERR_HTTP_404", EffectState.NONE),
        ("308 Permanent Redirect", answer("500 No"), "ERR_HTTP_500", EffectState.UNKNOWN),
    ],
)
async def test_what_is_known_of_a_write_that_was_redirected(
    status: str, last: bytes, code: str, effect: EffectState
) -> None:
    async with RawServer(redirect("/next", status), last) as server:
        outcome = await call(server, method="POST", body="x")
        assert (outcome.code, outcome.effect) == (code, effect)


async def test_a_write_redirected_to_a_blocked_address_was_not_done() -> None:
    async with RawServer(redirect("http://10.0.0.1/", "307 Temporary Redirect")) as server:
        outcome = await call(server, method="POST", body="x")
        assert (outcome.code, outcome.effect) == ("ERR_BLOCKED_ADDRESS", EffectState.NONE)


async def test_a_redirect_without_a_place_to_go_is_an_answer() -> None:
    async with RawServer(answer("300 Multiple Choices", b"choose")) as server:
        outcome = await call(server)
        assert outcome.output["status_code"] == 300
