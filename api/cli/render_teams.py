"""Teams as people read them. Pure: values in, rich renderables out."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text
from rich.tree import Tree

from ..client.team_models import TeamChildView, TeamPage, TeamSummary, TeamView
from . import tables
from .words import moment, one_line

_STYLES = {
    "running": "green",
    "starting": "cyan",
    "waiting": "yellow",
    "stopping": "yellow",
    "quarantined": "bold red",
    "ended": "bold",
    "stopped": "dim",
    "unknown": "dim",
}


def render_teams(page: TeamPage) -> RenderableType:
    """A page of teams."""
    rows = tables.table("name", "state", "strategy", "members", "created", "why", "id")
    for team in page.items:
        rows.add_row(
            team.name,
            Text(team.state, _STYLES.get(team.state, "")),
            team.strategy,
            str(team.members),
            moment(team.created_at),
            Text(one_line(_why(team), 60)),
            str(team.id),
        )
    return tables.page(rows, page.next_cursor, empty=not page.items, what="teams")


def render_team(team: TeamView) -> RenderableType:
    """One team: how it stands, and its children as a tree."""
    head = Text.assemble((team.name, "bold"), "  ", (team.state, _STYLES.get(team.state, "")))
    if team.phase not in (None, team.state):
        head.append(f"  {team.phase}", _STYLES.get(str(team.phase), ""))
    rows = {"id": str(team.id), "restart": team.restart, "created": moment(team.created_at)}
    if team.until is not None:
        rows["until"] = moment(team.until)
    if why := _why(team):
        rows["why"] = one_line(why, 200)
    if team.problem:
        rows["not known"] = one_line(team.problem, 200)
    tree = Tree(Text(team.strategy, "dim"))
    _add(tree, team.children)
    return Group(head, tables.facts(rows), "", tree)


def _add(tree: Tree, children: list[TeamChildView]) -> None:
    for child in children:
        _add(tree.add(_line(child)), child.children)


def _line(child: TeamChildView) -> Text:
    text = Text.assemble(
        (child.id, "bold"), "  ", (child.state, _STYLES.get(child.state, "")),
        (f"  {child.kind} {child.of}".rstrip(), "dim"),
    )  # fmt: skip
    if child.restart != "permanent" or child.significant:
        text.append(f"  {child.restart}{', significant' if child.significant else ''}", "dim")
    if child.pid:
        text.append(f"  process {child.pid}", "dim")
    if child.restarts:
        text.append(f"  {child.restarts} restarts", "yellow")
    if child.waits_for:
        text.append(f"  {one_line(child.waits_for)}", "yellow")
    if child.until is not None:
        text.append(f"  until {moment(child.until)}", "yellow")
    return text


def _why(team: TeamSummary) -> str:
    return ": ".join(part for part in (team.reason, team.detail) if part)
