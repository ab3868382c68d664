"""What was said to runs, made of them and found out about them, as people read it. Pure."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from ..client.control_models import (
    DeadLetterView,
    EligibilityPage,
    EligibilityView,
    MessageView,
    RepairView,
    StopsView,
)
from ..client.models import RunPage, RunView
from .tables import page as _page
from .tables import table as _table
from .words import moment, one_line, plain

_STYLES = {
    "running": "cyan", "starting": "cyan", "queued": "yellow", "waiting": "", "paused": "yellow",
    "over": "dim",
}  # fmt: skip


def render_said(said: MessageView) -> RenderableType:
    """That a run will hear something."""
    text = Text.assemble(f"{said.kind}: run ", (str(said.run_id), "bold"))
    text.append(" has it" if said.number is None else f" hears it as message {said.number}")
    if said.warning is None:
        return text
    return Group(text, Text(f"warning: {said.warning}", "yellow"))


def render_repaired(done: RepairView) -> RenderableType:
    """That a step is set right, and where to look."""
    if done.derived_from is None:
        return Text.assemble("run ", (str(done.run_id), "bold"), " goes on with it")
    made = Text.assemble("run ", (str(done.run_id), "bold"), f" goes on for {done.derived_from}")
    return Group(made, Text(f"next: aos runs watch {done.run_id}", "dim"))


def render_made(run: RunView) -> RenderableType:
    """That a run was made of another one."""
    kept = sum(step.status in ("succeeded", "failed") for step in run.steps)
    made = Text.assemble(
        "run ", (str(run.id), "bold"), f" made: {run.derived_how} of {run.derived_from}, "
        f"with {kept} of its steps' outcomes",
    )  # fmt: skip
    return Group(made, Text(f"next: aos runs watch {run.id}", "dim"))


def render_discarded(done: DeadLetterView) -> RenderableType:
    """That a dead letter is off the list."""
    return Text.assemble("dead letter ", (str(done.run_id), "bold"), " is discarded")


def render_dead(page: RunPage) -> RenderableType:
    """A page of dead letters, with why each was given up."""
    table = _table("id", "agent", "given up", "code", "why")
    for run in page.items:
        table.add_row(
            str(run.id),
            run.agent,
            moment(run.finished_at) if run.finished_at else "–",
            run.code or "",
            Text(one_line(run.message or "", 80)),
        )
    return _page(table, page.next_cursor, empty=not page.items, what="dead letters")


def render_stops(found: StopsView) -> RenderableType:
    """What holds effects up, and how to go on."""
    lines: list[RenderableType] = []
    if found.woken is not None:
        lines.append(Text(f"lifted; {found.woken} runs go on"))
    for stop in found.stops:
        whose = "everyone" if stop.everyone else "this tenant"
        line = Text.assemble(("■ stopped", "bold red"), f" for {whose}: ", plain(stop.reason))
        line.append(f"  {stop.by}, {moment(stop.since)}", "dim")
        lines.append(line)
        lift = "aos stop lift --everyone" if stop.everyone else "aos stop lift"
        lines.append(Text(f"next: {lift}", "dim"))
    return Group(*lines) if lines else Text("no emergency stop is in force")


def render_eligibility(found: EligibilityView) -> RenderableType:
    """Why a run gets a process, or does not."""
    mark = "▶" if found.eligible else "■"
    parts: list[RenderableType] = [
        Text.assemble(
            (f"{mark} {found.standing}", _STYLES.get(found.standing, "bold red")),
            f"  run {found.run_id}  {found.status}  ", plain(found.why),
        )
    ]  # fmt: skip
    if found.until is not None:
        parts.append(Text(f"until {moment(found.until)}", "dim"))
    if found.next_action:
        parts.append(Text(f"next: {found.next_action}", "dim"))
    return Group(*parts)


def render_pending(page: EligibilityPage) -> RenderableType:
    """Unfinished runs, and why each stands where it does."""
    table = _table("id", "agent", "standing", "until", "why")
    for run in page.items:
        table.add_row(
            str(run.run_id),
            run.agent,
            Text(run.standing, _STYLES.get(run.standing, "bold red")),
            moment(run.until) if run.until else "",
            Text(one_line(run.why, 90)),
        )
    return _page(table, page.next_cursor, empty=not page.items, what="unfinished runs")
