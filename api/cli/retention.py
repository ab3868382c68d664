"""`aos retention …`."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...actors.retention.archive import ArchivedRun
from ...actors.retention.reading import read_archive, read_header
from ...cluster.errors import InputError
from ..client import AosClient
from . import render_retention as render
from .exits import OK
from .output import Json, console
from .output import show as show_value

Flag = Annotated[bool, Parameter(negative=())]


class NotInArchive(InputError):
    """The archive is whole, and does not have this run."""

    code = "AOS-1130"
    title = "This archive does not have the run."
    next_action = "Look for the week that the run began in: `aos retention ls`."


def show(*, json: Json = False) -> int:
    """Show the policy, what it lets go now, and what went last.

    Parameters
    ----------
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.retention.show()
    show_value(found, render.render_retention(found), json=json)
    return OK


def run(*, dry_run: Flag = False, json: Json = False) -> int:
    """Have old runs removed now. They go in the background, and more gently than fast.

    Parameters
    ----------
    dry_run
        Only show what would go.
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.retention.run(dry_run=dry_run)
    show_value(found, render.render_round(found), json=json)
    return OK


def ls(*, limit: int = 20, cursor: str | None = None, json: Json = False) -> int:
    """List archives, newest first.

    Parameters
    ----------
    limit
        How many at most.
    cursor
        Go on where the page before has ended.
    json
        Print JSON.
    """
    with AosClient() as aos:
        page = aos.retention.archives(cursor=cursor, limit=limit)
    show_value(page, render.render_archives(page), json=json)
    return OK


def read(file: Path, /, *, run: str | None = None, json: Json = False) -> int:
    """Check an archive from its first line to its last; needs no running AOS.

    Parameters
    ----------
    file
        The archive, as `aos retention ls` shows it.
    run
        Print this run of it: its row, its journal, the hashes of its large values.
    json
        Print JSON.
    """
    header = read_header(file)
    runs = events = values = 0
    wanted: ArchivedRun | None = None
    for each in read_archive(file):
        runs, events, values = runs + 1, events + len(each.events), values + len(each.blobs)
        if each.run_id == run:
            wanted = each
    if run is not None:
        if wanted is None:
            raise NotInArchive(f"{file} has no run {run}")
        _print_run(wanted)
    elif json:
        facts = {"tenant": header.tenant, "part": header.part, "removal": header.removal,
                 "runs": runs, "events": events, "blobs": values}  # fmt: skip
        print(json_format.dumps(facts))
    else:
        console().print(render.whole_line(header.tenant, header.part, runs, events, values))
    return OK


def _print_run(found: ArchivedRun) -> None:
    """A line for the run, one per event, one per value; ASCII: nothing drives a terminal."""
    print(json_format.dumps({"run": found.row}))
    for event in found.events:
        print(json_format.dumps({"event": event}))
    for digest, content in found.blobs.items():
        print(json_format.dumps({"blob": {"hash": digest, "bytes": len(content)}}))
