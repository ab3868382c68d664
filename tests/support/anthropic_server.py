"""A real HTTP server that speaks Anthropic's Messages API, from a script.

    with AnthropicServer([Turn(text="Hello"), Turn(status=529)]) as server:
        ... anthropic_base_url=server.url ...
    server.requests[0].body["messages"]

Each request takes the next turn; past the end of the script the `fallback` answers. It listens in
threads of this process; `python -m tests.support.anthropic_server turns.json` serves a
JSON list of turns from a process of its own and prints its URL. Only the standard library.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from tests.support.anthropic_protocol import Turn, events, message, refusal

KEY = "sk-ant-test-0123456789"


@dataclass(frozen=True)
class Request:
    """What a client sent. Header names are in lower case."""

    headers: dict[str, str]
    body: dict[str, Any]


TurnOrRule = Turn | Callable[[dict[str, Any]], Turn]


class AnthropicServer:
    """The server: `start`, `stop`, `url`, `requests`; also a context manager."""

    def __init__(
        self,
        turns: Iterable[TurnOrRule] = (),
        *,
        fallback: TurnOrRule | None = None,
        key: str = KEY,
    ) -> None:
        self.requests: list[Request] = []
        self.key = key
        self.answering = threading.Event()
        self._turns = list(turns)
        self._fallback = fallback or Turn(text="Nothing more is scripted.")
        self._lock = threading.Lock()
        self._server: ThreadingHTTPServer | None = None
        self._thread: threading.Thread | None = None
        self._gates: set[threading.Event] = set()

    @property
    def url(self) -> str:
        """What `ANTHROPIC_BASE_URL` should be."""
        assert self._server is not None, "not started"
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        self._server = _Listener(self)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop listening; whatever waits at a gate is let through."""
        with self._lock:
            for gate in self._gates:
                gate.set()
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def script(self, *turns: TurnOrRule) -> None:
        """Answer with these turns from now on, whatever was left of an earlier script."""
        with self._lock:
            self._turns = list(turns)

    def take(self, request: Request) -> Turn:
        """The next turn; records the request."""
        with self._lock:
            self.requests.append(request)
            turn = self._turns.pop(0) if self._turns else self._fallback
            if callable(turn):
                turn = turn(request.body)
            if turn.gate is not None:
                self._gates.add(turn.gate)
            return turn


class _Listener(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True

    def __init__(self, owner: AnthropicServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what some tests are about."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def logmessage(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        pass

    def do_POST(self) -> None:
        self.close_connection = True
        owner = self.server.owner
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
        headers = {name.lower(): value for name, value in self.headers.items()}
        owner.answering.set()
        if problem := refusal(self.path, headers, body, owner.key):
            self._error(*problem)
            return
        turn = owner.take(Request(headers, body))
        if turn.gate is not None and turn.gate_after == 0:
            turn.gate.wait()
        if turn.status != 200:
            self._error(turn.status, turn.error_type, turn.error_message, turn.headers)
        elif body.get("stream"):
            self._stream(turn, body["model"])
        else:
            self._json(200, message(turn, body["model"]), turn.headers)

    def _stream(self, turn: Turn, model: str) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for count, event in enumerate(events(turn, model)):
            if turn.gate is not None and count == turn.gate_after > 0:
                turn.gate.wait()
            if count == turn.cut_after:
                return
            if count == turn.garbage_after:
                self._chunk("event: content_block_delta\ndata: {not json\n\n")
            self._chunk(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n")
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _error(
        self, status: int, kind: str, message: str, headers: dict[str, str] | None = None
    ) -> None:
        error = {"type": kind or "api_error", "message": message}
        self._json(status, {"type": "error", "error": error}, headers or {})

    def _json(self, status: int, body: dict[str, Any], headers: dict[str, str]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def main() -> None:
    """Serve the turns of a JSON file until standard input closes."""
    turns = [
        Turn(**item | {"tools": tuple((each[0], each[1]) for each in item.get("tools", ()))})
        for item in json.loads(Path(sys.argv[1]).read_text())
    ]
    with AnthropicServer(turns) as server:
        print(server.url, flush=True)  # noqa: T201 - this is how the URL is told
        sys.stdin.read()


if __name__ == "__main__":
    main()
