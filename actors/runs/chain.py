r"""The journal's hash chain: anybody who knows the last link can tell whether a row was changed.

    link(0) = sha256("aos-journal/1\n" + run id)
    link(n) = sha256(link(n-1) in hex + "\n" + seq + "\n" + kind + "\n" + version + "\n" + body)

`body` is the row's text as it stands, which is canonical JSON. Pure, and needs nothing of AOS: the
formula above is all that a checker in another language has to know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from ...cluster.canonical import canonical
from .events import Event, encode


@dataclass(frozen=True, slots=True)
class Row:
    """One journal row, as it is written."""

    seq: int
    kind: str
    version: int
    at: datetime
    body: str
    chain: bytes


def genesis(run_id: UUID) -> bytes:
    """What a run's first link is chained to."""
    return hashlib.sha256(f"aos-journal/1\n{run_id}".encode()).digest()


def link(before: bytes, seq: int, kind: str, version: int, body: str) -> bytes:
    """The next link."""
    text = f"{before.hex()}\n{seq}\n{kind}\n{version}\n{body}"
    return hashlib.sha256(text.encode()).digest()


def chained(before: bytes, first_seq: int, events: Iterable[Event]) -> tuple[Row, ...]:
    """Events as rows, from `first_seq` on, chained to the link `before` them."""
    rows: list[Row] = []
    for seq, event in enumerate(events, first_seq):
        body = canonical(encode(event)).decode()
        before = link(before, seq, event.kind, event.version, body)
        rows.append(Row(seq, event.kind, event.version, event.at, body, before))
    return tuple(rows)


def broken_at(run_id: UUID, rows: Iterable[Row]) -> int | None:
    """The sequence number of the first row, in order from 1, whose link is not what it must be."""
    before = genesis(run_id)
    for seq, row in enumerate(rows, 1):
        before = link(before, seq, row.kind, row.version, row.body)
        if row.seq != seq or row.chain != before:
            return seq
    return None
