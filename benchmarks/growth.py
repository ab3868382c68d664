"""How the cost of a run grows with what there is: `make bench-growth`.

    python benchmarks/growth.py [journal] [agents] [active] [steps] [payload]

One thing grows at a time, on the real system as it ships: rows of the journal, registered agents,
active agents, steps of a run, bytes that a step returns. At each size runs go one after the other,
and what is said of them is the median from the request to the last event, and the CPU of all
processes together, Postgres and the caller included. Writes `benchmarks/out/growth.md` and a chart.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from peers.chart import Curve, curves
from tests.support.node import Node, node
from tests.support.running import eventually

from aos.cluster.postgres import Database
from aos.skills.contracts import AgentProfile, PlannerChoice, RunLimits

OUT = Path(__file__).with_name("out")
PLUGIN = Path(__file__).parent / "peers/plugin"
_PLANNER = PlannerChoice(name="bench")
_LIMITS = RunLimits(max_steps=1_000)
_CHUNK = 20_000
_SECONDS = 10.0
_AT_LEAST, _AT_MOST = 5, 100

_CLONE_RUNS = """
WITH fresh AS (SELECT uuidv7() AS id FROM generate_series(1, $2)),
made AS (
    INSERT INTO runs
    SELECT (json_populate_record(r, json_build_object(
        'run_id', fresh.id, 'root_run_id', fresh.id, 'idempotency_key', NULL))).*
    FROM runs r, fresh WHERE r.run_id = $1 RETURNING run_id
)
INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body, chain)
SELECT made.run_id, j.seq, j.tenant_id, j.epoch, j.kind, j.version, j.at, j.body, j.chain
FROM made, journal j WHERE j.run_id = $1
"""
_REGISTER = """
INSERT INTO agents
SELECT (json_populate_record(a, json_build_object('agent_id', uuidv7(), 'name', 'row-' || n))).*
FROM agents a, generate_series($2::bigint, $3::bigint) n WHERE a.name = $1
"""


@dataclass(frozen=True, slots=True)
class Point:
    """What a run costs at a size."""

    size: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    runs: int


class Bed:
    """A node, an agent that drives the measured runs, and how they are measured."""

    def __init__(self, aos: Node) -> None:
        self.aos = aos
        self.register("measured")
        self.one(goal(5))

    def register(self, name: str) -> None:
        """An agent whose plans are what its goals say."""
        self.aos.client.agents.create(AgentProfile(name=name, planner=_PLANNER, limits=_LIMITS))

    def one(self, text: str, agent: str = "measured") -> float:
        """A run, from the request to its last event, in seconds."""
        began = time.monotonic()
        run = self.aos.client.runs.create(agent, text)
        last = list(self.aos.client.runs.events(run.id, timeout=600))[-1]
        took = time.monotonic() - began
        assert last.fields["status"] == "completed", last
        return took

    def measure(self, size: int, text: str) -> Point:
        """Runs for some seconds, after some that are not counted."""
        for _ in range(3):
            self.one(text)
        took: list[float] = []
        cpu, end = self._cpu(), time.monotonic() + _SECONDS
        while len(took) < _AT_LEAST or (len(took) < _AT_MOST and time.monotonic() < end):
            took.append(self.one(text))
        spent = self._cpu() - cpu
        took.sort()
        late = took[min(len(took) - 1, int(0.99 * len(took)))]
        point = Point(
            size, 1000 * statistics.median(took), 1000 * late, 1000 * spent / len(took), len(took)
        )
        print(f"  {size:>12,}  p50 {point.p50_ms:9.1f} ms  p99 {point.p99_ms:9.1f} ms  "
              f"CPU {point.cpu_ms:9.1f} ms a run  ({point.runs} runs)", flush=True)  # fmt: skip
        return point

    def _cpu(self) -> float:
        postgres = [each for each in psutil.process_iter() if each.name() == "postgres"]
        total = 0.0
        for process in {*self.aos.all(), *postgres, psutil.Process()}:
            try:
                times = process.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total += times.user + times.system
        return total


def goal(steps: int, size: int = 200) -> str:
    """A chain of quick reads."""
    return json.dumps({"skill": "bench_read", "steps": steps, "bytes": size})


def journal(bed: Bed) -> Iterator[Point]:
    """Rows of the journal: the finished run of five steps, again and again."""
    template = bed.aos.client.runs.create("measured", goal(5)).id
    bed.aos.client.runs.wait(template)

    async def fill(rows: int) -> None:
        async with bed.aos.database() as database:
            there = await _rows(database)
            of_one = "SELECT count(*) FROM journal WHERE run_id = $1"
            each = await database.fetch_value(of_one, template)
            missing = max(0, rows - there) // each
            while missing > 0:
                await database.execute(_CLONE_RUNS, template, min(missing, _CHUNK))
                missing -= _CHUNK
            await database.execute("ANALYZE runs, journal")
            await database.execute("CHECKPOINT")

    for rows in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
        asyncio.run(fill(rows))
        yield bed.measure(rows, goal(5))


def agents(bed: Bed) -> Iterator[Point]:
    """Registered agents, of which one is active."""

    async def fill(first: int, last: int) -> None:
        async with bed.aos.database() as database:
            await database.execute(_REGISTER, "measured", first, last)
            await database.execute("ANALYZE agents")

    there = 1
    for count in (10, 1_000, 100_000, 1_000_000):
        asyncio.run(fill(there + 1, count))
        there = count
        yield bed.measure(count, goal(5))


def active(bed: Bed) -> Iterator[Point]:
    """Active agents, of which one has work."""
    there = 1
    for count in (1, 10, 50, 100):
        names = [f"active-{number}" for number in range(there, count)]
        for name in names:
            bed.register(name)
            bed.one(goal(1), name)
        there = count
        assert bed.aos.client.status().agents.get("active", 0) >= count
        yield bed.measure(count, goal(5))


def steps(bed: Bed) -> Iterator[Point]:
    """Steps of a run, one after the other."""
    for count in (1, 10, 100, 1_000):
        yield bed.measure(count, goal(count))


def payload(bed: Bed) -> Iterator[Point]:
    """Bytes that each of five steps returns; 10 MiB is what a step may."""
    for size in (200, 2_000, 20_000, 200_000, 2_000_000, 10_000_000):
        yield bed.measure(size, goal(5, size))


PARTS: dict[str, Callable[[Bed], Iterator[Point]]] = {
    each.__name__: each for each in (journal, agents, active, steps, payload)
}


def main(chosen: list[str]) -> int:
    """Measure what was asked for, then write it down."""
    if unknown := sorted(set(chosen) - PARTS.keys()):
        print(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return 2
    OUT.mkdir(exist_ok=True)
    found: dict[str, list[Point]] = {}
    for name in chosen or PARTS:
        print(f"{name}: {_title(name)}", flush=True)
        with _bed() as bed:
            found[name] = list(PARTS[name](bed))
        _write(found)
    print(f"\nwritten to {OUT}/growth.md and growth.svg")
    return 0


@contextmanager
def _bed() -> Iterator[Bed]:
    """A fresh node, so that what grew before does not count."""
    path = os.pathsep.join([str(PLUGIN), os.environ.get("PYTHONPATH", "")])
    given = {"AOS_AGENT_IDLE_SECONDS": "3600", "AOS_AGENT_MAX_HOSTS": "200"}
    with node(PYTHONPATH=path, **given) as aos:
        bed = Bed(aos)
        eventually(lambda: bool(_manager(aos).get("ready")), 120)
        yield bed


def _manager(aos: Node) -> dict[str, object]:
    tree = aos.client.status().tree or {}
    hosts = next(child for child in tree["children"] if child["id"] == "hosts")
    return next((c for c in hosts.get("children", []) if c["id"].startswith("hosts:")), {})


async def _rows(database: Database) -> int:
    rows: int = await database.fetch_value("SELECT count(*) FROM journal")
    return rows


def _title(name: str) -> str:
    return str(PARTS[name].__doc__).strip().rstrip(".")


def _write(found: dict[str, list[Point]]) -> None:
    lines = ["# How the cost of a run grows", ""]
    for name, points in found.items():
        lines += [f"## {_title(name)}", "", "| | p50 ms | p99 ms | CPU ms a run | runs |"]
        lines += ["|---|---|---|---|---|"]
        lines += [
            f"| {p.size:,} | {p.p50_ms:.1f} | {p.p99_ms:.1f} | {p.cpu_ms:.1f} | {p.runs} |"
            for p in points
        ]
        lines.append("")
    lines += ["![what a run costs over what it cost at the smallest size](growth.svg)", ""]
    (OUT / "growth.md").write_text("\n".join(lines))
    drawn = [
        Curve(name, [(p.size, p.cpu_ms / points[0].cpu_ms) for p in points])
        for name, points in found.items()
    ]
    title = "CPU of a run over that at the smallest size"
    (OUT / "growth.svg").write_text(curves(title, drawn))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
