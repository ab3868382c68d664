"""`http_call` against real servers: what each answer, and each lack of one, becomes."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
from pathlib import Path

import pytest
from tests.support.http_calls import ask, call, output
from tests.support.raw_server import Answer, RawServer, answer
from tests.support.skill_calls import events_of, run, settings

from aos.cluster.canonical import bytes_hash
from aos.skills.builtin import http_call
from aos.skills.contracts import EffectState

NONE, DONE, UNKNOWN = EffectState.NONE, EffectState.DONE, EffectState.UNKNOWN


async def test_a_page() -> None:
    outcome, requests = await ask(answer(body="zwölf".encode(), X_Tea="green"))
    found = output(outcome)
    assert (found["status_code"], found["body"]) == (200, "zwölf")
    assert found["headers"]["x-tea"] == "green"
    assert found["body_hash"] == bytes_hash("zwölf".encode())
    assert found["url"].endswith("/page")
    assert (outcome.effect, outcome.side_effects) == (NONE, ())
    assert requests[0].startswith("GET /page HTTP/1.1\r\n")
    assert "idempotency-key" not in requests[0].lower()


async def test_query_headers_and_json_are_sent() -> None:
    outcome, requests = await ask(
        answer("201 Created", b"{}", "application/json"),
        path="/items?a=1",
        method="POST",
        params={"b": "two words", "c": [1, True]},
        headers={"X-Mine": "yes"},
        body={"name": "Zoë"},
    )
    head, _, body = requests[0].partition("\r\n\r\n")
    assert head.startswith("POST /items?a=1&b=two+words&c=1&c=true HTTP/1.1")
    assert "X-Mine: yes" in head
    assert "Content-Type: application/json" in head
    assert "Idempotency-Key: run-1/s1/1" in head
    assert json.loads(body.encode("latin-1")) == {"name": "Zoë"}
    assert outcome.effect is DONE
    assert [each.target.split()[0] for each in outcome.side_effects] == ["POST"]


async def test_a_string_is_sent_as_it_is_and_given_headers_win() -> None:
    _, requests = await ask(
        answer(),
        method="PUT",
        body="<x/>",
        headers={"Content-Type": "application/xml", "Idempotency-Key": "mine"},
    )
    head, _, body = requests[0].partition("\r\n\r\n")
    assert body == "<x/>"
    assert "Content-Type: application/xml" in head
    assert "Idempotency-Key: mine" in head
    assert "run-1" not in head


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        ("400 Bad Request", "ERR_HTTP_400", False),
        ("401 Unauthorized", "ERR_HTTP_401", False),
        ("403 Forbidden", "ERR_HTTP_403", False),
        ("404 Not Found", "ERR_HTTP_404", False),
        ("408 Request Timeout", "ERR_HTTP_408", True),
        ("418 Teapot", "ERR_HTTP_4XX", False),
        ("429 Too Many Requests", "ERR_HTTP_429", True),
        ("500 Internal Server Error", "ERR_HTTP_500", True),
        ("502 Bad Gateway", "ERR_HTTP_502", True),
        ("503 Service Unavailable", "ERR_HTTP_503", True),
        ("504 Gateway Timeout", "ERR_HTTP_504", True),
        ("507 Insufficient Storage", "ERR_HTTP_5XX", True),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refusal(status: str, code: str, retryable: bool, method: str) -> None:
    outcome, _ = await ask(answer(status, b"because", Retry_After="3"), method=method)
    number = int(status[:3])
    assert (outcome.code, outcome.retryable) == (code, retryable)
    assert outcome.details["status_code"] == number
    assert str(outcome.details["url"]).endswith("/page")
    assert outcome.details["excerpt"] == "because"
    assert outcome.retry_after_ms == 3_000
    assert outcome.effect is (UNKNOWN if method == "POST" and number >= 500 else NONE)
    assert outcome.side_effects == ()


async def test_retry_after_may_be_a_date() -> None:
    stale, _ = await ask(answer("503 No", Retry_After="Sat, 21 Nov 2020 12:00:00 GMT"))
    assert stale.retry_after_ms == 0
    silent, _ = await ask(answer("503 No"))
    assert silent.retry_after_ms is None


async def test_an_error_page_that_cannot_be_read_does_not_hide_the_status() -> None:
    broken = b"HTTP/1.1 503 No\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nsor"
    outcome, _ = await ask(broken)
    assert (outcome.code, outcome.details["excerpt"]) == ("ERR_HTTP_503", "sor")
    image, _ = await ask(answer("404 No", b"\x89PNG", "image/png"))
    assert (image.code, image.details["excerpt"]) == ("ERR_HTTP_404", "")
    long, _ = await ask(answer("500 No", b"x" * 100_000))
    assert len(str(long.details["excerpt"])) == 500


def _unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def test_nobody_listens() -> None:
    port = _unused_port()
    outcome = await run(
        http_call,
        {"url": f"http://127.0.0.1:{port}/", "method": "POST"},
        using=settings(private_hosts_allowed=(f"127.0.0.1:{port}",)),
    )
    assert (outcome.code, outcome.effect, outcome.retryable) == (
        "ERR_CONNECTION_REFUSED",
        NONE,
        True,
    )


def self_signed() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(Path(__file__).parent / "self_signed.pem")
    return context


async def test_a_certificate_that_nobody_vouches_for() -> None:
    async with RawServer(answer(), tls=self_signed()) as server:
        outcome = await call(server, method="POST")
    assert (outcome.code, outcome.effect, outcome.retryable) == ("ERR_SSL", NONE, False)
    assert outcome.blame == "operator"


async def hang(server: RawServer, writer: asyncio.StreamWriter) -> None:
    await writer.wait_closed()


async def reset(server: RawServer, writer: asyncio.StreamWriter) -> None:
    """Close such that the peer gets a reset instead of an end."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


