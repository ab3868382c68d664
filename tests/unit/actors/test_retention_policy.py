"""What goes, decided from facts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.actors.retention.policy import (
    DEFAULT_PART,
    Part,
    Policy,
    Stock,
    Verdict,
    judge,
    old_enough,
)
from aos.cluster.settings import InvalidSettings, load

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def part(until: datetime | None = NOW - 50 * DAY, last: datetime | None = None) -> Part:
    return Part("20260907", until and until - 7 * DAY, until, last)


def test_nothing_is_removed_unasked() -> None:
    assert Policy.of(load()) == Policy(None, None)
    assert Policy().ended_before(NOW) is None


def test_days_are_days() -> None:
    assert Policy(30).ended_before(NOW) == NOW - 30 * DAY


@pytest.mark.parametrize("days", [0, -1, 36_501])
def test_a_policy_of_no_days_is_refused(days: int) -> None:
    with pytest.raises(InvalidSettings, match="retention_days"):
        load(retention_days=days)


def test_an_empty_variable_is_no_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AOS_RETENTION_DAYS", "")
    monkeypatch.setenv("AOS_RETENTION_ARCHIVE", "")
    assert Policy.of(load()) == Policy(None, None)


@pytest.mark.parametrize(
    ("until", "old"),
    [
        (NOW - 31 * DAY, True),
        (NOW - 30.5 * DAY, False),  # within the day of grace
        (NOW - 30 * DAY, False),
        (NOW + DAY, False),
        (None, True),
    ],
)
def test_only_weeks_that_are_wholly_over_are_looked_at(until: datetime | None, old: bool) -> None:
    assert old_enough(part(until), NOW - 30 * DAY) is old


@pytest.mark.parametrize(
    ("removable", "runs", "last", "verdict"),
    [
        (0, 0, None, Verdict.KEEP),
        (0, 5, None, Verdict.KEEP),
        (5, 5, None, Verdict.REMOVE),
        (1, 1_000, None, Verdict.REMOVE),
        (1, 1_000, NOW - 0.5 * DAY, Verdict.LATER),
        (1, 1_000, NOW - 1.5 * DAY, Verdict.REMOVE),
        (500, 1_000, NOW - 0.5 * DAY, Verdict.REMOVE),
    ],
)
def test_the_verdict(removable: int, runs: int, last: datetime | None, verdict: Verdict) -> None:
    assert judge(Stock(part(last=last), removable, runs), NOW) is verdict
    assert judge(Stock(Part(DEFAULT_PART, last=last), removable, runs), NOW) is verdict


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 10_000))
def test_what_may_go_goes_within_a_day(removable: int, stays: int, minutes_ago: int) -> None:
    last = NOW - timedelta(minutes=minutes_ago)
    verdict = judge(Stock(part(last=last), removable, removable + stays), NOW)
    assert (verdict is Verdict.KEEP) == (removable == 0)
    if verdict is Verdict.LATER:
        assert NOW - last < DAY
