from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.skills.retry_after import retry_after_ms

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        ("120", 120_000),
        (" 7 ", 7_000),
        ("-3", None),
        ("1.5", None),
        ("soon", None),
        ("٣", None),
        ("99999999999999999999", 86_400_000),
        ("Sat, 21 Nov 2026 12:00:30 GMT", 30_000),
        ("Saturday, 21-Nov-26 12:00:30 GMT", 30_000),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Sat, 21 Nov 2026 12:00:01 -0000", 1_000),
        ("Sun, 21 Nov 2100 12:00:00 GMT", 86_400_000),
        ("Sat, 99 Nov 2026 12:00:00 GMT", None),
    ],
)
def test_seconds_and_dates(value: str | None, expected: int | None) -> None:
    assert retry_after_ms(value, NOW) == expected


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d+ [A-Z][a-z]{2} \d+ \d+:\d+:\d+ \S+"))
def test_no_header_breaks_it(value: str) -> None:
    found = retry_after_ms(value, NOW)
    assert found is None or 0 <= found <= 86_400_000
