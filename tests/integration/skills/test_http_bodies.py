"""What `http_call` makes of bodies: limits, encodings, and what is not text."""

from __future__ import annotations

import asyncio
import gzip

import pytest
from tests.support.http_calls import ask, call, output
from tests.support.raw_server import RawServer, answer

from aos.skills.contracts import EffectState

DONE = EffectState.DONE


async def endless(server: RawServer, writer: asyncio.StreamWriter) -> None:
    """A hundred megabytes without a declared length."""
    await server.send(writer, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    for _ in range(1_600):
        await server.send(writer, b"x" * 65_536)


async def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    async with RawServer(endless) as server:
        outcome = await call(server)
        assert outcome.code == "ERR_RESPONSE_TOO_LARGE"
        assert outcome.details["max_bytes"] == 2 * 1024 * 1024
        assert server.sent < 30_000_000


async def test_a_body_that_is_declared_too_large_is_not_read_at_all() -> None:
    huge = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 104857600\r\n\r\n"
    outcome, _ = await ask(huge, method="POST")
    assert (outcome.code, outcome.effect, outcome.retryable) == (
        "ERR_RESPONSE_TOO_LARGE",
        DONE,
        False,
    )


async def test_a_small_body_that_unpacks_to_a_large_one_is_too_large() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    outcome, _ = await ask(answer(body=bomb, Content_Encoding="gzip"))
    assert outcome.code == "ERR_RESPONSE_TOO_LARGE"


async def test_max_bytes_is_exact() -> None:
    fits, _ = await ask(answer(body=b"12345"), max_bytes=5)
    assert output(fits)["body"] == "12345"
    over, _ = await ask(answer(body=b"123456"), max_bytes=5)
    assert over.code == "ERR_RESPONSE_TOO_LARGE"


async def test_compressed_text_is_unpacked() -> None:
    outcome, _ = await ask(answer(body=gzip.compress(b"hello"), Content_Encoding="gzip"))
    assert output(outcome)["body"] == "hello"


@pytest.mark.parametrize(
    "given",
    [
        answer(body=b"\x89PNG", content_type="image/png"),
        answer(body=b"a\0b", content_type=""),
        answer(body=b"not gzip", Content_Encoding="gzip"),
    ],
    ids=["image", "binary without a type", "broken encoding"],
)
async def test_what_is_not_text(given: bytes) -> None:
    outcome, _ = await ask(given)
    assert (outcome.code, outcome.retryable) == ("ERR_CONTENT_TYPE", False)


@pytest.mark.parametrize(
    ("given", "method"),
    [
        (answer(body=b"", content_type="image/png"), "HEAD"),
        (answer("204 No Content", content_type=""), "DELETE"),
        (answer("304 Not Modified", content_type="image/png"), "GET"),
        (answer(body=b"plain", content_type=""), "GET"),
    ],
)
async def test_answers_without_a_body_or_a_type_are_fine(given: bytes, method: str) -> None:
    outcome, _ = await ask(given, method=method)
    assert output(outcome)["status_code"] == int(given[9:12])


async def test_a_declared_charset_is_used() -> None:
    latin = answer(body=b"caf\xe9", content_type="text/plain; charset=iso-8859-1")
    assert output((await ask(latin))[0])["body"] == "café"
