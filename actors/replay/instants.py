"""When the machine may have been asked between two events, and what it said then. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from ..runs.commands import (
    Advance,
    Begin,
    Command,
    Dispatch,
    Finish,
    Park,
    Record,
    Spawn,
    Stop,
    WaitUntil,
)
from ..runs.events import Event
from ..runs.machine import PATIENCE, RETRY_PATIENCE, decide
from ..runs.state import Phase, RunState

_ONE = {Phase.OPEN, Phase.IN_DOUBT}


def instants(state: RunState, before: datetime, at: datetime) -> list[datetime]:
    """The instants between two events at which the machine may say something else: the later one
    first, for it is the most likely. Clocks of two machines may disagree, so either may be later.
    """
    low, high = min(before, at), max(before, at)
    if low == high:
        return [at]
    between = {instant for instant in _breaks(state) if low < instant < high}
    return [high, low, *sorted(between)]


def turning_points(state: RunState, before: datetime, at: datetime) -> list[datetime]:
    """The earlier of two instants, and those up to the later one at which the machine may say
    something else than before: between them it says the same.
    """
    low, high = min(before, at), max(before, at)
    return [low, *sorted({instant for instant in _breaks(state) if low < instant <= high})]


def _breaks(state: RunState) -> Iterator[datetime]:
    yield state.deadline
    for step in state.steps.values():
        if step.phase in _ONE and step.retry_at is not None:
            yield step.retry_at
            yield step.retry_at - PATIENCE
            yield step.retry_at - RETRY_PATIENCE
        if step.phase is Phase.WAITING and step.wait is not None and step.wait.until is not None:
            yield step.wait.until
            yield step.wait.until - PATIENCE


def said(state: RunState, instant: datetime) -> tuple[Command, ...]:
    """What the machine says, with nothing under way but what must be: intents without an end."""
    return decide(state, instant)


def dispatches(state: RunState, known: frozenset[str], instant: datetime) -> list[Dispatch]:
    """The calls that the machine asks for beside those that are known to be possible already."""
    looked_at = replace(state, in_flight=state.in_flight | known)
    return [each for each in decide(looked_at, instant) if isinstance(each, Dispatch)]


def makes(command: Command, event: Event) -> bool:
    """Whether an event may be what a command became."""
    step_id = getattr(event, "step_id", "")
    match command:
        case Dispatch():
            return event.kind == "step_intended" and command.step.id == step_id
        case Begin():
            return event.kind in ("wait_began", "step_closed") and command.step_id == step_id
        case Spawn():
            return event.kind in ("child_spawned", "step_closed") and command.step_id == step_id
        case Record(made):
            return event.kind == made.kind and getattr(made, "step_id", "") == step_id
        case Park():
            return event.kind == "run_parked"
        case Advance():
            return event.kind == "program_advanced"
        case Finish():
            return event.kind == "run_finished"
        case _:
            return False


def is_written(command: Command) -> bool:
    """Whether a command becomes an event at once."""
    match command:
        case Dispatch(intent_first=intent_first):
            return intent_first
        case WaitUntil() | Stop():
            return False
        case _:
            return True
