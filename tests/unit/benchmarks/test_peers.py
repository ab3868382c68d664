"""What the comparison's arithmetic says, on numbers that can be checked by hand."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from xml.etree import ElementTree

import pytest

if not (Path(__file__).parents[3] / "benchmarks/peers").exists():
    pytest.skip("the checkout is not here: the wheel is under test", allow_module_level=True)

from benchmarks.peers.catalog import CATALOG
from benchmarks.peers.chart import Bar, Curve, bars, curves
from benchmarks.peers.ledger import Ended, Ledger
from benchmarks.peers.phase import Phase
from benchmarks.peers.report import (
    TARGETS,
    Measured,
    figures,
    markdown,
    ratios,
    struck_figures,
    verdict,
    waited_figures,
)
from benchmarks.peers.stats import Spread, best, paired_ratio, percentile
from benchmarks.peers.waited import Waited
from benchmarks.peers.workload import STEPS, Workload, throughput

SIZES = list(product((1, 7, 100), (1, 3, 10), (1, 2, 5)))
"""Runs, how many at a time, over how many processes."""


def phase(
    system: str, workload: str = "w1-read-c1", repetition: int = 0, took: float = 1.0, **more: float
) -> Phase:
    given = {"commits": 600, "wal_bytes": 200_000, "cpu_caller": 1.0, "cpu_others": 0.5} | more
    return Phase(
        system=system, workload=workload, repetition=repetition, runs=100, steps=500,
        concurrency=1, took=took, latencies=[0.01 * took] * 100, page_bytes=0, cpu_postgres=0.5,
        memory_bytes=2**20, table_bytes=100, **given,  # type: ignore[arg-type]
    )  # fmt: skip


class TestWorkloads:
    def test_w1_is_five_steps_at_each_concurrency(self) -> None:
        found = throughput(1_000, (1, 10), "read")
        assert [(w.runs, w.steps, w.concurrency) for w in found] == [(1_000, 5, 1), (1_000, 5, 10)]

    @pytest.mark.parametrize(("runs", "wide", "parts"), SIZES)
    def test_shares_are_the_whole(self, runs: int, wide: int, parts: int) -> None:
        whole = Workload("w", runs=runs, concurrency=wide)
        shares = whole.split(parts)
        assert len(shares) <= parts
        assert all(share.concurrency >= 1 for share in shares)
        assert sum(share.runs for share in shares) == runs
        assert sum(share.concurrency for share in shares) == wide
        assert [key for share in shares for key in share.names()] == list(whole.names())

    def test_it_survives_the_way_to_another_process(self) -> None:
        workload = Workload("w", runs=3, concurrency=2, ledger="a/ledger")
        assert Workload(**workload.dump()) == workload

    def test_warming_up_has_keys_of_its_own(self) -> None:
        workload = Workload("w", runs=3, concurrency=2)
        assert not set(workload.warm_up().names()) & set(workload.names())


class TestStats:
    def test_a_spread_is_median_and_range(self) -> None:
        assert Spread.of([3, 1, 2]) == Spread(2, 1, 3, 3)
        assert Spread.of([3, 1, 2]).relative == 1.0

    def test_percentiles_are_values_that_occurred(self) -> None:
        values = list(range(1, 101))
        assert [percentile(values, rank) for rank in (50, 99, 100)] == [50, 99, 100]
        assert percentile([5], 99) == 5
        with pytest.raises(ValueError, match="no values"):
            percentile([], 50)

    def test_ratios_are_taken_within_a_repetition(self) -> None:
        # The machine was twice as slow in the second repetition, for both of them.
        assert paired_ratio([10, 5], [5, 2.5]) == Spread(2, 2, 2, 2)
        with pytest.raises(ValueError, match="do not match"):
            paired_ratio([1, 2], [1])

    def test_the_best_is_named(self) -> None:
        assert best({"a": 1, "b": 2}) == ("b", 2)
        assert best({"a": 1, "b": 2}, lowest=True) == ("a", 1)


class TestReport:
    def test_a_phase_is_told_per_run_and_per_second(self) -> None:
        known = phase("aos", took=2.0).figures()
        assert known["runs_s"] == 50
        assert known["steps_s"] == 250
        assert known["p50_ms"] == 20
        assert known["commits_run"] == 6
        assert known["cpu_1000"] == 4  # two seconds of CPU for five hundred steps
        assert "transactions_run" not in known

    def test_the_better_peer_is_what_is_compared_with(self) -> None:
        measured = Measured.of(
            [
                *(phase("aos", took=took) for took in (1.0,)),
                phase("aos", "w1-unsafe-c10", took=2.0),
                phase("dbos", took=4.0),
                phase("dbos", "w1-read-c10", took=3.0),
                phase("langgraph", took=2.0),
                phase("langgraph-async", took=0.1),  # weaker: no anchor
                phase("floor", wal_bytes=100_000),
            ]
        )
        known = {name: ratio.median for name, ratio in ratios(measured).items()}
        assert known["w1_fused_over_peer"] == 2
        assert known["w1_unfused_over_peer"] == 1
        assert known["w1_latency_over_peer"] == 0.5
        assert known["wal_over_floor"] == 2
        assert known["commits_per_run5"] == 6
        assert known["cpu_over_dbos"] == 1

    def test_a_system_counts_at_its_best_concurrency(self) -> None:
        measured = Measured.of([phase("dbos", took=2.0), phase("dbos", "w1-read-c10", took=1.0)])
        assert measured.summit("dbos", "read", "steps_s") == [500]

    def test_what_was_not_measured_is_not_told(self) -> None:
        known = ratios(Measured.of([phase("dbos"), phase("langgraph")]))
        assert known == {}

    def test_figures_are_flat_and_named_after_their_system(self) -> None:
        known = figures(Measured.of([phase("dbos", repetition=n, took=n + 1.0) for n in range(3)]))
        assert known["dbos.w1-read-c1.steps_s"] == 250
        assert all(isinstance(value, float) for value in known.values())

    def test_a_promise_is_kept_or_missed(self) -> None:
        assert verdict("w1_fused_over_peer", 5.1) == "ok"
        assert verdict("w1_fused_over_peer", 4.9) == "MISSED"
        assert verdict("cpu_over_dbos", 0.6) == "MISSED"
        assert verdict("latency_over_raw", 9.0) == ""

    def test_the_page_has_every_system_and_says_what_survives(self) -> None:
        names = list(CATALOG)
        page = markdown(Measured.of([phase(name) for name in names]), [], [], ["two cores"])
        for name in names:
            assert f"| {CATALOG[name].title} |" in page
            assert CATALOG[name].note in page
        assert "- two cores" in page
        assert "`w1_fused_over_peer`" in page

    def test_every_promised_figure_has_a_meaning(self) -> None:
        measured = Measured.of(
            phase(name, workload) for name in CATALOG for workload in ("w1-read-c1", "w1-unsafe-c1")
        )
        assert set(ratios(measured)) >= set(TARGETS)
        assert STEPS == 5


class TestLedger:
    TEXT = "a 1 1 10.0\na 2 1 11.0\nb 1 1 12.5\nb 1 1 13.0\nb 2 1 14.0\n"

    def ended(self, text: str, concurrency: int = 1) -> Ended:
        return Ledger.parse(text).ended(
            system="dbos", blow="w2", runs=2, steps=2, concurrency=concurrency,
            began=9.0, struck=12.6, ended=15.0, asked_again=0,
        )  # fmt: skip

    def test_what_was_in_flight_may_begin_again(self) -> None:
        ended = self.ended(self.TEXT)
        assert (ended.lost, ended.repeated, ended.holds) == (0, 1, True)
        assert ended.first_step == pytest.approx(0.4)
        assert ended.done == pytest.approx(2.4)

    def test_what_was_not_in_flight_may_not(self) -> None:
        assert not self.ended(self.TEXT + "a 1 1 14.5\n").holds

    def test_a_step_that_never_began_is_lost(self) -> None:
        ended = self.ended(self.TEXT.replace("b 2 1 14.0\n", ""))
        assert (ended.lost, ended.holds) == (1, False)

    def test_silence_after_the_blow_is_no_result(self) -> None:
        with pytest.raises(ValueError, match="no step began"):
            self.ended("a 1 1 10.0\n")

    def test_losses_are_added_up_and_times_are_medians(self) -> None:
        struck = [self.ended(self.TEXT), self.ended(self.TEXT + "a 1 1 14.5\n")]
        known = struck_figures(struck)
        assert known["dbos.w2.repeated"] == 3
        assert "| DBOS | w2 | 0.40 | 2.4 | 0 | 3 (1) | 0 | NO |" in markdown(
            Measured.of([]), struck, [], []
        )


def test_waiting_is_told_by_system() -> None:
    waited = Waited("dbos", 1_000, 4.0, 1.5, 2.0, 90.0, 30.0, 8.0, 20.0)
    known = waited_figures([waited])
    assert known["dbos.w6.signal_p50_ms"] == 8
    assert known["dbos.w6.idle_cpu_pct"] == 1.5
    assert "| DBOS | 1,000 | 4 | 1.5 | 2.0 | 90 | 30.0 | 8.0 | 20.0 |" in markdown(
        Measured.of([]), [], [waited], []
    )


def test_a_chart_is_well_formed_and_to_scale() -> None:
    picture = bars(
        "A < B", "steps/s", [Bar("ours", 50, 40, 60, ours=True), Bar("theirs & co", 100, 90, 100)]
    )
    root = ElementTree.fromstring(picture)  # noqa: S314 - our own
    drawn = [r for r in root.iter("{http://www.w3.org/2000/svg}rect") if r.get("height") == "16"]
    widths = [float(rect.get("width") or 0) for rect in drawn]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.2)


def test_what_is_flat_is_drawn_flat_and_what_grows_rises() -> None:
    flat, steep = [(1_000, 1.0), (10_000_000, 1.0)], [(1, 1.0), (1_000, 100.0)]
    picture = curves("a < b", [Curve("rows", flat), Curve("steps", steep)])
    root = ElementTree.fromstring(picture)  # noqa: S314 - our own
    lines = [each.attrib["points"] for each in root if each.tag.endswith("polyline")]
    (one, other) = ([float(place.split(",")[1]) for place in line.split()] for line in lines)
    assert one[0] == one[1]
    assert other[1] < other[0]
    assert root.attrib["aria-label"] == "a < b"
