"""An archive is read as it was written, or refused."""

from __future__ import annotations

import gzip
import hashlib
import json
import stat
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aos.actors.retention.archive import ArchiveWriter, Header, Written
from aos.actors.retention.errors import ArchiveDamaged, ArchiveUnwritable
from aos.actors.retention.reading import read_archive, read_header
from aos.actors.runs.chain import genesis, link
from aos.cluster.canonical import bytes_hash, canonical

HEADER = Header("default", "20260105", 7)


def write(directory: Path, runs: int = 3, events: int = 4) -> Written:
    with ArchiveWriter(directory, HEADER) as writer:
        for number in range(runs):
            writer.runs(
                [json.dumps({"run_id": f"r{number}", "last_seq": events, "goal": "ü\u2028"})]
            )
            writer.events(
                json.dumps({"run_id": f"r{number}", "seq": seq, "body": {"a": seq}})
                for seq in range(1, events + 1)
            )
            content = f"value {number}".encode()
            writer.blob(f"r{number}", bytes_hash(content), content)
        return writer.finish()


def repacked(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(gzip.compress(b"".join(lines)))
    return path


def lines_of(path: Path) -> list[bytes]:
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = write(tmp_path)
    assert written.path == tmp_path / "default" / "20260105-7.jsonl.gz"
    assert (written.runs, written.events, written.blobs) == (3, 12, 3)
    data = written.path.read_bytes()
    assert (written.bytes, "sha256:" + written.sha256) == (len(data), bytes_hash(data))
    assert read_header(written.path) == HEADER
    runs = list(read_archive(written.path))
    assert [run.run_id for run in runs] == ["r0", "r1", "r2"]
    assert [event["body"]["a"] for event in runs[1].events] == [1, 2, 3, 4]
    assert list(runs[2].blobs.values()) == [b"value 2"]
    assert runs[0].row["goal"] == "ü\u2028"


def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    path = write(tmp_path / "archive").path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_the_same_runs_give_the_same_file(tmp_path: Path) -> None:
    first = write(tmp_path / "a")
    assert write(tmp_path / "b").sha256 == first.sha256
    assert write(tmp_path / "a").sha256 == first.sha256, "and in the place of the first"


def test_an_archive_of_nothing_is_one(tmp_path: Path) -> None:
    assert list(read_archive(write(tmp_path, runs=0).path)) == []


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def failing() -> None:
        with ArchiveWriter(tmp_path, HEADER) as writer:
            writer.runs(['{"run_id": "r"}'])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path) -> None:
    half = tmp_path / "default" / ".20260105-7.jsonl.gz.abc.part"
    another = tmp_path / "default" / ".20260105-71.jsonl.gz.abc.part"
    half.parent.mkdir()
    for path in (half, another):
        path.touch()
    write(tmp_path)
    assert (half.exists(), another.exists()) == (False, True)


def test_without_a_place_nothing_is_written(tmp_path: Path) -> None:
    (tmp_path / "default").write_text("a file where a directory should be")
    with pytest.raises(ArchiveUnwritable, match="default"), ArchiveWriter(tmp_path, HEADER):
        pass


def test_every_shorter_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, runs=2).path
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(ArchiveDamaged):
            list(read_archive(path))


def test_every_file_without_one_of_its_lines_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, runs=2).path
    lines = lines_of(path)
    for number in range(len(lines)):
        repacked(path, lines[:number] + lines[number + 1 :])
        with pytest.raises(ArchiveDamaged):
            list(read_archive(path))
    repacked(path, [*lines, lines[1]])
    with pytest.raises(ArchiveDamaged, match="follows the last line"):
        list(read_archive(path))


@settings(max_examples=200)
@given(data=st.data())
def test_a_changed_byte_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = write(tmp_path_factory.mktemp("archive"), runs=1).path
    text = b"".join(lines_of(path))
    place = data.draw(st.integers(0, len(text) - 1))
    changed = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[place]))
    repacked(path, [text[:place] + bytes([changed]) + text[place + 1 :]])
    with pytest.raises(ArchiveDamaged):
        list(read_archive(path))


@given(junk=st.binary(max_size=200))
def test_anything_else_is_refused(tmp_path_factory: pytest.TempPathFactory, junk: bytes) -> None:
    path = tmp_path_factory.mktemp("archive") / "x.gz"
    for content in (junk, gzip.compress(junk)):
        path.write_bytes(content)
        for read in (lambda: list(read_archive(path)), lambda: read_header(path)):
            with pytest.raises(ArchiveDamaged):
                read()


def test_a_file_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ArchiveDamaged, match="No such file"):
        list(read_archive(tmp_path / "nowhere.gz"))


def chained_run(path: Path, unchained: int = 0) -> list[bytes]:
    """The lines of an archive of one run whose journal is chained, but for its beginning."""
    run_id, before = "01900000-0000-7000-8000-000000000001", b""
    events: list[str] = []
    for seq in range(1, 5):
        body = {"z": 1e20, "a": "\u00fc"}
        event = {"run_id": run_id, "seq": seq, "kind": "k", "version": 1, "body": body}
        if seq > unchained:
            text = canonical(body).decode()
            before = link(before or genesis(UUID(run_id)), seq, "k", 1, text)
            event["chain"] = f"\\x{before.hex()}"
        events.append(json.dumps(event))
    with ArchiveWriter(path, HEADER) as writer:
        writer.runs([json.dumps({"run_id": run_id, "last_seq": 4})])
        writer.events(events)
        return lines_of(writer.finish().path)


def resealed(lines: list[bytes]) -> bytes:
    """A last line that fits the lines before it: what a forger would write."""
    end = json.loads(lines[-1])["end"]
    end["sha256"] = hashlib.sha256(b"".join(lines[:-1])).hexdigest()
    return json.dumps({"end": end}).encode() + b"\n"


@pytest.mark.parametrize("unchained", [0, 2, 4])
def test_a_forged_event_breaks_the_chain_of_its_journal(tmp_path: Path, unchained: int) -> None:
    lines = chained_run(tmp_path, unchained)
    path = tmp_path / "default" / "20260105-7.jsonl.gz"
    (run,) = read_archive(path)
    assert len(run.events) == 4
    forged = [line.replace(b'"kind": "k"', b'"kind": "q"') for line in lines]
    repacked(path, [*forged[:-1], resealed(forged)])
    if unchained == 4:
        assert len(list(read_archive(path))) == 1, "there is no chain to break"
        return
    with pytest.raises(ArchiveDamaged, match=f"event {unchained + 1} of run .* breaks the chain"):
        list(read_archive(path))


def test_a_chain_that_ends_early_is_broken(tmp_path: Path) -> None:
    lines = chained_run(tmp_path)
    last = json.loads(lines[-2])
    del last["event"]["chain"]
    lines[-2] = json.dumps(last).encode() + b"\n"
    path = repacked(tmp_path / "x.gz", [*lines[:-1], resealed(lines)])
    with pytest.raises(ArchiveDamaged, match="event 4"):
        list(read_archive(path))
