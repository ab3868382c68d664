"""Where a run's result comes from: its plan, calls, denials and restarts, read off its journal.

Pure, and total over whatever a journal may hold: what a newer AOS wrote is a record of its kind,
with what it shares with the others, and a field that is missing or has another form is left out.
Records come in the order of the journal. Whoever knows more of an event's kind may say more of it;
nobody needs to know all kinds to read a history to its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, cast

from ...skills.contracts import TAXONOMY, Category
from .provenance_records import (
    Attempt,
    Denial,
    Other,
    Planned,
    Record,
    Restart,
    StatusChange,
)

_RUNNING, _WAITING, _PAUSED, _PENDING = "running", "waiting", "paused", "pending"
_REFUSALS = frozenset(
    code
    for code, row in TAXONOMY.items()
    if row.category in (Category.POLICY, Category.SAFETY) and code != "ERR_CANCELLED"
)
_PLANNING = "plan"
_INTENDED_ENDS = ("normal", "shutdown")

Fields = Mapping[str, Any]
_NOTHING: Fields = {}


@dataclass(frozen=True, slots=True)
class Entry:
    """One journal row, as it stands."""

    seq: int
    epoch: int
    kind: str
    at: datetime
    body: Fields


@dataclass(frozen=True, slots=True)
class Supervised:
    """A supervision event about the run's agent. `epoch` is that of the life that it is about."""

    event_id: int
    at: datetime
    epoch: int | None
    supervisor: str
    kind: str
    reason: str
    detail: str


AnyRecord = TypeVar("AnyRecord", bound=Record)


@dataclass(slots=True)
class Trail:
    """Reads a journal entry by entry, and keeps of it only what later entries need."""

    supervised: Sequence[Supervised] = ()
    _status: str = ""
    _paused: bool = False
    _epoch: int = 0
    _steps: dict[str, Planned] = field(default_factory=dict[str, Planned])

    def read(self, entry: Entry) -> Iterator[Record]:
        """What the next entry says."""
        known = False
        for reading in (self._status_change, self._planned, self._ended, self._restarted):
            for record in reading(entry):
                known = True
                yield record
        if not known:
            body = entry.body
            said = next((text for name in _SAYINGS if (text := _text(body, name))), "")
            yield Other(*_head(entry), _text(body, "step_id"), _text(body, "by"), said)
        if entry.kind in _TAKEN_UP:
            self._epoch = _count(entry.body, "epoch") or entry.epoch

    def _status_change(self, entry: Entry) -> Iterator[Record]:
        if entry.kind in ("run_paused", "run_continued"):
            self._paused = entry.kind == "run_paused"
            return
        status = self._status_after(entry)
        if status and (status != self._status or entry.kind in _TAKEN_UP):
            self._status = status
            yield StatusChange(*_head(entry), status, _cause(entry))

    def _status_after(self, entry: Entry) -> str:
        match entry.kind:
            case "run_submitted":
                return _PENDING
            case "run_started" | "run_resumed" | "run_woken":
                return _RUNNING
            case "run_parked":
                return _PAUSED if self._paused else _WAITING
            case "run_finished":
                return _text(entry.body, "status")
            case _:
                return ""

    def _planned(self, entry: Entry) -> Iterator[Record]:
        steps = _list(_fields(entry.body, "plan"), "steps") or _list(entry.body, "requests")
        number = _round_of(_text(entry.body, "step_id"))
        for step in steps:
            planned = Planned(
                *_head(entry), _text(step, "id"), number, _text(step, "skill"),
                _text(step, "version"), _text(step, "effects"), _texts(step, "depends_on"),
            )  # fmt: skip
            self._steps[planned.step] = planned
            yield planned

    def _ended(self, entry: Entry) -> Iterator[Record]:
        """The attempt, and the denial if it was refused; of a run that ends with one also that."""
        body, outcome = entry.body, _fields(entry.body, "outcome")
        step = self._steps.get(_text(body, "step_id"))
        skill = _text(outcome, "skill") or (step.skill if step else "")
        code = _text(outcome, "code")
        if outcome:
            yield _attempt(entry, outcome, step, skill)
        elif entry.kind == "run_finished":
            code, outcome = _text(body, "code"), body
        if code in _REFUSALS:
            message = _text(outcome, "message")
            yield Denial(*_head(entry), _text(body, "step_id"), skill, code, message)

    def _restarted(self, entry: Entry) -> Iterator[Record]:
        if entry.kind not in ("run_resumed", "run_woken"):
            return
        epoch = _count(entry.body, "epoch") or entry.epoch
        end = _end_of(self.supervised, self._epoch, epoch)
        if end is None:
            yield Restart(*_head(entry), self._epoch)
        else:
            yield Restart(
                *_head(entry), self._epoch, end.reason, end.detail, end.supervisor, end.at
            )


