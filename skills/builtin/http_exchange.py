"""What `http_call` does on the wire. Loads httpx, so only skill processes import it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from ...cluster.canonical import bytes_hash
from ..connection import connection_code
from ..contracts import TAXONOMY, EffectState, JsonValue
from ..retry_after import retry_after_ms
from ..skill import SkillContext, SkillFailure
from .http_model import HttpCallInput, HttpCallOutput
from .http_text import decode, is_text
from .network import BlockedAddress, guarded_client

MAX_REDIRECTS = 5
_EXCERPT_BYTES = 2_048
_EXCERPT_CHARS = 500
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_KEPT_ACROSS_ORIGINS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-length", "content-type", "host"}
    | {"idempotency-key", "transfer-encoding", "user-agent"}
)


@dataclass(slots=True)
class _Exchange:
    """One call, and what the outside world may have seen of it so far.

    `effect` starts at NONE, becomes UNKNOWN the moment a writing request goes out, and is settled
    by the status of the answer. Once a write was answered with a redirect to read elsewhere it
    never falls back to NONE.
    """

    request: HttpCallInput
    context: SkillContext
    url: httpx.URL
    method: str
    effect: EffectState = EffectState.NONE
    floor: EffectState = EffectState.NONE

    async def trace(self, event: str, info: Any) -> None:
        """The trace hook of httpcore: the request line goes out right after this event."""
        if event.endswith("send_request_headers.started") and self.method not in _READS:
            self.effect = EffectState.UNKNOWN

    def answered(self, status: int) -> None:
        """The final word of a server on what it did with a write."""
        if self.method in _READS:
            return
        if status < 400:
            self.effect = EffectState.DONE
            self.context.side_effect("network_request", f"{self.method} {shown(self.url)}")
        elif status < 500:
            self.effect = self.floor

    def redirected(self, following: httpx.Request) -> None:
        """307 and 308 repeat the write elsewhere: not done yet. The others have taken it."""
        if self.method not in _READS:
            self.floor = self.floor if following.method == self.method else EffectState.UNKNOWN
            self.effect = self.floor
        self.method, self.url = following.method, following.url

    def failure(
        self, code: str, message: str, *, retry_after_ms: int | None = None, **details: JsonValue
    ) -> SkillFailure:
        """A failure that carries the URL and what is known of the effect."""
        return SkillFailure(
            code,
            message,
            details={"url": shown(self.url), "method": self.method, **details},
            retry_after_ms=retry_after_ms,
            effect=self.effect,
        )


async def exchange(request: HttpCallInput, context: SkillContext) -> HttpCallOutput:
    """Send the request and read the answer, within `request.timeout_s`. Raises `SkillFailure`."""
    try:
        url = httpx.URL(request.url).copy_merge_params(request.params)
    except httpx.InvalidURL as error:
        raise SkillFailure("ERR_VALIDATION_FAILED", f"url: {error}") from error
    state = _Exchange(request, context, url, request.method)
    try:
        async with (
            asyncio.timeout(request.timeout_s),
            guarded_client(context.settings.private_hosts_allowed) as client,
        ):
            return await _follow(client, state)
    except TimeoutError as error:
        message = f"no complete answer within {request.timeout_s:g} s"
        raise state.failure("ERR_TIMEOUT", message) from error
    except (httpx.HTTPError, httpx.InvalidURL, BlockedAddress, OSError) as error:
        raise state.failure(_code(error), str(error) or type(error).__name__) from error


async def _follow(client: httpx.AsyncClient, state: _Exchange) -> HttpCallOutput:
    outgoing = _outgoing(client, state)
    for _ in range(MAX_REDIRECTS + 1):
        _check(outgoing.url, state)
        response = await client.send(outgoing, stream=True)
        try:
            state.context.progress(f"{state.method} {shown(state.url)}: {response.status_code}")
            following = response.next_request
            if following is None:
                state.answered(response.status_code)
                return await _read(response, state)
        finally:
            await response.aclose()
        _strip(following, outgoing.url)
        state.redirected(following)
        outgoing = following
    raise state.failure("ERR_HTTP_4XX", f"more than {MAX_REDIRECTS} redirects")


def _check(url: httpx.URL, state: _Exchange) -> None:
    """What the network would refuse in less clear words. Redirects come here too."""
    if url.scheme not in ("http", "https"):
        raise state.failure("ERR_BLOCKED_ADDRESS", f"{url.scheme}: is not fetched")
    if url.port is not None and not 0 < url.port < 65_536:
        raise state.failure("ERR_VALIDATION_FAILED", f"there is no port {url.port}")


def _outgoing(client: httpx.AsyncClient, state: _Exchange) -> httpx.Request:
    request = state.request
    headers = httpx.Headers({"User-Agent": "aos-http-call/1.0", "Accept-Encoding": "gzip, deflate"})
    content: bytes | None = None
    if isinstance(request.body, str):
        content = request.body.encode()
        headers["Content-Type"] = "text/plain; charset=utf-8"
    elif request.body is not None:
        content = json.dumps(request.body, ensure_ascii=False, allow_nan=False).encode()
        headers["Content-Type"] = "application/json"
    if request.method != "GET":
        headers["Idempotency-Key"] = state.context.idempotency_key
    headers.update(request.headers)
    return client.build_request(
        request.method,
        state.url,
        headers=headers,
        content=content,
        extensions={"trace": state.trace},
    )


def _strip(following: httpx.Request, previous: httpx.URL) -> None:
    """Headers that the caller meant for one server are not shown to another."""
    if _origin(following.url) == _origin(previous):
        return
    for name in [name for name in following.headers if name not in _KEPT_ACROSS_ORIGINS]:
        del following.headers[name]


def _origin(url: httpx.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


async def _read(response: httpx.Response, state: _Exchange) -> HttpCallOutput:
    if response.status_code >= 400:
        raise await _refusal(response, state)
    content_type = response.headers.get("content-type", "")
    if state.method != "HEAD" and response.headers.get("content-length") != "0":
        if not is_text(content_type):
            raise state.failure("ERR_CONTENT_TYPE", f"{content_type} is not text")
        body = await _body(response, state)
    else:
        body = b""
    if not content_type and b"\0" in body:
        raise state.failure("ERR_CONTENT_TYPE", "the answer has no content type and is not text")
    return HttpCallOutput(
        status_code=response.status_code,
        headers=dict(response.headers),
        body=decode(body, response.charset_encoding),
        body_hash=bytes_hash(body),
        url=shown(state.url),
    )


async def _body(response: httpx.Response, state: _Exchange) -> bytes:
    limit = state.request.max_bytes
    declared = response.headers.get("content-length", "")
    body = bytearray()
    if not (declared.isdigit() and int(declared) > limit):
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > limit:
                break
        else:
            return bytes(body)
    raise state.failure(
        "ERR_RESPONSE_TOO_LARGE", f"the answer is larger than {limit} bytes", max_bytes=limit
    )


async def _refusal(response: httpx.Response, state: _Exchange) -> SkillFailure:
    status = response.status_code
    exact = f"ERR_HTTP_{status}"
    return state.failure(
        exact if exact in TAXONOMY else f"ERR_HTTP_{'4' if status < 500 else '5'}XX",
        f"{state.method} {shown(state.url)} was answered with {status} {response.reason_phrase}",
        retry_after_ms=retry_after_ms(response.headers.get("retry-after"), datetime.now(UTC)),
        status_code=status,
        excerpt=await _excerpt(response),
    )


async def _excerpt(response: httpx.Response) -> str:
    """The beginning of an error page. What cannot be read is left out: the status is the news."""
    body = b""
    if not is_text(response.headers.get("content-type", "")):
        return ""
    try:
        async for chunk in response.aiter_bytes():
            body += chunk[:_EXCERPT_BYTES]
            if len(body) >= _EXCERPT_BYTES:
                break
    except httpx.HTTPError:
        pass
    return decode(body, response.charset_encoding)[:_EXCERPT_CHARS]


def shown(url: httpx.URL) -> str:
    """A URL without the credentials that may be in it."""
    return str(url.copy_with(userinfo=b"") if url.userinfo else url)


def _code(error: Exception) -> str:
    """The taxonomy's code of an exception, by its type."""
    if isinstance(error, BlockedAddress):
        return "ERR_BLOCKED_ADDRESS"
    if isinstance(error, httpx.DecodingError):
        return "ERR_CONTENT_TYPE"
    if isinstance(error, (httpx.LocalProtocolError, httpx.InvalidURL)):
        return "ERR_VALIDATION_FAILED"
    return connection_code(error)
