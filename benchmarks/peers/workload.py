"""Workloads: what every system is asked to do, said without naming any of them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

Effects = Literal["read", "idempotent", "unsafe"]

STEPS = 5
PAYLOAD_BYTES = 200
WARM_UP_RUNS = 20


@dataclass(frozen=True, slots=True)
class Workload:
    """`runs` runs of `steps` durable steps each, of which `concurrency` are under way at a time.

    A step returns `payload_bytes` of text. With a `ledger` it also waits `step_seconds` and appends
    a line `run step attempt` to that file, which no system knows to be its own: the outside world.
    Only AOS tells `effects` apart. An outcome of a quick `read` may be made again after a crash;
    one of an `idempotent` step survives, as every step's does with the peers; an `unsafe` step's
    intent is committed before it is begun, too.
    """

    name: str
    runs: int
    concurrency: int
    steps: int = STEPS
    payload_bytes: int = PAYLOAD_BYTES
    effects: Effects = "read"
    step_seconds: float = 0.0
    ledger: str | None = None
    first: int = 0

    @property
    def output(self) -> str:
        """What a step returns."""
        return "x" * self.payload_bytes

    def names(self) -> Iterator[str]:
        """The names of its runs."""
        return (f"{self.name}-{number}" for number in range(self.first, self.first + self.runs))

    def split(self, parts: int) -> list[Workload]:
        """Its shares for at most so many processes: as many runs together, as many at a time."""
        parts = min(parts, self.concurrency, self.runs)
        shares: list[Workload] = []
        for part in range(parts):
            runs = self.runs // parts + (part < self.runs % parts)
            wide = self.concurrency // parts + (part < self.concurrency % parts)
            first = sum(share.runs for share in shares) + self.first
            shares.append(self._with(runs=runs, concurrency=wide, first=first))
        return shares

    def warm_up(self) -> Workload:
        """A few runs of the same kind, so that nothing measured is done for the first time."""
        runs = max(WARM_UP_RUNS, 2 * self.concurrency)
        return self._with(name=f"{self.name}-warm", runs=runs)

    def dump(self) -> dict[str, Any]:
        """As JSON, for another process."""
        return asdict(self)

    def _with(self, **changes: Any) -> Workload:
        return Workload(**(asdict(self) | changes))


def throughput(runs: int, concurrencies: tuple[int, ...], effects: Effects) -> list[Workload]:
    """W1: runs of five no-op durable steps, at each concurrency."""
    return [
        Workload(f"w1-{effects}-c{wide}", runs=runs, concurrency=wide, effects=effects)
        for wide in concurrencies
    ]
