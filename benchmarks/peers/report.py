"""From phases to figures by name, and to a page of Markdown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .catalog import CATALOG
from .ledger import Ended
from .phase import Phase
from .stats import Spread, best, paired_ratio
from .waited import Waited

TARGETS: dict[str, tuple[str, float]] = {
    "w1_fused_over_peer": ("≥", 5.0),
    "w1_unfused_over_peer": ("≥", 2.0),
    "w1_latency_over_peer": ("≤", 0.6),
    "commits_per_run5": ("≤", 3.0),
    "wal_over_floor": ("≤", 1.25),
    "overhead_over_floor": ("≤", 1.25),
    "cpu_over_dbos": ("≤", 0.5),
}
MEANINGS: dict[str, str] = {
    "w1_fused_over_peer": "steps/s at the best concurrency, read steps, over the best peer's",
    "w1_unfused_over_peer": "the same for steps that may not be fused (unsafe)",
    "w1_same_promise_over_peer": "the same for idempotent steps: each outcome survives",
    "w1_latency_over_peer": "p50 of a run when one is under way at a time, over the best peer's",
    "commits_per_run5": "commits of a run of five read steps, one at a time",
    "wal_over_floor": "WAL bytes of such a run, without page images, over plain asyncpg's",
    "overhead_over_floor": "steps/s of Ray + asyncpg with one task and three commits, over AOS's",
    "cpu_over_dbos": "CPU per 1,000 steps with everything that runs, over DBOS's best",
}
_COLUMNS: tuple[tuple[str, str, str], ...] = (
    ("runs_s", "runs/s", "{:,.0f}"),
    ("steps_s", "steps/s", "{:,.0f}"),
    ("p50_ms", "p50 ms", "{:,.1f}"),
    ("p99_ms", "p99 ms", "{:,.1f}"),
    ("commits_run", "commits/run", "{:.1f}"),
    ("transactions_run", "transactions/run", "{:.1f}"),
    ("wal_run", "WAL B/run", "{:,.0f}"),
    ("pages_run", "page images B/run", "{:,.0f}"),
    ("table_run", "table B/run", "{:,.0f}"),
    ("cpu_1000", "CPU s/1,000 steps", "{:.2f}"),
    ("cpu_caller_1000", "… caller", "{:.2f}"),
    ("cpu_others_1000", "… others", "{:.2f}"),
    ("cpu_postgres_1000", "… Postgres", "{:.2f}"),
    ("memory_mb", "peak MB", "{:,.0f}"),
)


@dataclass(frozen=True, slots=True)
class Measured:
    """All phases, by system and workload; each is a list with one figure per repetition."""

    phases: tuple[Phase, ...]

    @classmethod
    def of(cls, phases: Iterable[Phase]) -> Measured:
        """In order of repetition."""
        return cls(tuple(sorted(phases, key=lambda phase: phase.repetition)))

    def systems(self) -> list[str]:
        """Those that were measured, in the catalogue's order."""
        known = {phase.system for phase in self.phases}
        return [name for name in CATALOG if name in known]

    def workloads(self, system: str) -> list[str]:
        """In the order in which they were done."""
        return list(dict.fromkeys(p.workload for p in self.phases if p.system == system))

    def values(self, system: str, workload: str, figure: str) -> list[float]:
        """One figure, one value a repetition; those phases that did not measure it are left out."""
        return [
            figures[figure]
            for phase in self.phases
            if (phase.system, phase.workload) == (system, workload)
            and figure in (figures := phase.figures())
        ]

    def spread(self, system: str, workload: str, figure: str) -> Spread | None:
        """Its median and range."""
        values = self.values(system, workload, figure)
        return Spread.of(values) if values else None

    def summit(self, system: str, kind: str, figure: str, *, lowest: bool = False) -> list[float]:
        """The figure at the concurrency where its median is best; by repetition."""
        found = {
            workload: Spread.of(values).median
            for workload in self.workloads(system)
            if workload.startswith(f"w1-{kind}-")
            and (values := self.values(system, workload, figure))
        }
        if not found:
            return []
        return self.values(system, best(found, lowest=lowest)[0], figure)

    def best_peer(self, figure: str, workload: str | None = None, *, lowest: bool = False) -> str:
        """Which of the peers does best; at one workload, or each at its best concurrency."""
        found: dict[str, float] = {}
        for name in self.systems():
            if not CATALOG[name].peer:
                continue
            values = (
                self.summit(name, "read", figure, lowest=lowest)
                if workload is None
                else self.values(name, workload, figure)
            )
            if values:
                found[name] = Spread.of(values).median
        return best(found, lowest=lowest)[0] if found else ""


