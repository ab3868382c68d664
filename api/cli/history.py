"""`aos runs history` and `aos runs export`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from ..client import AosClient
from . import render_history
from .exits import OK
from .output import Json
from .output import show as show_value
from .words import plain

Output = Annotated[Path | None, Parameter(name=["--output", "-o"])]


def history(run_id: str, /, *, json: Json = False) -> int:
    """Show where a run's result comes from: statuses, plan, attempts, denials, restarts.

    Parameters
    ----------
    run_id
        The run's id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.runs.history(run_id)
    show_value(found, render_history.render_history(found), json=json)
    return OK


def export(
    run_id: str,
    /,
    *,
    format: Literal["csv", "jsonl"] = "jsonl",  # noqa: A002 - the option's name
    output: Output = None,
) -> int:
    """Write a run's history, one record a line.

    Parameters
    ----------
    run_id
        The run's id.
    format
        csv, for spreadsheets; or jsonl, a JSON object a line.
    output
        A file; without it, standard output. It is there only if it is whole.
    """
    with AosClient() as aos:
        pieces = aos.runs.export(run_id, format)
        if output is None:
            for piece in pieces:
                _put(piece)
            return OK
        fresh = output.with_name(f".{output.name}.part")
        try:
            with fresh.open("wb") as stream:
                stream.writelines(pieces)
            fresh.replace(output)
        finally:
            fresh.unlink(missing_ok=True)
    return OK


def _put(piece: bytes) -> None:
    """As it is for programs; for people without what would drive their terminal."""
    if sys.stdout.isatty():
        sys.stdout.write(plain(piece.decode(errors="replace")))
    else:
        sys.stdout.buffer.write(piece)
    sys.stdout.flush()
