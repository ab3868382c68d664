"""Measures the running system: start, stop, a warm run, a crash. `make bench`.

Prints a table and writes `benchmarks/out/figures.json`, a flat map from name to value, after each
part. `python benchmarks/run.py healing activation` takes these parts only. The system is the real
one in a home of its own; the web site that its agents fetch is the outside observer that says when
a step began.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import cast

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

import durable as durability
import supervision
from durable import durable, waiting
from supervision import (
    measure_activation,
    measure_healing,
    measure_idle,
    measure_many,
    percentile,
)
from tests.support.running import RunningAos, eventually, kill, own_home, running_aos

from aos.api.cli.lifecycle import running, start_node, stop_node
from aos.api.client import AosClient
from aos.api.demo.site import DemoSite
from aos.cluster.settings import load
from aos.skills.contracts import AgentProfile

OUT = Path(__file__).with_name("out") / "figures.json"
_SETTLE_SECONDS = 1.0
TARGETS: dict[str, float] = {
    "up_s": 15,
    "down_s": 5,
    "run3_p50_ms": 60,
    "kill_next_step_p50_ms": 60,
    "kill_next_step_p99_ms": 250,
    "agent_uss_mb": 70,
    **supervision.TARGETS,
    **durability.TARGETS,
}


def main(chosen: list[str]) -> int:
    if unknown := sorted(set(chosen) - PARTS.keys()):
        print(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
        return 2
    figures: dict[str, float] = {}
    failed: list[str] = []
    for name in chosen or PARTS:
        began = time.monotonic()
        print(f"{name} …")
        try:
            for found in PARTS[name]():
                figures |= found
                keep(found)
        except Exception:  # the other parts are worth having
            traceback.print_exc()
            failed.append(name)
        print(f"{name}: {time.monotonic() - began:.0f} s")
    table(figures)
    if failed:
        print(f"\nFAILED: {', '.join(failed)}")
    return 1 if failed else 0


def keep(found: dict[str, float]) -> None:
    """Print figures, and write them beside those that are known."""
    for name, value in found.items():
        print(f"  {name} {value:.2f}")
    OUT.parent.mkdir(exist_ok=True)
    known = json.loads(OUT.read_text()) if OUT.exists() else {}
    OUT.write_text(json.dumps(known | found, indent=2, sort_keys=True) + "\n")


def table(figures: dict[str, float]) -> None:
    print(f"\n{'figure':28} {'value':>10} {'target':>8}")
    for name, value in sorted(figures.items()):
        target = TARGETS.get(name)
        verdict = "" if target is None else ("ok" if value <= target else "MISSED")
        print(f"{name:28} {value:10.2f} {'' if target is None else f'≤ {target:g}':>8} {verdict}")
    print(f"\nwritten to {OUT}")


Figures = Iterator[dict[str, float]]


def up_down() -> Figures:
    yield measure_up_down(repetitions=3)


def runs() -> Figures:
    with DemoSite() as site, running_aos(site, AOS_LOG_LEVEL="debug") as aos:
        yield measure_runs(aos.client, site, repetitions=100)


def kills() -> Figures:
    with DemoSite(slow_seconds=0.4) as site, running_aos(site, AOS_LOG_LEVEL="debug") as aos:
        yield measure_kills(aos, repetitions=60)


def healing() -> Figures:
    with DemoSite() as site, running_aos(site) as aos:
        yield measure_healing(aos, repetitions=30)


def activation() -> Figures:
    given = {"AOS_AGENT_IDLE_SECONDS": "1", "AOS_LOG_LEVEL": "debug"}
    with DemoSite() as site, running_aos(site, **given) as aos:
        yield measure_activation(aos, repetitions=100)


def many() -> Figures:
    given = {"AOS_AGENT_IDLE_SECONDS": "3600", "AOS_AGENT_MAX_HOSTS": "200"}
    with DemoSite() as site, running_aos(site, **given) as aos:
        yield measure_many(aos, agents=100)
        yield measure_idle(aos)
        yield measure_many(aos, agents=150)


PARTS: dict[str, Callable[[], Figures]] = {
    part.__name__: part
    for part in (up_down, runs, kills, healing, activation, many, durable, waiting)
}


def measure_up_down(repetitions: int) -> dict[str, float]:
    ups, downs = [], []
    with own_home():
        settings = load()
        for _ in range(repetitions):
            ups.append(timed(lambda: list(start_node(settings))))
            assert running(settings), "the node is up"
            downs.append(timed(lambda: stop_node(settings)))
            print(f"up {ups[-1]:.1f} s, down {downs[-1]:.1f} s")
    return {"up_s": statistics.median(ups), "down_s": statistics.median(downs)}


def measure_runs(client: AosClient, site: DemoSite, repetitions: int) -> dict[str, float]:
    """A three-step run, from sending the request to the last event's arrival at the client."""
    client.agents.create(AgentProfile(name="bench"))
    goal = f"Fetch {site.url('/')}, extract the headings and summarise them"
    times = [timed(lambda: one_run(client, goal)) for _ in range(repetitions + 10)][10:]
    pid = client.agents.get("bench").pid
    assert pid is not None
    uss = psutil.Process(pid).memory_full_info().uss / 2**20
    print(f"{repetitions} runs: p50 {1000 * statistics.median(times):.1f} ms")
    return {
        "run3_p50_ms": 1000 * statistics.median(times),
        "run3_p99_ms": 1000 * percentile(times, 99),
        "agent_uss_mb": uss,
    }


