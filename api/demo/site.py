"""A small real web site on loopback. It counts every request: what was fetched twice shows here.

`/flaky` answers 503 twice, then 200; `/slow/<n>` takes a while; `/large` is too large for a
journal event; the rest are plain pages.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

_PAGES = Path(__file__).with_name("pages")
_FLAKY_REFUSALS = 2


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request as it came in; `at` is the monotonic clock."""

    at: float
    path: str
    key: str | None


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is no event here: killing them is what the demo does."""


class DemoSite:
    """Serves the pages from a thread of its own, on a free port of 127.0.0.1."""

    def __init__(self, slow_seconds: float = 1.5) -> None:
        self.slow_seconds = slow_seconds
        self.answered: Counter[str] = Counter()
        self.arrivals: list[Arrival] = []
        self._changed = threading.Condition()
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                site.note(self.path, self.headers.get("Idempotency-Key"))
                status, body = site.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                if status == HTTPStatus.SERVICE_UNAVAILABLE:
                    self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()
                site.count(self.path, status)

            do_POST = do_GET  # noqa: N815 - the base class's name

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """The demo's own output is the log."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, path: str) -> str:
        """The full address of a page."""
        return f"http://{self.address}{path}"

    def answer(self, path: str) -> tuple[HTTPStatus, bytes]:
        """Status and body for a path."""
        name = path.strip("/") or "index"
        if name.startswith("slow/"):
            time.sleep(self.slow_seconds)
            number = name.partition("/")[2]
            return HTTPStatus.OK, _page("slow").replace(b"{number}", number.encode())
        if name == "large":
            return HTTPStatus.OK, _page("index") + b"<p>" + b"ebb and flow " * 10_000 + b"</p>"
        if name == "flaky" and self.answered["503 /flaky"] < _FLAKY_REFUSALS:
            return HTTPStatus.SERVICE_UNAVAILABLE, b"<h1>Try again</h1>"
        if name.isalpha() and (_PAGES / f"{name}.html").exists():
            return HTTPStatus.OK, _page(name)
        return HTTPStatus.NOT_FOUND, b"<h1>There is no such page</h1>"

    def note(self, path: str, key: str | None) -> None:
        """Note a request that came in."""
        with self._changed:
            self.arrivals.append(Arrival(time.monotonic(), path, key))
            self._changed.notify_all()

    def count(self, path: str, status: HTTPStatus) -> None:
        """Note an answer that went out completely."""
        with self._changed:
            self.answered[f"{status.value} {path}"] += 1
            self._changed.notify_all()

    def times_answered(self, path: str) -> int:
        """How often a page went out with 200."""
        with self._changed:
            return self.answered[f"200 {path}"]

    def await_arrival(
        self, wanted: Callable[[Arrival], bool], *, after: int = 0, timeout: float = 30.0
    ) -> Arrival:
        """The first request from number `after` on that is wanted, waiting for it if need be.

        Raises `TimeoutError`.
        """
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                for arrival in self.arrivals[after:]:
                    if wanted(arrival):
                        return arrival
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise TimeoutError(f"no such request within {timeout:g} s")


def _page(name: str) -> bytes:
    return (_PAGES / f"{name}.html").read_bytes()