HALF = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 99\r\n\r\nhalf"


async def half_then_hang(server: RawServer, writer: asyncio.StreamWriter) -> None:
    await server.send(writer, HALF)
    await writer.wait_closed()


@pytest.mark.parametrize(("method", "effect"), [("GET", NONE), ("POST", UNKNOWN), ("PUT", UNKNOWN)])
async def test_no_answer_in_time(method: str, effect: EffectState) -> None:
    async with RawServer(hang) as server:
        outcome = await call(server, method=method, timeout_s=0.2)
    assert (outcome.code, outcome.effect, outcome.retryable) == ("ERR_TIMEOUT", effect, True)


async def test_a_body_that_does_not_end_in_time_was_a_write_that_was_answered() -> None:
    async with RawServer(half_then_hang) as server:
        outcome = await call(server, method="POST", timeout_s=1)
    assert (outcome.code, outcome.effect) == ("ERR_TIMEOUT", DONE)


@pytest.mark.parametrize("broken", [reset, b"", b"garbage\r\n\r\n", HALF], ids=str)
async def test_a_connection_that_breaks(broken: Answer) -> None:
    reading, _ = await ask(broken)
    assert (reading.code, reading.effect, reading.retryable) == ("ERR_CONNECTION_LOST", NONE, True)
    writing, _ = await ask(broken, method="POST")
    expected = DONE if broken is HALF else UNKNOWN
    assert (writing.code, writing.effect) == ("ERR_CONNECTION_LOST", expected)


async def test_credentials_in_a_url_are_used_and_not_shown() -> None:
    async with RawServer(answer("403 Forbidden")) as server:
        url = server.url("/x").replace("http://", "http://ada:s3cret-word@")
        allowed = settings(private_hosts_allowed=(server.host_port,))
        texts, outcome = await events_of(http_call, {"url": url}, using=allowed)
        assert "Authorization: Basic" in server.requests[0]
    assert "s3cret-word" not in outcome.model_dump_json() + "".join(texts)
    assert outcome.details["url"] == url.replace("ada:s3cret-word@", "")


async def test_the_permission_is_needed() -> None:
    outcome = await run(http_call, {"url": "https://example.com"}, permissions=())
    assert outcome.details == {"missing": ["network:outbound"]}


@pytest.mark.parametrize("url", ["http://[::1/", "http://127.0.0.1:99999/"])
async def test_a_url_that_is_none(url: str) -> None:
    outcome = await run(http_call, {"url": url})
    assert (outcome.code, outcome.effect) == ("ERR_VALIDATION_FAILED", NONE)
