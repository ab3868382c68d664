"""Lines for what runs wait for and what is said to them. Pure; see `event_lines`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .words import one_line, value

Line = tuple[str, str, str]


def _parked(fields: dict[str, Any]) -> Line:
    until = f", until {fields['until']}" if fields.get("until") else ""
    return "‖", "dim", f"{_short(fields.get('reason'))}{until}; holds no process"


def _woken(fields: dict[str, Any]) -> Line:
    return "▶", "cyan", f"needed again (epoch {fields.get('epoch')})"


def _wait_began(fields: dict[str, Any]) -> Line:
    return "…", "yellow", f"{fields.get('step_id')}  waits for {_awaited(fields)}"


def _awaited(fields: dict[str, Any]) -> str:
    if fields.get("signal"):
        what = f"signal {fields['signal']}"
    elif fields.get("question"):
        what = f"a decision: {_short(fields['question'])}"
    elif fields.get("child_run_id"):
        what = f"child run {fields['child_run_id']}"
    else:
        return f"its time, {fields.get('until')}"
    return f"{what}, at most until {fields['until']}" if fields.get("until") else what


def _spawned(fields: dict[str, Any]) -> Line:
    return "↳", "cyan", f"{fields.get('step_id')}  made child run {fields.get('child_run_id')}"


def _closed(fields: dict[str, Any]) -> Line:
    good = fields.get("status") in ("success", "partial")
    text = f"{fields.get('step_id')}  {fields.get('skill')}  {fields.get('code')}"
    return (
        ("✓", "green", text) if good else ("✗", "red", f"{text}  {_short(fields.get('message'))}")
    )


def _signalled(fields: dict[str, Any]) -> Line:
    return "⚑", "cyan", f"signal {fields.get('name')}{_of(fields)}{_given(fields.get('payload'))}"


def _decided(fields: dict[str, Any]) -> Line:
    word = "yes" if fields.get("approved") else "no"
    comment = f"  {_short(fields['comment'])}" if fields.get("comment") else ""
    return "⚑", "cyan", f"{fields.get('step_id')}  decided: {word}{_of(fields)}{comment}"


def _child_ended(fields: dict[str, Any]) -> Line:
    text = f"{fields.get('step_id')}  child run {fields.get('child_run_id')} is "
    return "↲", "cyan", f"{text}{fields.get('status')} {fields.get('code')}"


def _cancelled(fields: dict[str, Any]) -> Line:
    return "⚑", "bold yellow", f"to be cancelled{_of(fields)}{_because(fields)}"


def _paused(fields: dict[str, Any]) -> Line:
    return "⚑", "yellow", f"paused{_of(fields)}{_because(fields)}"


def _continued(fields: dict[str, Any]) -> Line:
    return "⚑", "cyan", f"goes on{_of(fields)}"


def _repaired(fields: dict[str, Any]) -> Line:
    action = str(fields.get("action")).replace("_", " ")
    return "⚒", "yellow", f"{fields.get('step_id')}  {action}{_of(fields)}{_because(fields)}"


def _reconciled(fields: dict[str, Any]) -> Line:
    verdict = str(fields.get("verdict")).replace("_", " ")
    who = fields.get("by") or fields.get("source")
    text = f"{fields.get('step_id')}  may have happened; {who} says: {verdict}{_because(fields)}"
    return "?", "yellow", text


def _compensated(fields: dict[str, Any]) -> Line:
    good = fields.get("status") == "success"
    text = f"{fields.get('step_id')}  {'undone' if good else 'not undone'}  {fields.get('code')}"
    return ("↶", "yellow", text) if good else ("✗", "red", text)


def _withdrawn(fields: dict[str, Any]) -> Line:
    return "–", "dim", f"{fields.get('step_id')}  was not called after all{_because(fields)}"


def _advanced(fields: dict[str, Any]) -> Line:
    asked = ", ".join(f"{each['id']} ({each['skill']})" for each in fields.get("requests", ()))
    if fields.get("error"):
        error = fields["error"]
        return "✗", "red", f"the program raised {_short(error.get('message'))} {error.get('line')}"
    return "λ", "cyan", "the program " + (
        "has returned" if fields.get("finished") else f"asks for {asked or 'nothing more'}"
    )  # fmt: skip


def _ignored(fields: dict[str, Any]) -> Line:
    text = f"{fields.get('about')}{_of(fields)} came to nothing: {_short(fields.get('reason'))}"
    return "⚑", "dim", text


def _of(fields: dict[str, Any]) -> str:
    return f" by {fields['by']}" if fields.get("by") else ""


def _because(fields: dict[str, Any]) -> str:
    return f": {_short(fields['reason'])}" if fields.get("reason") else ""


def _given(payload: Any) -> str:
    return "" if payload is None else f"  {one_line(value(payload), 60)}"


def _short(text: Any) -> str:
    return one_line(str(text or ""), 80)


LINES: dict[str, Callable[[dict[str, Any]], Line]] = {
    "run_parked": _parked,
    "run_woken": _woken,
    "wait_began": _wait_began,
    "child_spawned": _spawned,
    "step_closed": _closed,
    "signal_received": _signalled,
    "decision_made": _decided,
    "child_ended": _child_ended,
    "cancel_requested": _cancelled,
    "run_paused": _paused,
    "run_continued": _continued,
    "step_repaired": _repaired,
    "step_reconciled": _reconciled,
    "step_compensated": _compensated,
    "intent_withdrawn": _withdrawn,
    "program_advanced": _advanced,
    "message_ignored": _ignored,
}
