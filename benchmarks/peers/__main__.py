"""`make bench-peers`: the same work on AOS and on its peers, in turns; figures and a report.

    python -m benchmarks.peers [--runs N] [--repetitions N] [--only SYSTEM,…] [--workloads w1,…]
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from .catalog import CATALOG, SystemSpec
from .phase import Phase
from .server import Server, running_server
from .session import PEERS_PYTHON, session
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
                phases += _take_turn(spec, server, repetition, _workloads(spec, asked.runs, wide), logs)
                _keep(phases)


def _workloads(spec: SystemSpec, runs: int, wide: tuple[int, ...]) -> list[Workload]:
    """W1. Only AOS tells steps apart by their effects; one run at a time needs one process."""
    wide = tuple(each for each in wide if each >= spec.processes)
    known = throughput(runs, wide, "read")
    return known + throughput(runs, wide, "unsafe") if spec.name == "aos" else known


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
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--concurrency", default="1,10,50")
    parser.add_argument("--only", default="", help=", ".join(CATALOG))
    return parser.parse_args()


if __name__ == "__main__":
    main()
