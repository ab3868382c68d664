from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aos.cluster.canonical import canonical
from aos.skills.builtin.http_model import HttpCallInput
from aos.skills.builtin.http_text import decode, is_text


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("", True),
        ("text/html; charset=utf-8", True),
        ("TEXT/Plain", True),
        ("application/json", True),
        ("application/problem+json", True),
        ("image/svg+xml", True),
        ("application/xhtml+xml", True),
        ("image/png", False),
        ("application/octet-stream", False),
        ("application/pdf", False),
        ("video/mp4", False),
    ],
)
def test_what_counts_as_text(content_type: str, expected: bool) -> None:
    assert is_text(content_type) is expected


@pytest.mark.parametrize(
    ("body", "charset", "text"),
    [
        (b"caf\xc3\xa9", None, "café"),
        (b"caf\xe9", "iso-8859-1", "café"),
        (b"caf\xe9", "utf-8", "caf\ufffd"),
        (b"\xef\xbb\xbf{}", None, "{}"),
        (b"plain", "no-such-charset", "plain"),
        (b"plain", "hex", "plain"),
        (b"plain", "a\0b", "plain"),
        (b"\\ud800", "unicode_escape", "?"),
    ],
)
def test_decoding(body: bytes, charset: str | None, text: str) -> None:
    assert decode(body, charset) == text


@given(st.binary(), st.sampled_from([None, "utf-8", "utf-16", "utf-7", "latin-1", "punycode"]))
def test_every_body_becomes_a_storable_text(body: bytes, charset: str | None) -> None:
    canonical(decode(body, charset))


@pytest.mark.parametrize(
    "params",
    [
        {"url": "ftp://example.com/"},
        {"url": "file:///etc/passwd"},
        {"url": "http:///path"},
        {"url": "https://example.com", "method": "get"},
        {"url": "https://example.com", "method": "CONNECT"},
        {"url": "https://example.com", "timeout_s": 301},
        {"url": "https://example.com", "timeout_s": 0},
        {"url": "https://example.com", "max_bytes": 10 * 1024 * 1024 + 1},
        {"url": "https://example.com", "headers": {"a b": "c"}},
        {"url": "https://example.com", "headers": {"x": "a\r\nInjected: yes"}},
        {"url": "https://example.com", "headers": {"x": "ü"}},
        {"url": "https://example.com", "headers": {"Host": "internal"}},
        {"url": "https://example.com", "headers": {"content-length": "0"}},
        {"url": "https://example.com", "headers": {"Accept-Encoding": "br"}},
        {"url": "https://example.com", "retries": 3},
    ],
)
def test_requests_that_are_refused(params: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        HttpCallInput.model_validate(params)
