"""Retention as people read it. Pure: values in, rich renderables out."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from ..client.retention_models import ArchivePage, PartView, RetentionView
from . import tables
from .words import moment, size

_VERDICTS = {
    "remove": "goes in the next round",
    "later": "few could go, and it was rewritten lately",
    "keep": "nothing in it may go",
}


def render_retention(found: RetentionView) -> RenderableType:
    """The policy, the partitions that it is about, and what went last."""
    parts: list[RenderableType] = [_policy(found)]
    if found.parts:
        parts += [Text(), _parts(found.parts)]
    if found.removals:
        rows = tables.table("removed from", "runs", "stayed", "state", "began")
        for each in found.removals:
            rows.add_row(
                each.part, str(each.runs), str(each.kept), each.state, moment(each.began_at)
            )
        parts += [Text(), rows]
    return Group(*parts)


def render_round(found: RetentionView) -> RenderableType:
    """What a round removes, and whether it begins."""
    going = [each for each in found.parts or () if each.verdict == "remove"]
    runs = sum(each.removable for each in going)
    where = f" into {found.archive}" if found.archive else ", without an archive"
    if not going:
        said = "nothing is old enough to go"
    elif found.begun:
        said = f"{runs} runs go{where}; follow it with: aos retention show"
    else:
        said = f"{runs} runs would go{where}"
    return Group(*([_parts(going), Text()] if going else []), Text(said))


def render_archives(page: ArchivePage) -> RenderableType:
    """A page of archives."""
    rows = tables.table("written", "tenant", "week", "runs", "events", "size", "sha256", "file")
    for each in page.items:
        rows.add_row(
            moment(each.written_at), each.tenant, each.part, str(each.runs), str(each.events),
            size(each.bytes), each.sha256[:12], Text(each.path or each.name),
        )  # fmt: skip
    return tables.page(rows, page.next_cursor, empty=not page.items, what="archives")


def whole_line(tenant: str, part: str, runs: int, events: int, values: int) -> RenderableType:
    """An archive that was read to its end."""
    return Text(
        f"whole: {runs} runs of {tenant}, week {part}, {events} events, {values} large values"
    )


def _policy(found: RetentionView) -> RenderableType:
    if found.days is None:
        return Text("runs are kept for ever; to change that, set AOS_RETENTION_DAYS")
    before = f", so before {moment(found.ended_before)}" if found.ended_before else ""
    said = f"runs go {found.days} days after their end{before}"
    if found.parts is None:
        return Text(said)
    where = f"into {found.archive}" if found.archive else "without an archive"
    return Text(f"{said}, {where}")


def _parts(parts: list[PartView]) -> RenderableType:
    rows = tables.table("week", "runs", "may go", "")
    for each in parts:
        verdict = _VERDICTS.get(each.verdict, each.verdict)
        rows.add_row(each.part, str(each.runs), str(each.removable), verdict)
    return rows