def ratios(measured: Measured) -> dict[str, Spread]:
    """The figures that are promised, as far as what they need was measured."""
    seq, summit, values = "w1-read-c1", measured.summit, measured.values
    quick = measured.best_peer("p50_ms", seq, lowest=True)
    peers_best = summit(measured.best_peer("steps_s"), "read", "steps_s")
    dbos = [name for name in measured.systems() if name.startswith("dbos")]
    frugal = min(
        (summit(name, "read", "cpu_1000", lowest=True) for name in dbos),
        key=lambda found: Spread.of(found).median if found else float("inf"),
        default=[],
    )
    pairs = {
        "w1_fused_over_peer": (summit("aos", "read", "steps_s"), peers_best),
        "w1_unfused_over_peer": (summit("aos", "unsafe", "steps_s"), peers_best),
        "w1_same_promise_over_peer": (summit("aos", "idempotent", "steps_s"), peers_best),
        "w1_latency_over_peer": (values("aos", seq, "p50_ms"), values(quick, seq, "p50_ms")),
        "wal_over_floor": (values("aos", seq, "wal_run"), values("floor", seq, "wal_run")),
        "overhead_over_floor": (
            summit("raw-fused", "read", "steps_s"), summit("aos", "read", "steps_s"),
        ),
        "overhead_over_steps": (
            summit("raw", "read", "steps_s"), summit("aos", "unsafe", "steps_s"),
        ),
        "latency_over_raw": (values("aos", seq, "p50_ms"), values("raw-fused", seq, "p50_ms")),
        "cpu_over_dbos": (summit("aos", "read", "cpu_1000", lowest=True), frugal),
    }  # fmt: skip
    known = {name: paired_ratio(*pair) for name, pair in pairs.items() if _paired(*pair)}
    if commits := values("aos", seq, "commits_run"):
        known["commits_per_run5"] = Spread.of(commits)
    return known


def figures(measured: Measured) -> dict[str, float]:
    """A flat map: the promised ratios, and every system's own numbers."""
    flat = {name: ratio.median for name, ratio in ratios(measured).items()}
    for system in measured.systems():
        for workload in measured.workloads(system):
            for name, _, _ in _COLUMNS:
                if (found := measured.spread(system, workload, name)) is not None:
                    flat[f"{system}.{workload}.{name}"] = round(found.median, 4)
    return flat


def struck_figures(struck: Iterable[Ended]) -> dict[str, float]:
    """Medians by system and blow; what was lost or repeated is added up."""
    flat: dict[str, float] = {}
    for name, rounds in _by_blow(struck).items():
        flat[f"{name}.first_step_s"] = Spread.of(each.first_step for each in rounds).median
        flat[f"{name}.done_s"] = Spread.of(each.done for each in rounds).median
        flat[f"{name}.lost"] = float(sum(each.lost for each in rounds))
        flat[f"{name}.repeated"] = float(sum(each.repeated for each in rounds))
    return flat


def waited_figures(waited: Iterable[Waited]) -> dict[str, float]:
    """By system."""
    return {
        f"{each.system}.w6.{name}": value
        for each in waited
        for name, value in each.figures().items()
    }


