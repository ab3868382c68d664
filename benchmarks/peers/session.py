"""One system on a fresh database: its processes, and what they do, measured from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .catalog import SystemSpec
from .phase import Phase
from .server import Server
from .usage import Peak, cpu_seconds, own_cpu_seconds
from .workload import Workload

ROOT = Path(__file__).parents[2]
PEERS_PYTHON = ROOT / ".venv-peers/bin/python"
_STOP_SECONDS = 60.0


class SystemFailed(Exception):
    """A system's process ended without an answer; its last words are the message."""


class Child:
    """A process of the system, as `child.py` is told what to do."""

    def __init__(self, spec: SystemSpec, part: int, log: Path) -> None:
        self._spec, self._log = spec, log
        python = str(PEERS_PYTHON) if spec.home == "peers" else sys.executable
        path = [str(ROOT), *([str(ROOT / ".src")] if spec.home == "aos" else [])]
        command = [python, "-m", "benchmarks.peers.child", spec.adapter, json.dumps(spec.options)]
        with log.open("ab") as stderr:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(path)},
            )
        self.pid, self.part = self._process.pid, part

    def tell(self, do: str, workload: Workload, **more: Any) -> dict[str, Any]:
        """The answer to an order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        order = {"do": do, "workload": workload.dump(), "part": self.part, **more}
        try:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise SystemFailed(self._log.read_text(errors="replace")[-2_000:])
        answer: dict[str, Any] = json.loads(line)
        return answer

    def successor(self) -> Child:
        """A process in its place, not started on anything yet."""
        return Child(self._spec, self.part, self._log)

    def kill(self) -> None:
        """SIGKILL, and nothing else: what it had begun is left as it is."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """The end of its input is its order to stop."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process.stdout.close()


@dataclass(slots=True)
class Session:
    """A started system and what is measured of it."""

    spec: SystemSpec
    server: Server
    dsn: str
    children: list[Child]
    repetition: int

    @property
    def pids(self) -> list[int]:
        """The heads of the system's process trees."""
        return [child.pid for child in self.children]

    def drive(self, workload: Workload) -> list[dict[str, Any]]:
        """All processes at once, each with its share."""
        shares = workload.split(len(self.children))
        with ThreadPoolExecutor(len(shares)) as threads:
            return list(
                threads.map(
                    lambda pair: pair[0].tell("drive", pair[1]),
                    zip(self.children, shares, strict=False),
                )
            )

    def measure(self, workload: Workload, *, transactions: bool = False) -> Phase:
        """A phase: warmed up, counted before, driven, counted after."""
        server, pids = self.server, self.pids
        for part in self.drive(workload.warm_up()):
            if part["failed"]:
                raise SystemFailed(f"{part['failed']} runs failed: {part['errors'][:3]}")
        server.checkpoint()
        asked = server.transactions(self.dsn) if transactions else 0
        size, position = server.table_bytes(self.dsn), server.position()
        spent = (cpu_seconds(pids), sum(map(own_cpu_seconds, pids)), cpu_seconds([server.pid]))
        with Peak(pids) as peak:
            parts = self.drive(workload)
        cpu, own, postgres = (
            cpu_seconds(pids), sum(map(own_cpu_seconds, pids)), cpu_seconds([server.pid]),
        )  # fmt: skip
        written = server.written(position)
        return Phase(
            system=self.spec.name, workload=workload.name, repetition=self.repetition,
            runs=workload.runs, steps=workload.runs * workload.steps,
            concurrency=workload.concurrency,
            took=max(part["took"] for part in parts),
            latencies=[seconds for part in parts for seconds in part["latencies"]],
            failed=sum(part["failed"] for part in parts),
            errors=[error for part in parts for error in part["errors"]][:3],
            commits=written.commits, wal_bytes=written.record_bytes, page_bytes=written.page_bytes,
            cpu_caller=own - spent[1], cpu_others=cpu - own - (spent[0] - spent[1]),
            cpu_postgres=postgres - spent[2], memory_bytes=peak.bytes,
            table_bytes=server.table_bytes(self.dsn) - size,
            transactions=server.transactions(self.dsn) - asked if transactions else None,
        )  # fmt: skip


@contextmanager
def session(
    spec: SystemSpec, server: Server, workload: Workload, repetition: int, logs: Path
) -> Iterator[Session]:
    """The system on a database of its own, from start to stop."""
    name = f"{spec.name}-{os.getpid()}-{repetition}"
    with server.database(name) as dsn:
        children = [Child(spec, part, logs / f"{spec.name}.log") for part in range(spec.processes)]
        try:
            for child in children:  # one after the other: the first makes the tables
                child.tell("start", workload, dsn=dsn)
            yield Session(spec, server, dsn, children, repetition)
        finally:
            for child in children:
                child.close()
