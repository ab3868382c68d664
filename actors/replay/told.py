"""Events and commands as people read them, one beside the other. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ...cluster.canonical import canonical
from ...skills.contracts import JsonValue
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
from ..runs.events import Event, RunFinished, RunParked, StepClosed, StepSettled, encode

_SHOWN = 200


def event_told(event: Event) -> str:
    """An event in a few words: its kind, its step, what it says."""
    step = getattr(event, "step_id", "")
    words = [event.kind.replace("_", " "), step]
    match event:
        case StepSettled():
            words += [f"attempt {event.attempt}", event.outcome.code]
        case StepClosed():
            words += [event.outcome.code]
        case RunFinished():
            words += [event.status.value, event.code]
        case RunParked():
            words += [event.reason]
        case _:
            said = {name: each for name, each in encode(event).items() if name not in _ALWAYS}
            words += [value_told(said)] if said else []
    return " ".join(word for word in words if word)


_ALWAYS = {"at", "step_id", "run_id", "profile", "plan", "requests"}


def command_told(command: Command) -> str:
    """A command in a few words."""
    match command:
        case Dispatch():
            what = {"execute": "call", "reconcile": "ask about", "compensate": "undo"}[command.mode]
            return f"{what} {command.step.id} ({command.step.skill}, attempt {command.attempt})"
        case Begin(step_id):
            return f"let {step_id} begin to wait"
        case Spawn(step_id):
            return f"make the child run of {step_id}"
        case Advance():
            return "advance the program"
        case Record(event):
            return f"record {event_told(event)}"
        case Stop(step_ids):
            return f"stop {', '.join(step_ids)}"
        case WaitUntil(instant):
            return f"wait until {instant.isoformat()}"
        case Park(until, reason):
            end = until.isoformat() if until else "somebody says something"
            return f"rest until {end}: {reason}"
        case Finish():
            return f"finish: {command.status.value} {command.code}"


def commands_told(commands: Iterable[Command]) -> str:
    """What the machine says, in order."""
    return "; ".join(map(command_told, commands)) or "nothing"


def value_told(value: JsonValue) -> str:
    """A value, not at length."""
    text = value if isinstance(value, str) else canonical(value).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"
