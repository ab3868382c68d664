"""Certification: many recorded runs verified and replayed, and one report of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import Field

from ...actors.replay.mock import mock
from ...actors.replay.signing import check_signature, trusted_keys
from ...actors.replay.trace import read_trace, verify_trace
from ...actors.replay.verify import read_events
from ...cluster.errors import AosError
from ..client import AosClient, ApiError
from ..client.models import Shape
from ..client.replay_models import ReplayView, VerificationView
from ..present_replay import replay_view, verification_view
from .teams import UnreadableFile

_PAGE = 100

Both = tuple[VerificationView, ReplayView | None]


class Certified(Shape):
    """One run. `seq` and `cause` say where and why it is not the same."""

    name: str
    result: Literal["same", "differs", "unreadable"]
    status: str = ""
    events: int = 0
    signature: str = ""
    seq: int | None = None
    cause: str = ""
    unchecked: list[str] = Field(default_factory=list[str])


class Certificate(Shape):
    """All of them."""

    at: datetime
    source: str
    same: int
    differ: int
    runs: list[Certified]


def certify_runs(aos: AosClient, last: int) -> Certificate:
    """The newest finished runs of an AOS."""

    def both(run_id: str) -> Both:
        found = aos.replays.verify(run_id)
        return found, aos.replays.mock(run_id) if found.holds else None

    runs = [_certified(run_id, both) for run_id in _finished(aos, last)]
    return _certificate(aos.url, runs)


def certify_directory(directory: Path, key: Path | None) -> Certificate:
    """The traces in a directory; with a key each must be signed."""
    if not directory.is_dir():
        raise UnreadableFile(f"{directory} is not a directory")
    trusted = trusted_keys(key) if key is not None else None

    def both(name: str) -> Both:
        file = directory / name
        content = file.read_bytes()
        if trusted is not None:
            signature = Path(f"{file}.sig")
            text = signature.read_text() if signature.exists() else ""
            check_signature(content, text, trusted)
        trace = read_trace(content.decode())
        found = verify_trace(trace)
        if not found.holds:
            return verification_view(found), None
        again = mock(trace.run_id, read_events(trace.rows), trace.values)
        return verification_view(found), replay_view(again)

    names = sorted(file.name for file in directory.glob("*.jsonl"))
    if not names:
        raise UnreadableFile(f"{directory} has no traces (*.jsonl)")
    return _certificate(str(directory), [_certified(name, both) for name in names])


def _finished(aos: AosClient, last: int) -> Iterator[str]:
    cursor, found = None, 0
    while found < last:
        page = aos.runs.list(cursor=cursor, limit=_PAGE)
        for run in page.items:
            if run.final and found < last:
                found += 1
                yield str(run.id)
        if (cursor := page.next_cursor) is None:
            return


def _certified(name: str, both: Callable[[str], Both]) -> Certified:
    try:
        found, again = both(name)
    except (AosError, ApiError) as error:
        return Certified(name=name, result="unreadable", cause=f"{error.code}: {error.detail}")
    except (OSError, UnicodeDecodeError) as error:
        return Certified(name=name, result="unreadable", cause=str(error))
    fault, difference = found.divergence, again.difference if again is not None else None
    cause = fault.cause if fault is not None else ""
    if difference is not None:
        cause = f"recorded: {difference.recorded}; attempted: {difference.attempted}"
    return Certified(
        name=name,
        result="same" if fault is None and difference is None else "differs",
        status=found.status,
        events=found.events,
        signature=found.signature,
        seq=fault.seq if fault is not None else None,
        cause=cause,
        unchecked=found.unchecked,
    )


def _certificate(source: str, runs: list[Certified]) -> Certificate:
    same = sum(run.result == "same" for run in runs)
    return Certificate(
        at=datetime.now(UTC), source=source, same=same, differ=len(runs) - same, runs=runs
    )
