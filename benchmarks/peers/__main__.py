"""`make bench-peers`: the same work on AOS and on its peers, in turns; figures and a report.

python -m benchmarks.peers [--runs N] [--repetitions N] [--only SYSTEM,…] [--workloads w1,…]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path

import psutil

from .catalog import CATALOG, SystemSpec
from .chart import Bar, bars
from .crash import BLOWS, strike
from .ledger import Ended
from .phase import Phase
from .report import (
    TARGETS,
    Measured,
    figures,
    markdown,
    ratios,
    struck_figures,
    verdict,
    waited_figures,
)
from .server import Server, running_server
from .session import PEERS_PYTHON, session
from .stats import Spread
from .waited import Waited
from .waiting import wait_and_wake
from .workload import Workload, throughput

OUT = Path(__file__).parents[1] / "out"


def main() -> None:
    """Measure, then say what was found."""
    asked = _arguments()
    specs = [CATALOG[name] for name in asked.only.split(",")] if asked.only else [*CATALOG.values()]
    if any(spec.home == "peers" for spec in specs) and not PEERS_PYTHON.exists():
        raise SystemExit("the peers are not installed: run `make bench-peers`")
    OUT.mkdir(exist_ok=True)
    logs = Path(tempfile.mkdtemp(prefix="aos-peers-logs-", dir="/tmp"))
    wide = tuple(int(each) for each in asked.concurrency.split(","))
    phases: list[Phase] = []
    with running_server() as server:
        for repetition in range(asked.repetitions):
            for spec in specs:
                if workloads := _workloads(spec, asked.runs, wide):
                    phases += _take_turn(spec, server, repetition, workloads, logs)
                    _keep(phases)
        struck = _strike_all(specs, server, asked, logs)
        waited = _wait_all(specs, server, asked, logs)
    _report(phases, struck, waited, asked.runs)


def _wait_all(
    specs: list[SystemSpec], server: Server, asked: argparse.Namespace, logs: Path
) -> list[Waited]:
    """W6 and W11, in turns."""
    waited = []
    for spec in (spec for spec in specs if spec.recovers and asked.waiting_runs):
        workload = Workload("w6", runs=asked.waiting_runs, concurrency=10)
        with session(spec, server, workload, 0, logs) as running:
            waited.append(
                wait_and_wake(running, waiting=asked.waiting_runs, idle_seconds=asked.idle_seconds)
            )
        print(json.dumps(waited[-1].dump()), flush=True)
    return waited


def _strike_all(
    specs: list[SystemSpec], server: Server, asked: argparse.Namespace, logs: Path
) -> list[Ended]:
    """W2 and W4, in turns: each blow on a system that was started for it."""
    struck = []
    for repetition in range(asked.struck_repetitions):
        for blow in (BLOWS[name] for name in asked.blows.split(",") if name):
            for spec in (spec for spec in specs if spec.recovers):
                workload = Workload(blow.name, runs=asked.struck_runs, concurrency=4)
                with session(spec, server, workload, repetition, logs) as running:
                    ended = strike(running, blow, runs=asked.struck_runs, step_seconds=0.2)
                struck.append(ended)
                print(json.dumps(ended.dump()), flush=True)
    return struck


def _report(phases: list[Phase], struck: list[Ended], waited: list[Waited], runs: int) -> None:
    """The page, the chart, and the figures among those of other benchmarks."""
    measured = Measured.of(phases)
    (OUT / "report.md").write_text(markdown(measured, struck, waited, _facts(phases, runs)))
    (OUT / "report.svg").write_text(_chart(measured))
    file = OUT / "figures.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(
        json.dumps(
            known | figures(measured) | struck_figures(struck) | waited_figures(waited),
            indent=2,
            sort_keys=True,
        )
        + "\n"
    )
    print(f"\n{'figure':24} {'median':>8}  {'range':17} target")
    for name, ratio in ratios(measured).items():
        target = " ".join(map(str, TARGETS.get(name, ())))
        span = f"{ratio.low:.2f}-{ratio.high:.2f}"
        print(f"{name:24} {ratio.median:8.2f}  {span:17} {target:8} {verdict(name, ratio.median)}")
    print(f"\nwritten to {OUT}/report.md, report.svg, figures.json")


def _facts(phases: list[Phase], runs: int) -> list[str]:
    memory = psutil.virtual_memory().total / 2**30
    repetitions = len({phase.repetition for phase in phases})
    return [
        f"{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, "
        "one embedded Postgres 18 (fsync, full-page writes, synchronous commit)",
        f"{runs} runs a phase, {repetitions} repetitions in turns; medians, ranges in brackets",
        "load of the machine when this was written: "
        + ", ".join(f"{load:.1f}" for load in os.getloadavg()),
    ]


def _chart(measured: Measured) -> str:
    found = []
    for name in measured.systems():
        spread = Spread.of(measured.summit(name, "read", "steps_s"))
        spec = CATALOG[name]
        found.append(
            Bar(spec.title, spread.median, spread.low, spread.high,
                ours=name == "aos", bound=not spec.peer and name != "aos")
        )  # fmt: skip
    return bars("W1: durable no-op steps, each at its best concurrency", "steps/s", found)


def _workloads(spec: SystemSpec, runs: int, wide: tuple[int, ...]) -> list[Workload]:
    """W1. Only AOS tells steps apart by their effects; one run at a time needs one process."""
    wide = tuple(each for each in wide if each >= spec.processes) if runs else ()
    known = throughput(runs, wide, "read")
    if spec.name == "aos":
        known += throughput(runs, wide, "idempotent") + throughput(runs, wide, "unsafe")
    return known


def _take_turn(
    spec: SystemSpec, server: Server, repetition: int, workloads: list[Workload], logs: Path
) -> list[Phase]:
    measured = []
    with session(spec, server, workloads[0], repetition, logs) as running:
        for workload in workloads:
            first = repetition == 0 and workload is workloads[0]
            phase = running.measure(workload, transactions=first)
            measured.append(phase)
            _show(phase)
            if phase.failed:
                raise SystemExit(f"{phase.failed} runs failed: {phase.errors}")
    return measured


def _show(phase: Phase) -> None:
    known = phase.figures()
    print(
        f"{phase.repetition} {phase.system:16} {phase.workload:16} {known['steps_s']:7.0f} steps/s"
        f"  p50 {known['p50_ms']:7.1f} ms  p99 {known['p99_ms']:7.1f} ms"
        f"  {known['commits_run']:5.2f} commits {known['wal_run']:6.0f} B/run"
        f"  cpu {known['cpu_1000']:5.2f} s/1000 ({known['cpu_caller_1000']:.2f} caller,"
        f" {known['cpu_postgres_1000']:.2f} postgres)  {known['memory_mb']:5.0f} MB",
        flush=True,
    )


def _keep(phases: list[Phase]) -> None:
    """What is known so far, so that a stopped measurement is not lost."""
    (OUT / "peers.json").write_text(json.dumps([phase.dump() for phase in phases], indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000, help="of W1, each phase; 0: no W1")
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--concurrency", default="1,10,50")
    parser.add_argument("--blows", default=",".join(BLOWS), help="of W2 and W4; empty: none")
    parser.add_argument("--struck-runs", type=int, default=200)
    parser.add_argument("--struck-repetitions", type=int, default=1)
    parser.add_argument("--waiting-runs", type=int, default=10_000, help="of W6; 0: none")
    parser.add_argument("--idle-seconds", type=float, default=300.0)
    parser.add_argument("--only", default="", help=", ".join(CATALOG))
    return parser.parse_args()


if __name__ == "__main__":
    main()
