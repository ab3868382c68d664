"""W6 and W11: many runs that wait for a person, what they cost meanwhile, and how soon a signal is
followed by the step that waited for it. The step's line in the ledger says when it began.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from .session import Session, SystemFailed
from .stats import percentile
from .usage import cpu_seconds, memory_bytes
from .waited import Waited
from .workload import Workload

WOKEN = 100
_SETTLE_SECONDS = 5.0


def wait_and_wake(session: Session, *, waiting: int, idle_seconds: float) -> Waited:
    """Park that many runs, look at them for a while, then wake some of them."""
    with tempfile.TemporaryDirectory(prefix="ledger-", dir="/tmp") as folder:
        ledger = str(Path(folder) / "ledger")
        workload = Workload("w6", runs=waiting, concurrency=10, ledger=ledger, steps=1)
        (child,) = session.children
        before = memory_bytes(session.pids)
        parked = _checked(child.tell("park", workload))
        time.sleep(_SETTLE_SECONDS)  # what follows is a measurement of standing still
        asked = session.server.transactions(session.dsn)
        began, spent = time.monotonic(), _cpu(session)
        time.sleep(idle_seconds)
        idle, spent = time.monotonic() - began, _cpu(session) - spent
        asked = session.server.transactions(session.dsn) - asked
        counted = time.monotonic() - began
        memory = memory_bytes(session.pids)
        few = Workload("w6", runs=min(WOKEN, waiting), concurrency=1, ledger=ledger, steps=1)
        woken = _checked(child.tell("wake", few))["latencies"]
    return Waited(
        system=session.spec.name, waiting=waiting, park_s=parked["took"],
        idle_cpu_pct=100 * spent / idle,
        # The second count was awaited for eleven seconds more, while nothing else happened.
        idle_transactions_s=asked / counted,
        memory_mb=memory / 2**20, memory_run_kb=(memory - before) / 2**10 / waiting,
        signal_p50_ms=1000 * percentile(woken, 50), signal_p99_ms=1000 * percentile(woken, 99),
    )  # fmt: skip


def _cpu(session: Session) -> float:
    return cpu_seconds([*session.pids, session.server.pid])


def _checked(answer: dict[str, Any]) -> dict[str, Any]:
    if answer["failed"]:
        raise SystemFailed(f"{answer['failed']} runs failed: {answer['errors'][:3]}")
    return answer
