"""What was measured of one workload on one system, once; and what follows from it. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .stats import percentile


@dataclass(frozen=True, slots=True)
class Phase:
    """Seconds, bytes and counts over the whole phase. CPU is told apart by who spent it: the
    process that the caller's code is in (a library's, together with the library), the system's
    other processes, and Postgres.
    """

    system: str
    workload: str
    repetition: int
    runs: int
    steps: int
    concurrency: int
    took: float
    latencies: list[float]
    commits: int
    wal_bytes: int
    page_bytes: int
    cpu_caller: float
    cpu_others: float
    cpu_postgres: float
    memory_bytes: int
    table_bytes: int
    failed: int = 0
    errors: list[str] = field(default_factory=list[str])
    transactions: int | None = None

    def figures(self) -> dict[str, float]:
        """By name, per run or per second."""
        cpu = self.cpu_caller + self.cpu_others + self.cpu_postgres
        known: dict[str, float] = {
            "runs_s": self.runs / self.took,
            "steps_s": self.steps / self.took,
            "p50_ms": 1000 * percentile(self.latencies, 50),
            "p99_ms": 1000 * percentile(self.latencies, 99),
            "commits_run": self.commits / self.runs,
            "wal_run": self.wal_bytes / self.runs,
            "pages_run": self.page_bytes / self.runs,
            "cpu_1000": 1000 * cpu / self.steps,
            "cpu_caller_1000": 1000 * self.cpu_caller / self.steps,
            "cpu_others_1000": 1000 * self.cpu_others / self.steps,
            "cpu_postgres_1000": 1000 * self.cpu_postgres / self.steps,
            "memory_mb": self.memory_bytes / 2**20,
            "table_run": self.table_bytes / self.runs,
        }
        if self.transactions is not None:
            known["transactions_run"] = self.transactions / self.runs
        return known

    def dump(self) -> dict[str, Any]:
        """As JSON, without the single latencies."""
        kept = {name: value for name, value in asdict(self).items() if name != "latencies"}
        return kept | {"figures": self.figures()}
