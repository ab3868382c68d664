"""Reads archives, and refuses those that are not what was written."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

from ...cluster.canonical import bytes_hash, canonical, readable
from ..runs.chain import genesis, link
from .archive import VERSION, ArchivedRun, Header
from .errors import ArchiveDamaged

_SHAPELESS = (KeyError, ValueError, TypeError, AttributeError)
"""What taking a line apart raises that is JSON of another shape, or none."""


def read_archive(path: Path) -> Iterator[ArchivedRun]:
    """The runs of a file, in the order of their ids, each as soon as it is whole. Only when the
    last one has been read is it certain that the file is what was written.

    Raises `ArchiveDamaged`, also for a journal with a gap or a value that does not fit its hash.
    """
    reader = _Reader(path)
    try:
        yield from _runs(reader)
    except _SHAPELESS as error:
        raise reader.damaged(f"a line cannot be read: {error!r}") from None


def _runs(reader: _Reader) -> Iterator[ArchivedRun]:
    current: ArchivedRun | None = None
    for kind, value in reader.lines():
        if kind == "run":
            if current is not None:
                yield reader.whole(current)
            current = ArchivedRun(value)
        elif current is None or value["run_id"] != current.run_id:
            raise reader.damaged(f"a line about run {value['run_id']} stands with another")
        elif kind == "event":
            current.events.append(value)
        else:
            content = base64.b64decode(value["base64"], validate=True)
            if bytes_hash(content) != value["hash"]:
                raise reader.damaged(f"a value of run {current.run_id} is not what its hash says")
            current.blobs[value["hash"]] = content
    if current is not None:
        yield reader.whole(current)


def read_header(path: Path) -> Header:
    """What a file is about. Raises `ArchiveDamaged`."""
    reader = _Reader(path)
    with suppress(StopIteration, *_SHAPELESS):
        next(reader.lines())
    if reader.header is None:
        raise reader.damaged("it has no header")
    return reader.header


class _Reader:
    """Line by line, with the sums that the last line must have."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._digest = hashlib.sha256()
        self._counts = {"run": 0, "event": 0, "blob": 0}
        self.header: Header | None = None

    def damaged(self, why: str) -> ArchiveDamaged:
        """The error."""
        return ArchiveDamaged(f"{self._path}: {why}", path=str(self._path))

    def whole(self, run: ArchivedRun) -> ArchivedRun:
        """The run, if its journal is complete."""
        seqs = [event["seq"] for event in run.events]
        if seqs != list(range(1, run.row["last_seq"] + 1)):
            raise self.damaged(f"the journal of run {run.run_id} has a gap")
        if (seq := _unlinked(run)) is not None:
            raise self.damaged(f"event {seq} of run {run.run_id} breaks the chain of its journal")
        return run

    def lines(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Kind and value of each line between the first and the last, which are checked."""
        ended = False
        try:
            with gzip.open(self._path, "rb") as stream:
                for raw in stream:
                    if ended:
                        raise self.damaged("something follows the last line")
                    kind, value = self._parse(raw)
                    if kind == "end":
                        ended = self._check_end(value)
                        continue
                    self._digest.update(raw)
                    if self.header is None:
                        self.header = self._begin(kind, value)
                        continue
                    self._counts[kind] += 1
                    yield kind, value
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise self.damaged(f"it cannot be unpacked: {error}") from None
        except OSError as error:
            raise self.damaged(f"it cannot be read: {error.strerror or error}") from None
        if not ended:
            raise self.damaged("it is cut short")

    def _parse(self, raw: bytes) -> tuple[str, Any]:
        line: dict[str, Any] = json.loads(raw)
        (kind, *_) = line
        return (kind, line) if kind == "aos_archive" else (kind, line[kind])

    def _begin(self, kind: str, value: dict[str, Any]) -> Header:
        if kind != "aos_archive" or value[kind] != VERSION:
            raise self.damaged(f"it is no archive of version {VERSION}")
        return Header(value["tenant"], value["part"], value["removal"])

    def _check_end(self, value: dict[str, Any]) -> bool:
        found = {f"{kind}s": count for kind, count in self._counts.items()}
        if {**found, "sha256": self._digest.hexdigest()} != value:
            raise self.damaged("it is not what was written")
        return True


def _unlinked(run: ArchivedRun) -> int | None:
    """The first event whose link does not fit. Journals from before there were chains begin one
    with a later event, or have none.
    """
    before: bytes | None = None
    for event in run.events:
        if (text := event.get("chain")) is None:
            if before is not None:
                return int(event["seq"])
            continue
        body = canonical(readable(event["body"])).decode()
        before = before or genesis(UUID(run.run_id))
        before = link(before, event["seq"], event["kind"], event["version"], body)
        if text != f"\\x{before.hex()}":
            return int(event["seq"])
    return None
