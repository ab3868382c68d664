"""The world outside, in a process of its own: it remembers every effect that anybody had on it.

    python -m tests.support.effect_ledger FILE      serves until its standard input is closed

Each effect is one JSON line, appended to the file before anything is answered: what a run did twice
stands there twice. POST /effects does one and never asks whether it was done before; GET finds one
by its key; DELETE undoes it, once. POST /faults lets the next requests of a method go wrong.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

ROOT = Path(__file__).parents[2]

Fault = Literal["hang", "close", "refuse", "fail"]
"""hang: do it and never answer; close: do it and close the connection; refuse: close the connection
and do nothing; fail: answer 503 and do nothing.
"""


@dataclass(frozen=True)
class Effect:
    """One line of the ledger."""

    kind: str
    key: str
    run: str
    step: str
    attempt: int
    at: str
    amount: int = 0


class EffectLedger:
    """Starts the process and reads its file. The file outlives the process: `start` goes on with
    it.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.url = ""
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Serve, on a new port."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.effect_ledger", str(self.file)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()
        assert self.url, "the ledger has not started"

    def stop(self) -> None:
        """No longer serve; nothing that was answered is lost."""
        if self._process is not None:
            with self._process as process:
                assert process.stdin is not None
                process.stdin.close()
                process.wait(timeout=10)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def fault(self, do: Fault, on: str = "POST", times: int = 1) -> None:
        """Let the next requests of a method go wrong."""
        body = json.dumps({"on": on, "do": do, "times": times}).encode()
        with urlopen(Request(f"{self.url}/faults", body)):  # noqa: S310 - our own server
            pass

    def lines(self) -> list[Effect]:
        """Everything that was done and undone, in order."""
        if not self.file.exists():
            return []
        return [Effect(**json.loads(line)) for line in self.file.read_text().splitlines()]

    def done(self, run: str = "") -> list[Effect]:
        """The effects, of one run or of all."""
        return [each for each in self.lines() if each.kind == "done" and run in ("", each.run)]

    def undone(self, run: str = "") -> list[Effect]:
        """The effects that were undone, by their keys."""
        return [each for each in self.lines() if each.kind == "undone" and run in ("", each.run)]


class _Book:
    """The file, and the faults to come. One writer; the lock makes look-up and append one."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._lock = threading.Lock()
        self._faults: dict[str, deque[str]] = {}

    def arm(self, on: str, do: str, times: int) -> None:
        with self._lock:
            self._faults.setdefault(on, deque()).extend([do] * times)

    def fault(self, method: str) -> str:
        with self._lock:
            waiting = self._faults.get(method)
            return waiting.popleft() if waiting else ""

    def find(self, kind: str, key: str) -> tuple[int, dict[str, Any]] | None:
        lines = [json.loads(line) for line in self._file.read_text().splitlines()]
        return next(
            (
                (number, line)
                for number, line in enumerate(lines, 1)
                if (line["kind"], line["key"]) == (kind, key)
            ),
            None,
        )

    def do(self, line: dict[str, Any]) -> int:
        with self._lock:
            os.write(self._descriptor, f"{json.dumps(line)}\n".encode())
            return len(self._file.read_text().splitlines())

    def undo(self, key: str) -> bool:
        with self._lock:
            found = self.find("done", key)
            if found is None or self.find("undone", key) is not None:
                return False
            line = found[1] | {"kind": "undone", "at": _now()}
            os.write(self._descriptor, f"{json.dumps(line)}\n".encode())
            return True


def _now() -> str:
    return datetime.now(UTC).isoformat()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, book: _Book) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.book = book

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that is gone is no event here: killing them is what the tests do."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or "{}")
        if self.path == "/faults":
            self.server.book.arm(**body)
            self._answer(200, {})
            return
        line = {
            "kind": "done",
            "key": self.headers["Idempotency-Key"],
            "run": self.headers.get("X-Run", ""),
            "step": self.headers.get("X-Step", ""),
            "attempt": int(self.headers.get("X-Attempt", 0)),
            "at": _now(),
            "amount": body.get("amount", 0),
        }
        self._with_faults(lambda: (200, {"number": self.server.book.do(line), "key": line["key"]}))

    def do_GET(self) -> None:
        def find() -> tuple[int, dict[str, Any]]:
            found = self.server.book.find("done", self._key())
            if found is None or self.server.book.find("undone", self._key()) is not None:
                return 404, {}
            return 200, {"number": found[0], "key": self._key()}

        self._with_faults(find)

    def do_DELETE(self) -> None:
        self._with_faults(lambda: (200, {"undone": self.server.book.undo(self._key())}))

    def _key(self) -> str:
        return parse_qs(urlsplit(self.path).query)["key"][0]

    def _with_faults(self, act: Any) -> None:
        match self.server.book.fault(self.command):
            case "refuse":
                self.close_connection = True
            case "fail":
                self._answer(503, {})
            case "close":
                act()
                self.close_connection = True
            case "hang":
                act()
                self.connection.recv(1)  # until the client has had enough
                self.close_connection = True
            case _:
                self._answer(*act())

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
        """The file is the log."""


def main(file: str) -> None:
    """Serve until standard input is closed, as it is when the test is killed."""
    server = _Server(_Book(Path(file)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)  # noqa: T201 - its only word
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
