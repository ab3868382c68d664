"""One line for one event of a run. Pure, and total: an event of a later version has a line too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.text import Text

from ..client.models import RunEvent
from .outside_lines import LINES
from .words import clock, duration, money, one_line, value

Line = tuple[str, str, str]
"""A mark, its style, and the text beside it."""


def event_line(event: RunEvent) -> Text:
    """When, a mark, and what happened."""
    mark, style, text = _LINES.get(event.kind, _unknown)(event.fields)
    return Text.assemble(
        (clock(event.at), "dim"), "  ", (mark, style), " ", text or event.kind.replace("_", " ")
    )


def _unknown(_: dict[str, Any]) -> Line:
    return "·", "dim", ""


def _submitted(fields: dict[str, Any]) -> Line:
    who = f"{fields.get('agent_name')} (planner {fields.get('planner')})"
    made: dict[str, Any] = fields.get("derived") or {}
    verb = f"made by {made.get('how')} of {made.get('run_id')}" if made else "accepted"
    return "○", "cyan", f"{verb} for {who}: {one_line(str(fields.get('goal', '')))}"


def _started(fields: dict[str, Any]) -> Line:
    return "▶", "cyan", f"taken up by the agent (epoch {fields.get('epoch')})"


def _resumed(fields: dict[str, Any]) -> Line:
    return "↻", "bold yellow", f"taken up again by a new process (epoch {fields.get('epoch')})"


def _intended(fields: dict[str, Any]) -> Line:
    return "!", "yellow", (
        f"{fields.get('step_id')}  {fields.get('skill')} is about to be called, "
        "and must not happen twice"
    )  # fmt: skip


def _settled(fields: dict[str, Any]) -> Line:
    mark, style = _MARKS.get(str(fields.get("status")), ("✗", "red"))
    if mark == "✗" and fields.get("retryable"):
        mark, style = "↺", "yellow"
    skill = fields.get("skill") or "?"
    version = f"@{fields['version']}" if fields.get("version") else ""
    text = f"{fields.get('step_id')}  {skill}{version}  {fields.get('code')}"
    if fields.get("attempt", 1) > 1:
        text += f"  attempt {fields['attempt']}"
    text += f"  {duration(fields.get('duration_ms', 0))}"
    if fields.get("cost_microusd"):
        text += f"  {money(fields['cost_microusd'])}"
    if "plan" in fields:
        text += f"  {_plan(fields['plan'])}"
    elif mark in "✗↺" and fields.get("message"):
        text += f"  {one_line(str(fields['message']))}"
    return mark, style, text


def _plan(plan: dict[str, Any]) -> str:
    steps = [f"{step['id']} ({step['skill']})" for step in plan.get("steps", ())]
    return "→ " + (", ".join(steps) or "the answer")


def _finished(fields: dict[str, Any]) -> Line:
    status = str(fields.get("status"))
    text = f"{status} {fields.get('code')}"
    if fields.get("message"):
        text += f": {one_line(str(fields['message']))}"
    elif fields.get("answer") is not None:
        text += f": {one_line(value(fields['answer']), 80)}"
    return "■", STATUS_STYLES.get(status, "bold"), text


STATUS_STYLES = {
    "completed": "bold green",
    "partial": "bold yellow",
    "failed": "bold red",
    "cancelled": "bold yellow",
    "quarantined": "bold red",
    "running": "cyan",
    "waiting": "yellow",
    "paused": "yellow",
    "pending": "dim",
}
"""How the status of a run looks."""

_MARKS = {
    "success": ("✓", "green"),
    "partial": ("✓", "yellow"),
    "skipped": ("–", "dim"),
}

_LINES: dict[str, Callable[[dict[str, Any]], Line]] = {
    "run_submitted": _submitted,
    "run_started": _started,
    "run_resumed": _resumed,
    "step_intended": _intended,
    "step_settled": _settled,
    "run_finished": _finished,
    **LINES,
}