def measure_kills(aos: RunningAos, repetitions: int) -> dict[str, float]:
    """SIGKILL of the agent's process to its run's next step dispatched (the new process's log says
    when), and to the next request that reaches the web site, which includes worker and connection.
    Each repetition begins a second after the spare processes that the last one cost are there
    again: what is measured is a crash in a settled system, not one in the wake of another.
    """
    client, site = aos.client, aos.site
    log = aos.settings.home / "logs/agents.jsonl"
    client.agents.create(AgentProfile(name="victim"))
    dispatched, arrived = [], []
    for number in range(repetitions):
        eventually(lambda: is_ready(client))
        time.sleep(_SETTLE_SECONDS)
        pages = ", ".join(site.url(f"/slow/{number}x{page}") for page in range(3))
        mark = len(site.arrivals)
        run = client.runs.create("victim", f"Fetch {pages}, extract the headings")
        for page in range(3):  # all of them are under way: what comes next is the next activation's
            path = f"/slow/{number}x{page}"
            site.await_arrival(lambda arrival, path=path: arrival.path == path, after=mark)
        pid = client.agents.get("victim").pid
        assert pid is not None
        mark, read = len(site.arrivals), log.stat().st_size
        killed_at, wall = time.monotonic(), time.time()
        kill(pid)
        arrived.append(site.await_arrival(lambda _: True, after=mark).at - killed_at)
        ended = client.runs.wait(run.id, timeout=60)
        assert ended.status == "completed", (ended.status, ended.code, ended.message)
        assert ended.resumes <= 1, ended.resumes
        dispatched.append(first_dispatch(log, read) - wall)
    return {
        "kill_next_step_p50_ms": 1000 * statistics.median(dispatched),
        "kill_next_step_p99_ms": 1000 * percentile(dispatched, 99),
        "kill_next_request_p50_ms": 1000 * statistics.median(arrived),
        "kill_next_request_p99_ms": 1000 * percentile(arrived, 99),
    }


def first_dispatch(log: Path, after: int) -> float:
    """When the first step was dispatched, by the log from a byte position on: Unix seconds."""
    with log.open() as lines:
        lines.seek(after)
        for line in lines:
            if '"step dispatched"' in line and '"run_id"' in line:  # not a rehearsal
                return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
    raise AssertionError("no step was dispatched after the kill")


def is_ready(client: AosClient) -> bool:
    """Whether the spare processes that the last crash cost have been made again."""
    tree = client.status().tree
    hosts = next((c for c in (tree or {}).get("children", []) if c["id"] == "hosts"), {})
    return all(child.get("ready", True) for child in hosts.get("children", [{"ready": False}]))


def one_run(client: AosClient, goal: str) -> None:
    run = client.runs.create("bench", goal)
    last = list(client.runs.events(run.id, timeout=60))[-1]
    assert last.fields["status"] == "completed", last


def timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


if __name__ == "__main__":
    os.environ.setdefault("COLUMNS", "100")
    for output in (sys.stdout, sys.stderr):  # `make` pipes them
        cast("TextIOWrapper", output).reconfigure(line_buffering=True)
    sys.exit(main(sys.argv[1:]))
