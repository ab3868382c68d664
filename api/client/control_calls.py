"""The calls that control runs as data, once for both clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from ...skills.contracts import JsonObject, JsonValue
from .calls import Call
from .control_models import (
    DeadLetterView,
    EligibilityPage,
    EligibilityView,
    MessageView,
    ProgramList,
    ProgramView,
    RepairView,
    StopsView,
)
from .models import RunPage, RunView

_RUNS, _DEAD, _STOP = "/api/v1/runs", "/api/v1/dead-letters", "/api/v1/stop"

RunId = UUID | str


def say(run_id: RunId, what: str, body: Mapping[str, Any], key: str | None) -> Call[MessageView]:
    """Something for a run to hear; without a key of the caller's it gets one of its own."""
    return Call(
        MessageView, "POST", f"{_RUNS}/{run_id}/{what}", body=dict(body), headers=_keyed(key)
    )


def signal(run_id: RunId, name: str, payload: JsonValue, key: str | None) -> Call[MessageView]:
    """A named signal."""
    return say(run_id, "signals", {"name": name, "payload": payload}, key)


def decide(
    run_id: RunId, step_id: str, approved: bool, value: JsonValue, comment: str, key: str | None
) -> Call[MessageView]:
    """The answer to a step's question."""
    body = {"step_id": step_id, "approved": approved, "value": value, "comment": comment}
    return say(run_id, "decisions", body, key)


def resolve(
    run_id: RunId, step_id: str, verdict: str, output: JsonValue, reason: str, key: str | None
) -> Call[MessageView]:
    """What is so about an effect in doubt."""
    body = {"step_id": step_id, "verdict": verdict, "output": output, "reason": reason}
    return say(run_id, "verdicts", body, key)


def repair(run_id: RunId, body: Mapping[str, Any], key: str | None) -> Call[RepairView]:
    """Set a step right."""
    path = f"{_RUNS}/{run_id}/repair"
    return Call(RepairView, "POST", path, body=dict(body), headers=_keyed(key))


def fork(
    run_id: RunId,
    step_id: str,
    overrides: Mapping[str, JsonObject] | None,
    goal: str | None,
    made: Mapping[str, Any],
    key: str | None,
) -> Call[RunView]:
    """A new run from a step on."""
    body = {"step_id": step_id, "overrides": dict(overrides or {}), "goal": goal, **made}
    return Call(RunView, "POST", f"{_RUNS}/{run_id}/fork", body=body, headers=_keyed(key))


def rerun(run_id: RunId, made: Mapping[str, Any], key: str | None) -> Call[RunView]:
    """The same once more."""
    path = f"{_RUNS}/{run_id}/rerun"
    return Call(RunView, "POST", path, body=dict(made), headers=_keyed(key))


def children(run_id: RunId, cursor: str | None, limit: int) -> Call[RunPage]:
    """The runs that a run has made."""
    params = {"cursor": cursor, "limit": limit}
    return Call(RunPage, "GET", f"{_RUNS}/{run_id}/children", params)


def eligibility(run_id: RunId) -> Call[EligibilityView]:
    """Why a run gets a process, or does not."""
    return Call(EligibilityView, "GET", f"{_RUNS}/{run_id}/eligibility")


def pending(cursor: str | None, limit: int) -> Call[EligibilityPage]:
    """The same of all unfinished runs."""
    params = {"cursor": cursor, "limit": limit}
    return Call(EligibilityPage, "GET", "/api/v1/eligibility", params)


def dead_letters(cursor: str | None, limit: int) -> Call[RunPage]:
    """Runs that were given up and not dealt with."""
    return Call(RunPage, "GET", _DEAD, {"cursor": cursor, "limit": limit})


def dead_letter(run_id: RunId) -> Call[RunView]:
    """One of them."""
    return Call(RunView, "GET", f"{_DEAD}/{run_id}")


def requeue(run_id: RunId, made: Mapping[str, Any], key: str | None) -> Call[RunView]:
    """Give a dead letter another chance, as a new run."""
    path = f"{_DEAD}/{run_id}/requeue"
    return Call(RunView, "POST", path, body=dict(made), headers=_keyed(key))


def discard(run_id: RunId, reason: str) -> Call[DeadLetterView]:
    """Have a dead letter off the list. Repeated, it is refused with AOS-3015."""
    path = f"{_DEAD}/{run_id}/discard"
    return Call(DeadLetterView, "POST", path, body={"reason": reason})


def stops() -> Call[StopsView]:
    """What holds effects up now."""
    return Call(StopsView, "GET", _STOP)


def stop(reason: str, everyone: bool) -> Call[StopsView]:
    """No new effects from now on."""
    return Call(StopsView, "POST", _STOP, body={"reason": reason, "everyone": everyone})


def lift(everyone: bool) -> Call[StopsView]:
    """Let effects happen again. Repeated, it is refused with AOS-3018: there is no stop."""
    return Call(StopsView, "DELETE", _STOP, {"everyone": str(everyone).lower()})


def keep_program(name: str, entry: str, source: str) -> Call[ProgramView]:
    """Upload a program."""
    body = {"name": name, "entry": entry, "source": source}
    return Call(ProgramView, "POST", "/api/v1/programs", body=body)


def list_programs() -> Call[ProgramList]:
    """What each name stands for now."""
    return Call(ProgramList, "GET", "/api/v1/programs")


def _keyed(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or f"sdk-{uuid4()}"}