def records(entries: Iterable[Entry], supervised: Sequence[Supervised] = ()) -> Iterator[Record]:
    """Everything that a journal says, in its order."""
    trail = Trail(supervised)
    for entry in entries:
        yield from trail.read(entry)


def status_history(entries: Iterable[Entry]) -> tuple[StatusChange, ...]:
    """Which status the run had, since when, why, and under which epoch. Another activation of a run
    that goes on running is a line of its own.
    """
    return _only(StatusChange, entries)


def plans(entries: Iterable[Entry]) -> tuple[Planned, ...]:
    """The steps of each planning round, and those that a program asked for."""
    return _only(Planned, entries)


def attempts(entries: Iterable[Entry]) -> tuple[Attempt, ...]:
    """Every attempt that has an outcome: which skill, in which version, with what result, at what
    price, under which key.
    """
    return _only(Attempt, entries)


def denials(entries: Iterable[Entry]) -> tuple[Denial, ...]:
    """What was refused to the run."""
    return _only(Denial, entries)


def restarts(entries: Iterable[Entry], supervised: Sequence[Supervised]) -> tuple[Restart, ...]:
    """When another activation took the run up, and why the one before had ended."""
    return _only(Restart, entries, supervised)


def _only(
    kind: type[AnyRecord], entries: Iterable[Entry], supervised: Sequence[Supervised] = ()
) -> tuple[AnyRecord, ...]:
    return tuple(each for each in records(entries, supervised) if isinstance(each, kind))


_TAKEN_UP = ("run_started", "run_resumed", "run_woken")
_SAYINGS = ("reason", "message", "question", "comment", "about", "name", "goal")
_CAUSES = {
    "run_submitted": "accepted",
    "run_started": "taken up",
    "run_resumed": "taken up again, since the activation before had ended",
    "run_woken": "woken",
}


def _cause(entry: Entry) -> str:
    said = _text(entry.body, "reason") or _text(entry.body, "message")
    code = _text(entry.body, "code")
    return ": ".join(filter(None, (code, said))) or _CAUSES.get(entry.kind, "")


def _attempt(entry: Entry, outcome: Fields, step: Planned | None, skill: str) -> Attempt:
    body, usage = entry.body, _list(outcome, "usage")
    step_id = _text(body, "step_id")
    return Attempt(
        *_head(entry),
        step=step_id,
        attempt=_count(body, "attempt"),
        round=step.round if step else _round_of(step_id),
        skill=skill,
        version=_text(outcome, "version") or (step.version if step else ""),
        status=_text(outcome, "status"),
        code=_text(outcome, "code"),
        message=_text(outcome, "message"),
        effects=_text(body, "effects") or (step.effects if step else ""),
        effect=_text(outcome, "effect") or "none",
        retryable=outcome.get("retryable") is True,
        duration_ms=_count(outcome, "duration_ms"),
        cost_microusd=_count(outcome, "cost_microusd"),
        input_tokens=sum(_count(each, "input_tokens") for each in usage),
        output_tokens=sum(_count(each, "output_tokens") for each in usage),
        idempotency_key=_text(body, "idempotency_key"),
    )


def _end_of(supervised: Sequence[Supervised], before: int, epoch: int) -> Supervised | None:
    """The end of the life before. One that nobody meant says more than one that was asked for."""
    ends = [
        each
        for each in supervised
        if each.kind == "ended" and each.epoch is not None and before <= each.epoch < epoch
    ]
    unmeant = [each for each in ends if each.reason not in _INTENDED_ENDS]
    return (unmeant or ends or [None])[-1]


def _round_of(step_id: str) -> int:
    """`plan` is the first round's step, `plan-2` the second's. Everything else is none."""
    head, _, number = step_id.partition("-")
    if head != _PLANNING:
        return 0
    return int(number) if number.isdecimal() and len(number) < 9 else int(not number)


def _head(entry: Entry) -> tuple[int, datetime, int, str]:
    return entry.seq, entry.at, entry.epoch, entry.kind


def _text(fields: Fields, name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _count(fields: Fields, name: str) -> int:
    value = fields.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _fields(fields: Fields, name: str) -> Fields:
    value = fields.get(name)
    return cast("Fields", value) if isinstance(value, dict) else _NOTHING


def _list(fields: Fields, name: str) -> list[Fields]:
    value = fields.get(name)
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("Fields", item) for item in items if isinstance(item, dict)]


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.get(name)
    items = cast("list[Any]", value) if isinstance(value, list) else []
    return tuple(item for item in items if isinstance(item, str))
