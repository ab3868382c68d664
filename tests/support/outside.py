"""The outside world of a chaos test: a process of its own with an append-only ledger of effects.

    python -m tests.support.outside FILE        prints its port, then serves until standard input ends

    POST /effects        one more effect, from a JSON body; its key is the Idempotency-Key header.
                         `?answer=never`: the effect happens and nobody is told; `?answer=close`:
                         the connection is closed instead
    GET /effects?key=K   the effects under a key
    DELETE /effects?key=K   notes that they were undone

Nothing is merged and nothing is refused: each request that arrives is one line of the file, so what
happened twice is there twice. The file is opened with O_APPEND and a line is one write.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Entry:
    """One effect. `effects` is the class of the skill that caused it; `undo`: it was undone."""

    key: str
    run: str
    step: str
    attempt: int
    effects: str
    at: float
    undo: bool = False


@dataclass(frozen=True, slots=True)
class Outside:
    """A ledger that is served: where, and in which file."""

    url: str
    file: Path

    def entries(self, run: str | None = None) -> list[Entry]:
        """The effects so far, in order; those of one run if it is said which."""
        return [entry for entry in entries_of(self.file) if run in (None, entry.run)]


def entries_of(file: Path) -> list[Entry]:
    """What a ledger's file says."""
    return [Entry(**json.loads(line)) for line in file.read_text().splitlines()]


@contextmanager
def outside(file: Path) -> Iterator[Outside]:
    """The ledger, in a process of its own until the block is left."""
    command = [sys.executable, "-m", "tests.support.outside", str(file)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            yield Outside(f"http://127.0.0.1:{port}", file)
        finally:
            process.terminate()


class _Ledger(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, file: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.file = file
        self.lock = threading.Lock()
        self.descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self.by_key: dict[str, list[dict[str, Any]]] = {}

    def append(self, entry: dict[str, Any]) -> None:
        with self.lock:
            os.write(self.descriptor, json.dumps(entry).encode() + b"\n")
            self.by_key.setdefault(entry["key"], []).append(entry)


class _Handler(BaseHTTPRequestHandler):
    server: _Ledger
    timeout = 60

    def do_POST(self) -> None:  # noqa: N802 - the base class's name
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        entry = {**body, "key": self.headers["Idempotency-Key"], "at": time.time()}
        self.server.append(entry)
        match self._query("answer"):
            case "never":
                threading.Event().wait(self.timeout)
            case "close":
                pass
            case _:
                self._reply(entry)

    def do_GET(self) -> None:  # noqa: N802 - the base class's name
        self._reply([e for e in self._found() if not e.get("undo")])

    def do_DELETE(self) -> None:  # noqa: N802 - the base class's name
        found = self._found()
        if found and not any(entry.get("undo") for entry in found):
            self.server.append({**found[0], "at": time.time(), "undo": True})
        self._reply(found)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Says nothing."""

    def _query(self, name: str) -> str:
        return parse_qs(urlsplit(self.path).query).get(name, [""])[0]

    def _found(self) -> list[dict[str, Any]]:
        with self.server.lock:
            return list(self.server.by_key.get(self._query("key"), ()))

    def _reply(self, content: Any) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def main(file: str) -> None:
    """Serve until whoever started this is gone."""
    ledger = _Ledger(Path(file))
    threading.Thread(target=ledger.serve_forever, daemon=True).start()
    sys.stdout.write(f"{ledger.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
