"""What waiting costs, and how soon it ends. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Waited:
    """`waiting` runs, idle for a while; then some were woken, one after the other."""

    system: str
    waiting: int
    park_s: float
    idle_cpu_pct: float
    idle_transactions_s: float
    memory_mb: float
    memory_run_kb: float
    signal_p50_ms: float
    signal_p99_ms: float

    def dump(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def figures(self) -> dict[str, float]:
        """By name, without the system's."""
        return {name: float(value) for name, value in asdict(self).items() if name != "system"}
