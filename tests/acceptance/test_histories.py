"""What was recorded once replays for ever, and no byte of it can be changed unnoticed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.acceptance.histories.record import PROGRAM

from aos.actors.programs import load_source
from aos.actors.replay.errors import InvalidSignature, InvalidTrace
from aos.actors.replay.mock import mock
from aos.actors.replay.programs import reexecuting
from aos.actors.replay.signing import check_signature, trusted_keys
from aos.actors.replay.trace import read_trace, verify_trace
from aos.actors.replay.verify import Chain, Divergence, read_events

HISTORIES = Path(__file__).parent / "histories"
FILES = sorted(HISTORIES.glob("*.jsonl"))
SAME = json.loads((HISTORIES / "behaviour.json").read_text())

every_history = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def test_every_kind_of_run_is_there() -> None:
    wanted = {
        "successful", "failed", "crashed_and_resumed", "cancelled", "in_doubt_decided",
        "forked", "timers_and_signals", "children",
    }  # fmt: skip
    assert wanted <= {file.stem for file in FILES} == set(SAME)


@every_history
def test_it_verifies_and_replays_to_the_same_behaviour(file: Path) -> None:
    trace = read_trace(file.read_text())
    found = verify_trace(trace)
    assert found.divergence is None
    assert found.chain is Chain.INTACT
    unchecked = ("the program was not executed again",) if file.stem == "program" else ()
    assert found.unchecked == unchecked
    again = mock(trace.run_id, read_events(trace.rows), trace.values)
    assert again.same, again.difference
    assert found.signature == again.recorded == again.attempted == SAME[file.stem]


@every_history
def test_it_is_what_was_signed(file: Path) -> None:
    content, signature = file.read_bytes(), Path(f"{file}.sig").read_text()
    keys = trusted_keys(HISTORIES / "golden.pub")
    assert check_signature(content, signature, keys) in keys
    with pytest.raises(InvalidSignature):
        check_signature(content + b" ", signature, keys)
    with pytest.raises(InvalidSignature):
        check_signature(content, signature, [])
    with pytest.raises(InvalidSignature):
        check_signature(content, signature[:-20], keys)


def row(lines: list[str], place: int, change: Callable[[dict[str, object]], object]) -> list[str]:
    line = json.loads(lines[place])
    change(line)
    return [*lines[:place], json.dumps(line, ensure_ascii=False), *lines[place + 1 :]]


def flipped(text: str) -> str:
    """A digit of a body made another digit."""
    found = re.search(r"[0-9](?=[^0-9]*$)", text)
    assert found is not None
    other = (int(found.group()) + 1) % 10
    return f"{text[: found.start()]}{other}{text[found.end() :]}"


TAMPERINGS: dict[str, Callable[[list[str], int], list[str]]] = {
    "body": lambda lines, n: row(lines, n, lambda r: r.update(body=flipped(str(r["body"])))),
    "kind": lambda lines, n: row(lines, n, lambda r: r.update(kind="run_moved")),
    "version": lambda lines, n: row(lines, n, lambda r: r.update(version=2)),
    "link": lambda lines, n: row(lines, n, lambda r: r.update(link="00" * 32)),
    "seq": lambda lines, n: row(lines, n, lambda r: r.update(seq=n + 1)),
    "at": lambda lines, n: row(lines, n, lambda r: r.update(at="2030-01-01T00:00:00+00:00")),
    "removed": lambda lines, n: [*lines[:n], *lines[n + 1 :]],
    "twice": lambda lines, n: [*lines[:n], lines[n], *lines[n:]],
}


@pytest.mark.parametrize("tampering", TAMPERINGS)
@every_history
def test_a_changed_row_is_named_by_its_number(file: Path, tampering: str) -> None:
    lines = file.read_text().rstrip("\n").split("\n")
    rows = sum('"seq"' in line[:8] for line in lines)
    for seq in range(1, rows + 1):
        found = diverging(TAMPERINGS[tampering](lines, seq))
        assert found.seq == (seq + 1 if tampering == "twice" else seq)
        assert found.cause


def diverging(lines: list[str]) -> Divergence:
    found = verify_trace(read_trace("\n".join(lines) + "\n"))
    assert found.divergence is not None
    assert not found.signature
    return found.divergence


@every_history
def test_rows_that_are_swapped_or_cut_off_are_named(file: Path) -> None:
    lines = file.read_text().rstrip("\n").split("\n")
    assert diverging([lines[0], lines[2], lines[1], *lines[3:]]).seq == 1
    last = max(n for n, line in enumerate(lines) if line.startswith('{"seq"'))
    cut = [*lines[:last], *lines[last + 1 :]]
    assert diverging(cut).seq == last
    assert "footer" in diverging(cut).cause


def test_a_program_is_executed_again_and_its_divergence_named_by_its_turn() -> None:
    trace = read_trace((HISTORIES / "program.jsonl").read_text())
    same = reexecuting(load_source(PROGRAM, "agent"), trace.values)
    found = verify_trace(trace, same)
    assert (found.divergence, found.unchecked) == (None, ())
    changed = load_source(PROGRAM.replace("n=3", "n=4"), "agent")
    other = verify_trace(trace, reexecuting(changed, trace.values)).divergence
    assert other is not None
    turns = [row.seq for row in trace.rows if row.kind == "program_advanced"]
    assert other.seq == turns[1]
    assert '"n":3' in other.recorded.replace(" ", "") or "n = 3" in other.recorded
    assert "4" in other.attempted


def test_what_is_no_trace_is_refused_with_the_line_to_blame() -> None:
    text = (HISTORIES / "successful.jsonl").read_text()
    lines = text.rstrip("\n").split("\n")
    value = next(n for n, line in enumerate(lines) if line.startswith('{"value"'))
    broken: dict[str, int | None] = {
        "": 0,
        "hello\n": 1,
        "[]\n": 1,
        "\n".join(lines[:-1]): len(lines) - 1,
        "\n".join([lines[0].replace("aos-trace/1", "aos-trace/9"), *lines[1:]]): 1,
        "\n".join([*lines[:3], "{}", *lines[4:]]): 4,
        "\n".join([*lines[:value], lines[value].replace("tide", "tidy", 1), *lines[value + 1 :]]): (
            value + 1
        ),
    }
    for content, line in broken.items():
        with pytest.raises(InvalidTrace) as refused:
            read_trace(content)
        assert refused.value.context["line"] == line, content[:50]
