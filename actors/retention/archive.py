"""Archives: files of whole runs that outlive their rows, and that say whether they are whole.

A file is gzipped JSON lines, `sha256sum` and `zcat` are enough to read it:

    {"aos_archive": 1, "tenant": …, "part": …, "removal": …}
    {"run": {every column of the run's row}}
    {"event": {every column of the journal's row}}       in the order of `seq`
    {"blob": {"run_id": …, "hash": …, "base64": …}}
    …
    {"end": {"runs": …, "events": …, "blobs": …, "sha256": …}}

The last line has the SHA-256 of all lines before it, and the `chain` of each event is that of its
journal, so nobody can change a line unnoticed who cannot change what is known of it elsewhere. A
line's row is what Postgres's `json_populate_record` makes a row of again, and the body of an event
is its very text.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from .errors import ArchiveUnwritable

VERSION = 1


@dataclass(frozen=True, slots=True)
class Written:
    """A file in its place. `bytes` and `sha256` are those of the file as it lies there."""

    path: Path
    runs: int
    events: int
    blobs: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Header:
    """What a file is about."""

    tenant: str
    part: str
    removal: int


@dataclass(slots=True)
class ArchivedRun:
    """A run as it was: its row, its journal in order, its large values by hash."""

    row: dict[str, Any]
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    blobs: dict[str, bytes] = field(default_factory=dict[str, bytes])

    @property
    def run_id(self) -> str:
        """Its id."""
        return str(self.row["run_id"])


class _Hashing:
    """A file that knows the hash of what was written to it."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        """As a file does."""
        self.digest.update(data)
        self.size += len(data)
        return self._raw.write(data)

    def flush(self) -> None:
        """As a file does."""
        self._raw.flush()


class ArchiveWriter:
    """Writes one file beside its place, and puts it there whole. All methods block.

    Left by an exception, nothing is there. Raises `ArchiveUnwritable`.
    """

    def __init__(self, directory: Path, header: Header) -> None:
        self._header = header
        self._path = place_of(directory, header)
        self._fresh = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}.part")
        self._lines = hashlib.sha256()
        self._counts = {"run": 0, "event": 0, "blob": 0}

    def __enter__(self) -> Self:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in self._path.parent.glob(f".{self._path.name}.*.part"):
                left.unlink(missing_ok=True)  # of a process that was killed over it
            descriptor = os.open(self._fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise _unwritable(self._path, error) from None
        self._file = os.fdopen(descriptor, "wb")
        self._hashing = _Hashing(self._file)
        # No name and no time in the head: the same runs give the same file.
        self._gzip = gzip.GzipFile("", "wb", 6, cast("BinaryIO", self._hashing), mtime=0)
        head = {"aos_archive": VERSION, "tenant": self._header.tenant,
                "part": self._header.part, "removal": self._header.removal}  # fmt: skip
        self._put([json.dumps(head)])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._fresh.unlink(missing_ok=True)

    def runs(self, rows: Iterable[str]) -> None:
        """Rows of `runs`, as JSON."""
        self._add("run", rows)

    def events(self, rows: Iterable[str]) -> None:
        """Rows of `journal`, as JSON, after those of their runs."""
        self._add("event", rows)

    def blob(self, run_id: str, digest: str, content: bytes) -> None:
        """A large value, after its run."""
        text = base64.b64encode(content).decode()
        self._add("blob", [json.dumps({"run_id": run_id, "hash": digest, "base64": text})])

    def finish(self) -> Written:
        """Put the file into its place, for good: it is there after a power cut too."""
        try:
            end = {**{f"{kind}s": count for kind, count in self._counts.items()},
                   "sha256": self._lines.hexdigest()}  # fmt: skip
            self._put([json.dumps({"end": end})])
            self._gzip.close()
            self._file.flush()
            os.fsync(self._file.fileno())
            self._fresh.replace(self._path)
            _sync_directory(self._path.parent)
        except OSError as error:
            raise _unwritable(self._path, error) from None
        runs, events, blobs = self._counts.values()
        digest = self._hashing.digest.hexdigest()
        return Written(self._path, runs, events, blobs, self._hashing.size, digest)

    def _add(self, kind: str, rows: Iterable[str]) -> None:
        lines = [f'{{"{kind}":{row}}}' for row in rows]
        self._counts[kind] += len(lines)
        self._put(lines)

    def _put(self, lines: list[str]) -> None:
        data = "".join(f"{line}\n" for line in lines).encode()
        self._lines.update(data)
        try:
            self._gzip.write(data)
        except OSError as error:
            raise _unwritable(self._path, error) from None


def place_of(directory: Path, header: Header) -> Path:
    """Where a file lies. The removal's number is in its name: what goes from the same partition
    later does not take the place of what went before.
    """
    return directory / header.tenant / f"{header.part}-{header.removal}.jsonl.gz"


def _unwritable(path: Path, error: OSError) -> ArchiveUnwritable:
    return ArchiveUnwritable(f"{path}: {error.strerror or error}", path=str(path))


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
