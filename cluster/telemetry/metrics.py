"""Counters and histograms as values: folded from events, saved as JSON, shown to Prometheus.

A counter that lives in a process forgets when the process dies and lies when there are two. Here a
counter is data: `Tallies` are what some events add up to, adding two is a pure function, and where
they are kept is somebody else's business. Label values are bounded: once a family has seen
`max_values` of a label, further ones count as `other`, so no input can blow up a scrape.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

OTHER = "other"

Key = tuple[str, tuple[str, ...]]
"""A family's name and the label values, in the order of the family's labels."""


@dataclass(frozen=True, slots=True)
class Family:
    """What is counted. With `buckets` (upper bounds, ascending) it is a histogram."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    max_values: int = 50


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations per bucket (not cumulated; the last one is above every bound), and their sum."""

    counts: tuple[int, ...]
    sum: float

    def plus(self, other: Histogram) -> Histogram:
        """Both together."""
        counts = tuple(a + b for a, b in zip(self.counts, other.counts, strict=True))
        return Histogram(counts, self.sum + other.sum)


@dataclass(frozen=True)
class Tallies:
    """What has been counted so far. Values are never changed in place."""

    counters: Mapping[Key, float] = field(default_factory=dict[Key, float])
    histograms: Mapping[Key, Histogram] = field(default_factory=dict[Key, Histogram])


def counted(family: Family, *values: str, amount: float = 1) -> Tallies:
    """Tallies of one increment."""
    return Tallies(counters={(family.name, values): amount})


def observed(family: Family, *values: str, value: float) -> Tallies:
    """Tallies of one observation; a value on a bound belongs to that bound's bucket."""
    counts = [0] * (len(family.buckets) + 1)
    counts[bisect_left(family.buckets, value)] = 1
    return Tallies(histograms={(family.name, values): Histogram(tuple(counts), value)})


def total(families: Iterable[Family], tallies: Iterable[Tallies]) -> Tallies:
    """All of them together, label values beyond a family's bound counted as `other`."""
    adder = _Adder({family.name: family for family in families})
    for part in tallies:
        adder.add(part)
    return Tallies(adder.counters, adder.histograms)


class _Adder:
    """Adds in place what nobody else sees yet, so that a page of events costs a page of work."""

    def __init__(self, families: Mapping[str, Family]) -> None:
        self.counters: dict[Key, float] = {}
        self.histograms: dict[Key, Histogram] = {}
        self._families = families
        self._seen: defaultdict[tuple[str, int], set[str]] = defaultdict(set)

    def add(self, part: Tallies) -> None:
        for key, amount in part.counters.items():
            bounded = self._bounded(key)
            self.counters[bounded] = self.counters.get(bounded, 0) + amount
        for key, histogram in part.histograms.items():
            bounded = self._bounded(key)
            known = self.histograms.get(bounded)
            self.histograms[bounded] = known.plus(histogram) if known else histogram

    def _bounded(self, key: Key) -> Key:
        name, values = key
        limit = self._families[name].max_values
        return name, tuple(
            self._admit(self._seen[name, place], value, limit) for place, value in enumerate(values)
        )

    @staticmethod
    def _admit(seen: set[str], value: str, limit: int) -> str:
        if value not in seen and value != OTHER:
            if len(seen) >= limit:
                return OTHER
            seen.add(value)
        return value


def to_json(tallies: Tallies) -> dict[str, Any]:
    """Tallies as a JSON value."""
    return {
        "counters": [[name, list(values), n] for (name, values), n in tallies.counters.items()],
        "histograms": [
            [name, list(values), list(histogram.counts), histogram.sum]
            for (name, values), histogram in tallies.histograms.items()
        ],
    }


def from_json(saved: Mapping[str, Any], families: Iterable[Family]) -> Tallies:
    """Tallies from a JSON value. What the families no longer count, or count in other buckets or
    under other labels, is left out: an old number under a new meaning would be a lie.
    """
    known = {family.name: family for family in families}

    def fits(name: str, values: list[str], counts: int) -> bool:
        family = known.get(name)
        if family is None or len(values) != len(family.labels):
            return False
        return counts == (len(family.buckets) + 1 if family.buckets else 0)

    return Tallies(
        {
            (name, tuple(values)): amount
            for name, values, amount in saved.get("counters", ())
            if fits(name, values, 0)
        },
        {
            (name, tuple(values)): Histogram(tuple(counts), sum_)
            for name, values, counts, sum_ in saved.get("histograms", ())
            if fits(name, values, len(counts))
        },
    )


def to_families(families: Iterable[Family], tallies: Tallies) -> list[Metric]:
    """What a Prometheus collector yields: every family, also those without a sample yet."""
    return [
        _histogram_family(family, tallies) if family.buckets else _counter_family(family, tallies)
        for family in families
    ]


def gauge(name: str, help_text: str, value: float) -> Metric:
    """A number as it is now."""
    return GaugeMetricFamily(name, help_text, value=value)


def _counter_family(family: Family, tallies: Tallies) -> Metric:
    metric = CounterMetricFamily(family.name, family.help, labels=family.labels)
    if not family.labels:
        metric.add_metric((), tallies.counters.get((family.name, ()), 0))
        return metric
    for (name, values), amount in sorted(tallies.counters.items()):
        if name == family.name:
            metric.add_metric(values, amount)
    return metric


def _histogram_family(family: Family, tallies: Tallies) -> Metric:
    metric = HistogramMetricFamily(family.name, family.help, labels=family.labels)
    bounds = [*(str(float(bound)) for bound in family.buckets), "+Inf"]
    for (name, values), histogram in sorted(tallies.histograms.items(), key=lambda item: item[0]):
        if name == family.name:
            below = [sum(histogram.counts[: place + 1]) for place in range(len(bounds))]
            buckets = list(zip(bounds, below, strict=True))
            metric.add_metric(values, buckets, sum_value=histogram.sum)
    return metric
