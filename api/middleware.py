"""What happens to every request, in this order. Plain ASGI: event streams must pass unbuffered.

RequestScope    gives the request its id, logs it, adds headers, turns a crash into a problem
BodyLimit       refuses bodies over the limit, by their length or while they arrive
Authenticate    refuses whoever has no key; open are only the paths that are listed as open
"""

from __future__ import annotations

import re
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..cluster.errors import AosError
from ..cluster.ids import new_id
from ..cluster.telemetry import bound, logger
from . import problems
from .auth import KeyStore, presented_key
from .errors import BodyTooLarge

OPEN_PATHS = frozenset({"/health", "/ready", "/version"})
"""Everything else needs a key, also paths that do not exist."""

_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}

log = logger(__name__)


class RequestScope:
    """The outermost layer: an id, a log line, headers, and an answer whatever happens inside."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        status = 0
        began = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        with bound(request_id=request_id):
            try:
                await self._app(scope, receive, send_with_headers)
            except Exception as error:
                response = problems.answer(scope, error)
                if status:  # too late for an answer: the server must cut the connection
                    raise
                await response(scope, receive, send_with_headers)
            finally:
                log.info(
                    "request",
                    method=scope["method"],
                    path=scope["path"],
                    status=status,
                    duration_ms=round((time.perf_counter() - began) * 1000, 1),
                )


class BodyLimit:
    """Refuses a body over the limit before it is in memory."""

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        detail = f"the body is over {self._limit} bytes"
        if _content_length(scope) > self._limit:
            await problems.answer(scope, BodyTooLarge(detail))(scope, receive, send)
            return
        received = 0

        async def receive_counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._limit:
                # The framework would turn any other kind of error into "400, cannot be parsed".
                raise HTTPException(413, detail)
            return message

        await self._app(scope, receive_counted, send)


class Authenticate:
    """Puts the principal into the request's state, or refuses."""

    def __init__(self, app: ASGIApp, keys: KeyStore) -> None:
        self._app = app
        self._keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS:
            headers = Headers(scope=scope)
            try:
                key = presented_key(headers.get("authorization"), headers.get("x-aos-key"))
                scope.setdefault("state", {})["principal"] = await self._keys.authenticate(key)
            except AosError as error:
                await problems.answer(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _request_id(scope: Scope) -> str:
    given = Headers(scope=scope).get("x-request-id", "")
    return given if _SANE_ID.fullmatch(given) else str(new_id())


def _content_length(scope: Scope) -> int:
    given = Headers(scope=scope).get("content-length", "0")
    return int(given) if given.isascii() and given.isdigit() else 0
