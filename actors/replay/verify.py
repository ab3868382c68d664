"""`verify`: a journal's chain, its legality, and each of its decisions made again. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from ...skills.contracts import JsonValue
from ..runs.chain import Row, genesis, link
from ..runs.events import Event, ProgramAdvanced, decode
from ..runs.state import IllegalTransition, RunState
from .behaviour import behaviour, signature
from .contents import Contents, MissingValue
from .judge import Judge
from .programs import Reexecute
from .told import commands_told, event_told, value_told
from .walk import Walk


class Chain(StrEnum):
    """What the links of a journal say."""

    INTACT = "intact"
    PARTIAL = "partial"
    ABSENT = "absent"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Divergence:
    """The first event that is not what it must be: recorded beside attempted, and why."""

    seq: int
    step_id: str
    recorded: str
    attempted: str
    cause: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of it. `signature` is that of the behaviour, of a journal without a divergence;
    `unchecked` is what could not be looked at, and is no fault.
    """

    run_id: UUID
    events: int
    status: str
    chain: Chain
    last_link: str
    divergence: Divergence | None
    signature: str
    unchecked: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing was found."""
        return self.divergence is None


def verify(
    run_id: UUID,
    rows: Sequence[Row],
    values: Mapping[str, JsonValue] | None = None,
    reexecute: Reexecute | None = None,
) -> Verification:
    """Check a whole journal, in order of `seq` from 1. `values` are its large ones by hash."""
    chain, fault = check_chain(run_id, rows)
    walk = Walk(run_id, Contents(values))
    judge = Judge(walk)
    events: list[Event] = []
    unchecked = [_WITHOUT_LINKS[chain]] if chain in _WITHOUT_LINKS else []
    for place, row in enumerate(rows, 1):
        if fault is not None and place >= fault.seq:
            break
        found = _next(walk, judge, row, events)
        if found is not None:
            fault = found
            break
    if fault is None and walk.state.turns:
        try:
            fault = _program(walk.state, events, reexecute) if reexecute is not None else None
        except MissingValue as missing:
            unchecked.append(f"the program was not executed again: value {missing} is not at hand")
        if reexecute is None:
            unchecked.append("the program was not executed again")
    last = rows[-1].chain.hex() if rows else ""
    sign = signature(behaviour(run_id, events)) if fault is None else ""
    status = walk.state.status.value
    unchecked += judge.unchecked
    return Verification(
        run_id, len(rows), status, chain, last, fault, sign, tuple(dict.fromkeys(unchecked))
    )


_WITHOUT_LINKS = {
    Chain.ABSENT: "no row has a link: the journal was written before there were chains",
    Chain.PARTIAL: "the first rows have no link: they were written before there were chains",
}


def read_events(rows: Iterable[Row]) -> list[Event]:
    """The events of rows that were verified. Raises `ValueError`."""
    return [decode(row.kind, row.version, json.loads(row.body)) for row in rows]


def check_chain(run_id: UUID, rows: Sequence[Row]) -> tuple[Chain, Divergence | None]:
    """What the links say, and the first row that is not linked to the one before it."""
    before, linked = genesis(run_id), 0
    for place, row in enumerate(rows, 1):
        if row.seq != place:
            attempted = f"the row with seq {place}"
            return Chain.BROKEN, _fault(place, f"seq {row.seq}", attempted, "a row is missing")
        if not row.chain and not linked:
            continue  # written before there were chains
        linked += 1
        before = link(before, row.seq, row.kind, row.version, row.body)
        if row.chain != before:
            why = "the row, or its link, was changed after it was written"
            return Chain.BROKEN, _fault(place, f"link {row.chain.hex()}", before.hex(), why)
    if not linked:
        return Chain.ABSENT, None
    return Chain.INTACT if linked == len(rows) else Chain.PARTIAL, None


def _next(walk: Walk, judge: Judge, row: Row, events: list[Event]) -> Divergence | None:
    try:
        event = decode(row.kind, row.version, json.loads(row.body))
    except ValueError as error:
        return _fault(row.seq, f"{row.kind} {value_told(row.body)}", "an event", str(error))
    if (found := _misread(row, event)) is not None:
        return found
    try:
        finding, turn = judge.judge(event)
        if finding is None:
            walk.follow(event, turn)
            events.append(event)
            return None
        step = getattr(event, "step_id", "")
        return Divergence(row.seq, step, finding.recorded, finding.attempted, finding.cause)
    except IllegalTransition as error:
        return _illegal(walk, row.seq, event, error)


def _program(state: RunState, events: Sequence[Event], reexecute: Reexecute) -> Divergence | None:
    found = reexecute(state)
    if found is None:
        return None
    turns = [seq for seq, each in enumerate(events, 1) if isinstance(each, ProgramAdvanced)]
    return _fault(turns[found.turn - 1], found.recorded, found.attempted, found.cause)


def _misread(row: Row, event: Event) -> Divergence | None:
    """A column that contradicts the body."""
    if row.at == event.at:
        return None
    why = "the column contradicts the body"
    return _fault(row.seq, f"at {row.at.isoformat()}", f"at {event.at.isoformat()}", why)


def _illegal(walk: Walk, seq: int, event: Event, error: IllegalTransition) -> Divergence:
    state = walk.state
    said = () if state.submitted is None else walk.said(event.at)[-1][1]
    step = getattr(event, "step_id", "")
    return Divergence(seq, step, event_told(event), commands_told(said), error.detail)


def _fault(seq: int, recorded: str, attempted: str, cause: str) -> Divergence:
    return Divergence(seq, "", recorded, attempted, cause)
