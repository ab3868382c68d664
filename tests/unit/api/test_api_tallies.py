"""Counting as values: sums do not depend on order or on how they are cut; labels are bounded."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.core import HistogramMetricFamily

from aos.actors.runs.events import RunFinished, RunStarted, RunStatus, StepSettled
from aos.actors.runs.tallies import FAMILIES, Origin, tallies_of
from aos.cluster.telemetry.metrics import (
    OTHER,
    Family,
    Tallies,
    counted,
    from_json,
    observed,
    to_families,
    to_json,
    total,
)
from aos.skills.contracts import Effects, StructuredOutcome, Usage

CALLS = Family("calls_total", "Calls.", ("who",), max_values=3)
SECONDS = Family("seconds", "Seconds.", ("who",), (0.1, 1.0), max_values=3)
BOTH = (CALLS, SECONDS)
NOW = datetime(2026, 1, 1, tzinfo=UTC)

one = st.one_of(
    st.builds(lambda who, n: counted(CALLS, who, amount=n), st.sampled_from("abc"), st.integers(0)),
    st.builds(
        lambda who, v: observed(SECONDS, who, value=v),
        st.sampled_from("abc"),
        st.integers(0, 5).map(float),
    ),
)


@given(st.lists(one, max_size=30), st.integers(0, 30))
def test_a_sum_of_sums_is_the_sum(parts: list[Tallies], cut: int) -> None:
    whole = total(BOTH, parts)
    halves = [total(BOTH, parts[:cut]), total(BOTH, parts[cut:])]
    assert total(BOTH, halves) == whole
    assert total(BOTH, reversed(parts)) == whole


@given(st.lists(one, max_size=30))
def test_what_was_saved_is_what_is_read(parts: list[Tallies]) -> None:
    tallies = total(BOTH, parts)
    assert from_json(json.loads(json.dumps(to_json(tallies))), BOTH) == tallies


def test_further_label_values_count_as_other() -> None:
    first = total(BOTH, [counted(CALLS, who) for who in "abcde"])
    again = total(BOTH, [first, *(counted(CALLS, who) for who in "efa")])
    assert {values[0]: n for (_, values), n in again.counters.items()} == {
        "a": 2, "b": 1, "c": 1, OTHER: 4,
    }  # fmt: skip


def test_numbers_under_an_old_meaning_are_left_out() -> None:
    old = total(BOTH, [counted(CALLS, "a"), observed(SECONDS, "a", value=1)])
    relabelled = Family("calls_total", "Calls.", ("who", "how"))
    rebucketed = Family("seconds", "Seconds.", ("who",), (0.5,))
    assert from_json(to_json(old), (relabelled, rebucketed)) == Tallies()
    assert from_json({}, BOTH) == Tallies()


@given(st.lists(st.floats(0, 10), max_size=20))
def test_buckets_are_cumulative_and_end_in_the_count(values: list[float]) -> None:
    tallies = total(BOTH, [observed(SECONDS, "a", value=value) for value in values])
    (family,) = to_families([SECONDS], tallies)
    assert isinstance(family, HistogramMetricFamily)
    buckets = [sample for sample in family.samples if sample.name == "seconds_bucket"]
    assert all(a.value <= b.value for a, b in pairwise(buckets))
    for sample in buckets:
        assert sample.value == sum(value <= float(sample.labels["le"]) for value in values)


def test_names_have_the_prefix_and_labels_are_few() -> None:
    assert len({family.name for family in FAMILIES}) == len(FAMILIES)
    for family in FAMILIES:
        assert family.name.startswith("aos_")
        assert family.name.endswith("_total") or family.buckets
        assert {"run", "run_id", "agent", "tenant", "tenant_id", "goal"}.isdisjoint(family.labels)
        assert list(family.buckets) == sorted(family.buckets)


def counters(*events: object) -> dict[str, float]:
    origin = Origin("rules", NOW - timedelta(seconds=2))
    parts = [part for event in events for part in tallies_of(event, origin)]  # type: ignore[arg-type]
    summed = total(FAMILIES, parts)
    return {f"{name}{list(values)}": n for (name, values), n in summed.counters.items()}


def settled(outcome: StructuredOutcome) -> StepSettled:
    return StepSettled(
        at=NOW, step_id="s", attempt=1, effects=Effects.READ, idempotency_key="k", outcome=outcome
    )


def test_a_clock_that_went_backwards_gives_no_negative_duration() -> None:
    finished = RunFinished(at=NOW - timedelta(hours=1), status=RunStatus.COMPLETED, code="OK")
    parts = total(FAMILIES, tallies_of(finished, Origin("rules", NOW)))
    assert [histogram.sum for histogram in parts.histograms.values()] == [0.0]


def test_events_that_say_nothing_new_count_nothing() -> None:
    assert counters(RunStarted(at=NOW, epoch=1)) == {}


def test_a_failed_planner_is_a_failed_plan() -> None:
    failed = StructuredOutcome.failure("ERR_PLANNER_NO_PLAN", skill="planner.rules")
    assert counters(settled(failed))["aos_plans_generated_total['rules', 'failure']"] == 1


def test_the_cost_of_two_model_calls_is_counted_once() -> None:
    def used(model: str) -> Usage:
        return Usage(provider="p", model=model, input_tokens=10, output_tokens=1, cached_tokens=4)

    outcome = StructuredOutcome.success(
        None, skill="llm_invoke", usage=(used("a"), used("b")), cost_microusd=9
    )
    found = counters(settled(outcome))
    assert found["aos_llm_cost_microusd_total['p', 'a']"] == 9
    assert "aos_llm_cost_microusd_total['p', 'b']" not in found
    assert found["aos_llm_tokens_total['p', 'b', 'input']"] == 6
    assert found["aos_llm_invocations_total['p', 'b', 'success']"] == 1


def test_a_model_call_that_failed_before_it_cost_anything_is_a_call() -> None:
    refused = StructuredOutcome.failure("ERR_LLM_AUTH", skill="llm_invoke")
    found = counters(settled(refused))
    assert found["aos_llm_invocations_total['unknown', 'unknown', 'failure']"] == 1
