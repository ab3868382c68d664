r"""A journal as a file that anybody can check, without a database and without AOS. Pure.

JSON lines: a header, one line for each row, one for each large value, and a footer.

    {"format": "aos-trace/1", "run_id": …, "tenant": …, "code_version": …, "genesis": …}
    {"seq": 1, "kind": "run_submitted", "version": 1, "at": …, "body": "{…}", "link": …}
    {"value": "sha256:…", "content": "…"}
    {"events": 7, "last": …}

`body` and `content` are texts, byte for byte as they are stored, so that a checker needs no JSON
writer of its own. With UTF-8 throughout, links in hex and `\n` for a line end:

    genesis = sha256("aos-journal/1\n" + run_id)
    link(n) = sha256(link(n-1) + "\n" + seq + "\n" + kind + "\n" + version + "\n" + body)
    value   = "sha256:" + sha256(content)

`link(0)` is the genesis, and `last` the link of the last row. Whoever knows `last` from elsewhere,
or trusts the key that a recording is signed with, knows that nothing was changed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from ...cluster.canonical import bytes_hash, canonical, readable
from ...skills.contracts import JsonValue
from ..runs.chain import Row, genesis
from .errors import InvalidTrace
from .programs import Reexecute
from .verify import Chain, Divergence, Verification, verify

FORMAT = "aos-trace/1"


@dataclass(frozen=True, slots=True)
class Trace:
    """What a trace says. `events` and `last` are its footer's."""

    run_id: UUID
    tenant: str
    code_version: str
    rows: tuple[Row, ...]
    values: Mapping[str, JsonValue]
    events: int
    last: str


def write_trace(
    run_id: UUID, tenant: str, rows: Sequence[Row], values: Mapping[str, JsonValue]
) -> str:
    """The trace of a journal."""
    lines: list[dict[str, Any]] = [
        {
            "format": FORMAT,
            "run_id": str(run_id),
            "tenant": tenant,
            "code_version": json.loads(rows[0].body).get("code_version", ""),
            "genesis": genesis(run_id).hex(),
        }
    ]
    lines += [
        {
            "seq": row.seq,
            "kind": row.kind,
            "version": row.version,
            "at": row.at.isoformat(),
            "body": row.body,
            "link": row.chain.hex(),
        }
        for row in rows
    ]
    lines += [
        {"value": digest, "content": canonical(values[digest]).decode()}
        for digest in sorted(values)
    ]
    lines.append({"events": len(rows), "last": rows[-1].chain.hex()})
    return "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)


def read_trace(text: str) -> Trace:
    """What a file says, believing none of it. Raises `InvalidTrace`."""
    # Only line feeds end lines: texts may hold the other characters that Unicode calls line ends.
    numbered = [(number, _line(number, line)) for number, line in _lines(text)]
    if len(numbered) < 3:
        raise InvalidTrace("a trace has a header, rows and a footer", line=len(numbered))
    (first, header), *middle, (last, footer) = numbered
    if header.get("format") != FORMAT:
        raise InvalidTrace(f"line {first} is not the header of an {FORMAT}", line=first)
    rows: list[Row] = []
    values: dict[str, JsonValue] = {}
    for number, line in middle:
        if "value" in line:
            values[str(line["value"])] = _value(number, line)
        else:
            rows.append(_row(number, line))
    if not rows or "events" not in footer:
        raise InvalidTrace(f"line {last} is not the footer of a trace", line=last)
    try:
        run_id = UUID(header["run_id"])
        return Trace(
            run_id, str(header["tenant"]), str(header["code_version"]), tuple(rows), values,
            int(footer["events"]), str(footer["last"]),
        )  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidTrace(f"the header or the footer is not whole: {error!r}") from None


def verify_trace(trace: Trace, reexecute: Reexecute | None = None) -> Verification:
    """`verify`, and that the trace is all of the journal."""
    found = verify(trace.run_id, trace.rows, trace.values, reexecute)
    if found.divergence is not None:
        return found
    if trace.events == len(trace.rows) and trace.last == found.last_link:
        return found
    recorded = f"{len(trace.rows)} rows, the last with link {found.last_link or 'none'}"
    attempted = f"{trace.events} rows, the last with link {trace.last or 'none'}"
    why = "the footer tells of other rows: some are missing, or were put there"
    fault = Divergence(len(trace.rows) + 1, "", recorded, attempted, why)
    return replace(found, divergence=fault, chain=Chain.BROKEN, signature="")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line:
            yield number, line


def _line(number: int, text: str) -> dict[str, Any]:
    try:
        line: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidTrace(f"line {number} is not JSON", line=number) from None
    if not isinstance(line, dict):
        raise InvalidTrace(f"line {number} is not an object", line=number)
    return cast("dict[str, Any]", line)


def _row(number: int, line: dict[str, Any]) -> Row:
    try:
        return Row(
            int(line["seq"]), str(line["kind"]), int(line["version"]),
            datetime.fromisoformat(line["at"]), str(line["body"]), bytes.fromhex(line["link"]),
        )  # fmt: skip
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidTrace(f"line {number} is not a row: {error!r}", line=number) from None


def _value(number: int, line: dict[str, Any]) -> JsonValue:
    content = str(line.get("content", ""))
    if bytes_hash(content.encode()) != line["value"]:
        raise InvalidTrace(f"line {number} is not the value that its hash names", line=number)
    value: JsonValue = readable(json.loads(content))
    return value
