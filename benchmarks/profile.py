"""`make profile`: where the CPU of a run goes, by process, with flame graphs of the hot path.

Runs of five quick reads are kept under way on the real system, as it ships; nothing is measured
before its spare processes are there. The table comes from a pass without a profiler in the way.
Then py-spy samples who holds the interpreter: that slows everything down, and is good for shares.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support.running import eventually, own_home

from aos.api.cli.lifecycle import running, start_node, stop_node
from aos.api.client import AosClient, AsyncAosClient
from aos.cluster.settings import load
from aos.skills.contracts import AgentProfile, PlannerChoice, RunLimits

OUT = Path(__file__).with_name("out")
PLUGIN = Path(__file__).parent / "peers/plugin"
PY_SPY = Path(sys.executable).with_name("py-spy")
GOAL = json.dumps({"skill": "bench_read", "steps": 5, "bytes": 200})
HOT = {"ray::HttpFront": "front", "ray::AgentActor": "agent", "ray::IDLE": "skills"}
_WARM_SECONDS = 5.0

Usage = dict[tuple[int, str], float]


def main() -> int:
    """Measure, then sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--concurrency", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=15)
    asked = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    with own_home(PYTHONPATH=str(PLUGIN)):
        settings = load()
        try:
            for _ in start_node(settings):
                pass
            info = running(settings)
            assert info is not None
            with AosClient() as client:
                _prepare(client)
            node = psutil.Process(info["pid"])
            asyncio.run(_drive(asked.concurrency, _WARM_SECONDS))
            before = _usage(node)
            took = asyncio.run(_drive(asked.concurrency, asked.seconds))
            _print(took, before, _usage(node), asked.seconds)
            _sample(node, asked.concurrency, asked.seconds)
        finally:
            stop_node(settings)
    return 0


def _prepare(client: AosClient) -> None:
    limits = RunLimits(concurrent_runs=50)
    planner = PlannerChoice(name="bench")
    client.agents.create(AgentProfile(name="profiled", planner=planner, limits=limits))
    assert client.runs.wait(client.runs.create("profiled", GOAL).id).status == "completed"

    def is_settled() -> bool:
        tree = client.status().tree or {}
        hosts = next((c for c in tree.get("children", []) if c["id"] == "hosts"), {})
        return all(child.get("ready", True) for child in hosts.get("children", [{"ready": False}]))

    eventually(is_settled, 60)


async def _drive(concurrency: int, seconds: float) -> list[float]:
    """Keep so many runs under way; how long each took, from the request to its last event."""
    took: list[float] = []
    end = time.monotonic() + seconds
    client = AsyncAosClient()

    async def one_after_another() -> None:
        while (began := time.monotonic()) < end:
            run = await client.runs.create("profiled", GOAL)
            events = [event async for event in client.runs.events(run.id, timeout=60)]
            assert events[-1].fields["status"] == "completed", events[-1]
            took.append(time.monotonic() - began)

    await asyncio.gather(*(one_after_another() for _ in range(concurrency)))
    await client.close()
    return took


def _usage(node: psutil.Process) -> Usage:
    """CPU seconds of every process of the system, of its Postgres, and of this caller."""
    found: Usage = {}
    ours = [*node.children(recursive=True), psutil.Process()]
    postgres = [each for each in psutil.process_iter() if each.name() == "postgres"]
    for process in (*ours, *postgres):
        try:
            times = process.cpu_times()
            name = next(iter(process.cmdline()), process.name()).strip()
        except psutil.NoSuchProcess:
            continue
        found[process.pid, _called(process.pid, name)] = times.user + times.system
    return found


def _called(pid: int, name: str) -> str:
    if pid == os.getpid():
        return "the caller"
    if name.startswith(("ray::skill", "ray::IDLE")):
        return "skills"
    if name.startswith("ray::"):
        return name.split(maxsplit=1)[0].removeprefix("ray::")
    return "postgres" if name.startswith("postgres") else "Ray"


def _print(took: list[float], before: Usage, after: Usage, seconds: float) -> None:
    spent: Counter[str] = Counter()
    earlier = {pid: used for (pid, _), used in before.items()}
    for (pid, name), used in after.items():
        spent[name] += used - earlier.get(pid, 0.0)
    runs, total = len(took), sum(spent.values())
    print(f"{runs / seconds:.0f} runs/s, {5 * runs / seconds:.0f} steps/s, "
          f"p50 {1000 * statistics.median(took):.1f} ms")  # fmt: skip
    print(f"{1000 * total / runs:.1f} ms of CPU a run; "
          f"{100 * total / seconds / (os.cpu_count() or 1):.0f} % of the machine")  # fmt: skip
    for name, used in spent.most_common():
        if used > total / 200:
            print(f"  {1000 * used / runs:6.2f} ms  {name}")


def _sample(node: psutil.Process, concurrency: int, seconds: float) -> None:
    if not PY_SPY.exists():
        raise SystemExit(f"no flame graphs: {PY_SPY} is missing, which comes with Ray")
    watched = _hottest(node)
    spies = [
        subprocess.Popen(
            [
                str(PY_SPY), "record", "--gil", "--nonblocking", "--rate", "200", "--duration",
                str(round(seconds)), "--output", str(OUT / f"profile-{label}.svg"), "--pid",
                str(pid),
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        for label, pid in watched.items()
    ]  # fmt: skip
    asyncio.run(_drive(concurrency, seconds + 1))
    for label, spy in zip(watched, spies, strict=True):
        _, said = spy.communicate(timeout=60)
        written = OUT / f"profile-{label}.svg"
        print(f"{label}: {written}" if written.exists() else f"{label}: no graph: {said.strip()}")


def _hottest(node: psutil.Process) -> dict[str, int]:
    """Of each kind of process the one that has worked most."""
    found: dict[str, tuple[float, int]] = {}
    for process in node.children(recursive=True):
        name = next(iter(process.cmdline()), "").split()[0:1]
        label = HOT.get(name[0]) if name else None
        if label is not None:
            times = process.cpu_times()
            found[label] = max(found.get(label, (0.0, 0)), (times.user + times.system, process.pid))
    return {label: pid for label, (_, pid) in found.items()}


if __name__ == "__main__":
    sys.exit(main())
