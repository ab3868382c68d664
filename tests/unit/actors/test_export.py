"""Provenance as files that nobody is harmed by."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.actors.runs.export import COLUMNS, csv_head, csv_line, json_line
from aos.actors.runs.provenance_records import (
    Attempt,
    Denial,
    Other,
    Planned,
    Restart,
    StatusChange,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = (3, AT, 1, "step_settled")


def cells(line: str) -> dict[str, str]:
    (row,) = csv.DictReader(io.StringIO(csv_head() + line, newline=""))
    assert None not in row
    return row


def test_the_columns_are_what_files_were_written_with() -> None:
    """A change here is one for everybody who reads such files: only add at the end."""
    assert COLUMNS == (
        "run_id", "record", "seq", "at", "epoch", "kind", "status", "cause", "step", "round",
        "skill", "version", "effects", "depends_on", "attempt", "code", "message", "effect",
        "retryable", "duration_ms", "cost_microusd", "input_tokens", "output_tokens",
        "idempotency_key", "before", "reason", "detail", "supervisor", "ended_at", "by",
    )  # fmt: skip


def test_each_kind_of_record_is_a_row_and_a_line() -> None:
    for name, record in {
        "status": StatusChange(*HEAD, "running", "taken up"),
        "plan": Planned(*HEAD, "a", 1, "s", "1.0.0", "read", ("b", "c")),
        "attempt": Attempt(*HEAD, step="a", retryable=True, duration_ms=4),
        "denial": Denial(*HEAD, "a", "s", "ERR_FORBIDDEN_SKILL", "no"),
        "restart": Restart(*HEAD, 1, "killed", "signal 9", "agents", AT),
        "event": Other(*HEAD, "a", "ann", "why"),
    }.items():
        row, line = cells(csv_line("r", record)), json.loads(json_line("r", record))
        for shown in (row, line):
            assert (shown["run_id"], shown["record"], shown["kind"]) == ("r", name, "step_settled")
        assert row["at"] == line["at"] == "2026-01-01T00:00:00+00:00"
    assert (
        cells(csv_line("r", Planned(*HEAD, "a", 1, depends_on=("b", "c"))))["depends_on"] == "b c"
    )
    assert cells(csv_line("r", Attempt(*HEAD, retryable=True)))["retryable"] == "true"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"])
def test_no_cell_begins_like_a_formula(start: str) -> None:
    text = f'{start}HYPERLINK("http://evil","click")'
    row = cells(csv_line(text, Other(*HEAD, text, text, text)))
    for name in ("run_id", "step", "by", "message"):
        assert row[name] == f"'{text}"
    assert json.loads(json_line("r", Other(*HEAD, message=text)))["message"] == text


@given(st.text(), st.text(), st.integers())
def test_texts_come_back_as_they_were_but_for_the_apostrophe(
    message: str, by: str, number: int
) -> None:
    record = Attempt(*HEAD, step=by, message=message, duration_ms=number)
    row = cells(csv_line("r", record))
    assert row["message"].removeprefix("'") in (message, message.removeprefix("'"))
    assert not row["message"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row["duration_ms"] == str(number)
    line = json_line("r", record)
    assert line.isascii()
    assert line.count("\n") == 1
    assert json.loads(line)["message"] == message
