"""From samples to what may be said about them. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A median with the range of its repetitions."""

    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Of at least one repetition."""
        known = sorted(values)
        return cls(statistics.median(known), known[0], known[-1], len(known))

    @property
    def relative(self) -> float:
        """The range as a part of the median: 0.1 is ±5 %."""
        return (self.high - self.low) / self.median if self.median else 0.0


def percentile(values: Sequence[float], rank: float) -> float:
    """The smallest value that at least `rank` % of all are not above. Exact for few values too."""
    if not values:
        raise ValueError("no values")
    known = sorted(values)
    place = max(1, -(-len(known) * rank // 100))
    return known[int(place) - 1]


def paired_ratio(over: Sequence[float], under: Sequence[float]) -> Spread:
    """Ratios repetition by repetition: each pair was measured within minutes of each other, so what
    the machine did to one of them it did to the other.
    """
    if len(over) != len(under):
        raise ValueError("repetitions do not match")
    return Spread.of([mine / other for mine, other in zip(over, under, strict=True)])


def best(by_system: Mapping[str, float], *, lowest: bool = False) -> tuple[str, float]:
    """The name and value of the best of several systems."""
    if not by_system:
        raise ValueError("no systems")
    choose = min if lowest else max
    name = choose(by_system, key=lambda each: by_system[each])
    return name, by_system[name]
