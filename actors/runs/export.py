"""Provenance as files: CSV for spreadsheets, JSON lines for programs. Pure.

A CSV has one row per record and the same columns for every kind of record, so that files of many
runs can be put one below the other. Cells that a spreadsheet would take for a formula begin with an
apostrophe (OWASP, "CSV Injection"): goals and messages may come from anywhere. JSON lines hold the
texts as they are.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any, cast

from .provenance_records import Attempt, Denial, Other, Planned, Record, Restart, StatusChange

NAMES: dict[type[Record], str] = {
    StatusChange: "status",
    Planned: "plan",
    Attempt: "attempt",
    Denial: "denial",
    Restart: "restart",
    Other: "event",
}
"""What each kind of record is called."""

COLUMNS: tuple[str, ...] = tuple(
    dict.fromkeys(["run_id", "record", *(field.name for kind in NAMES for field in fields(kind))])
)
"""The columns of a CSV. A column may be added at the end; none changes its place or meaning."""

_FORMULAS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_head() -> str:
    """The first line of a CSV (RFC 4180): the names of the columns."""
    return _line(COLUMNS)


def csv_line(run_id: str, record: Record) -> str:
    """A record as a line of a CSV."""
    shown = as_json(run_id, record)
    return _line([_cell(shown.get(column)) for column in COLUMNS])


def json_line(run_id: str, record: Record) -> str:
    """A record as a line of JSON, in ASCII: nothing in it drives a terminal."""
    return json.dumps(as_json(run_id, record)) + "\n"


def as_json(run_id: str, record: Record) -> dict[str, Any]:
    """A record as JSON has it; `record` says which kind of record it is."""
    shown = {name: _plain(value) for name, value in asdict(record).items()}
    return {"run_id": run_id, "record": NAMES[type(record)], **shown}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return list(cast("tuple[str, ...]", value)) if isinstance(value, tuple) else value


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        value = " ".join(cast("list[str]", value))
    text = str(value)
    # Our own numbers may be negative; texts of others that begin alike are none.
    harmless = isinstance(value, int) or not text.startswith(_FORMULAS)
    return text if harmless else f"'{text}"


def _line(cells: Iterable[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\r\n").writerow(cells)
    return buffer.getvalue()