def _waited_table(waited: Sequence[Waited]) -> list[str]:
    lines = [
        "| system | waiting | begun in s | idle CPU % | idle transactions/s | MB | KiB/run "
        "| signal to step p50 ms | p99 ms |",
        "|---" * 9 + "|",
    ]
    return lines + [
        f"| {CATALOG[each.system].title} | {each.waiting:,} | {each.park_s:.0f} "
        f"| {each.idle_cpu_pct:.1f} | {each.idle_transactions_s:.1f} | {each.memory_mb:,.0f} "
        f"| {each.memory_run_kb:.1f} | {each.signal_p50_ms:.1f} | {each.signal_p99_ms:.1f} |"
        for each in waited
    ]


def _by_blow(struck: Iterable[Ended]) -> dict[str, list[Ended]]:
    found: dict[str, list[Ended]] = {}
    for each in struck:
        found.setdefault(f"{each.system}.{each.blow}", []).append(each)
    return found


def _struck_table(struck: Sequence[Ended]) -> list[str]:
    lines = [
        "| system | blow | first step after s | all done after s | steps lost "
        "| repeated (in flight) | runs asked for again | holds |",
        "|---" * 8 + "|",
    ]
    for rounds in _by_blow(struck).values():
        one = rounds[0]
        first = Spread.of(each.first_step for each in rounds).median
        done = Spread.of(each.done for each in rounds).median
        lines.append(
            f"| {CATALOG[one.system].title} | {one.blow} | {first:.2f} | {done:.1f} "
            f"| {sum(each.lost for each in rounds)} "
            f"| {sum(each.repeated for each in rounds)} ({one.allowed}) "
            f"| {sum(each.asked_again for each in rounds)} "
            f"| {'yes' if all(each.holds for each in rounds) else 'NO'} |"
        )
    return lines


def verdict(name: str, value: float) -> str:
    """Whether a promise is kept; nothing for what was not promised."""
    if name not in TARGETS:
        return ""
    relation, bound = TARGETS[name]
    return "ok" if (value >= bound if relation == "≥" else value <= bound) else "MISSED"


def markdown(
    measured: Measured, struck: Sequence[Ended], waited: Sequence[Waited], facts: Sequence[str]
) -> str:
    """The page: what was promised, then a table per workload."""
    lines = ["# AOS and its peers", "", *(f"- {fact}" for fact in facts), "", "## Ratios", ""]
    lines += ["| figure | median | range | target | | meaning |", "|---|---|---|---|---|---|"]
    for name, ratio in ratios(measured).items():
        relation, bound = TARGETS.get(name, ("", 0.0))
        target = f"{relation} {bound:g}" if relation else ""
        lines.append(
            f"| `{name}` | {ratio.median:.2f} | {ratio.low:.2f}–{ratio.high:.2f} | {target} "
            f"| {verdict(name, ratio.median)} | {MEANINGS.get(name, '')} |"
        )
    workloads = dict.fromkeys(p.workload for p in measured.phases)
    for workload in workloads:
        lines += ["", f"## {workload}", "", *_table(measured, workload)]
    if struck:
        lines += ["", "## W2 and W4: killed in the middle", "", *_struck_table(struck)]
    if waited:
        lines += ["", "## W6 and W11: waiting and woken", "", *_waited_table(waited)]
    lines += ["", "![steps per second](report.svg)", ""]
    return "\n".join(lines)


def _table(measured: Measured, workload: str) -> list[str]:
    heads = [title for _, title, _ in _COLUMNS]
    lines = [f"| system | {' | '.join(heads)} | what survives |", "|---" * (len(heads) + 2) + "|"]
    for system in measured.systems():
        cells = [_cell(measured.spread(system, workload, name), form) for name, _, form in _COLUMNS]
        if any(cells):
            spec = CATALOG[system]
            lines.append(f"| {spec.title} | {' | '.join(cells)} | {spec.note} |")
    return lines


def _cell(found: Spread | None, form: str) -> str:
    if found is None:
        return ""
    if found.count == 1 or form.format(found.low) == form.format(found.high):
        return form.format(found.median)
    return f"{form.format(found.median)} ({form.format(found.low)}–{form.format(found.high)})"


def _paired(over: Sequence[float], under: Sequence[float]) -> bool:
    return bool(over) and len(over) == len(under)
