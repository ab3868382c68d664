"""Histories of runs as people read them. Pure: values in, rich renderables out."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..client.history_models import AttemptView, RestartView, RunHistory
from . import tables
from .words import duration, moment, money, one_line


def render_history(found: RunHistory) -> RenderableType:
    """Each part that there is something to say in."""
    parts: list[RenderableType] = []
    for title, rows in (
        ("status", _status(found)),
        ("plan", _plan(found)),
        ("attempts", _attempts(found)),
        ("denials", _denials(found)),
        ("restarts", _restarts(found)),
    ):
        if rows.row_count:
            parts += [Text(title, "bold"), rows, Text()]
    return Group(*parts[:-1])


def _status(found: RunHistory) -> Table:
    rows = tables.table("since", "status", "epoch", "cause")
    for each in found.status:
        cause = Text(one_line(each.cause))
        rows.add_row(moment(each.at), each.status, str(each.epoch or ""), cause)
    return rows


def _plan(found: RunHistory) -> Table:
    rows = tables.table("round", "step", "skill", "effects", "after")
    for each in found.plan:
        skill = f"{each.skill}@{each.version}" if each.version else each.skill
        after = Text(one_line(", ".join(each.depends_on), 60))
        rows.add_row(str(each.round or ""), Text(each.step), Text(skill), each.effects, after)
    return rows


def _attempts(found: RunHistory) -> Table:
    rows = tables.table(
        "ended", "step", "attempt", "skill", "code", "effect", "took", "cost", "why"
    )
    for each in found.attempts:
        skill = f"{each.skill}@{each.version}" if each.version else each.skill
        rows.add_row(
            moment(each.at),
            Text(each.step),
            str(each.attempt or ""),
            Text(skill),
            Text(each.code, "" if each.code == "OK" else "red"),
            _effect(each),
            duration(each.duration_ms),
            money(each.cost_microusd) if each.cost_microusd else "",
            Text(one_line(each.message, 60) if each.code != "OK" else ""),
        )
    return rows


def _effect(attempt: AttemptView) -> str:
    if attempt.effect in ("", "none"):
        return attempt.effects
    return f"{attempt.effects}, {attempt.effect}"


def _denials(found: RunHistory) -> Table:
    rows = tables.table("at", "step", "skill", "code", "why")
    for each in found.denials:
        why = Text(one_line(each.message, 80))
        rows.add_row(
            moment(each.at), Text(each.step), Text(each.skill), Text(each.code, "red"), why
        )
    return rows


def _restarts(found: RunHistory) -> Table:
    rows = tables.table("at", "epoch", "after", "because", "")
    for each in found.restarts:
        rows.add_row(
            moment(each.at),
            str(each.epoch),
            str(each.before or ""),
            Text(_because(each)),
            Text(one_line(each.detail, 80)),
        )
    return rows


def _because(restart: RestartView) -> str:
    if restart.reason:
        return restart.reason
    return "it had waited" if restart.kind == "run_woken" else "not recorded"
