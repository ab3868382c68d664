"""The supervision tree and its events as people read them. Pure: values in, renderables out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from ..client.models import EventPage, SupervisionEvent, TreeNode
from ..times import at, span
from .words import clock, duration, moment, one_line, plain

FOLD = 50
"""So many children of one supervisor are shown; the rest is counted."""

_STATE_STYLES = {
    "running": "green",
    "waiting": "yellow",
    "starting": "cyan",
    "stopping": "cyan",
    "stopped": "dim",
    "quarantined": "bold red",
}
_UNSHOWN = frozenset({"node"})
"""Facts that the line has already: a manager's id begins with that of its machine."""

_KIND_STYLES = {
    "started": "green",
    "ended": "yellow",
    "restarting": "yellow",
    "quarantined": "bold red",
    "gave_up": "bold red",
}


@dataclass(frozen=True)
class Look:
    """The tree and the newest events, newest first, when somebody looked; and what is wrong with
    looking since.
    """

    tree: TreeNode
    events: Sequence[SupervisionEvent]
    trouble: str = ""


def render_tree(root: TreeNode, now: datetime, fold: int | None = FOLD) -> Tree:
    """The tree. Of a supervisor with more than `fold` children those that do not simply run come
    first, and the rest is one line; None folds nothing.
    """
    tree = Tree(_line(root, now))
    _grow(tree, root, now, fold)
    return tree


def render_events(page: EventPage) -> RenderableType:
    """The answer, if one was asked for, and the events that it was made from."""
    parts: list[RenderableType] = [Text(plain(page.why), "bold"), ""] if page.why else []
    parts.append(_table(page.items) if page.items else Text("no events"))
    if page.next_cursor:
        parts.append(Text(f"more: --cursor {page.next_cursor}", "dim"))
    return Group(*parts)


def render_look(look: Look, now: datetime, fold: int | None = FOLD) -> RenderableType:
    """One frame of `aos tree --watch`: the newest event stands last."""
    parts: list[RenderableType] = [render_tree(look.tree, now, fold), ""]
    parts += [_event_line(event) for event in reversed(look.events)]
    if look.trouble:
        parts.append(Text(f"{one_line(look.trouble)}; looking again", "red"))
    return Group(*parts)


def _grow(tree: Tree, node: TreeNode, now: datetime, fold: int | None) -> None:
    children = node.children
    folded: Sequence[TreeNode] = ()
    if fold is not None and len(children) > fold:
        children = sorted(children, key=lambda child: child.state == "running")
        children, folded = children[:fold], children[fold:]
    for child in children:
        _grow(tree.add(_line(child, now)), child, now, fold)
    if folded:
        states = Counter(child.state for child in folded)
        counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        tree.add(Text(f"… {len(folded)} more: {counts} (all of them: --all)", "dim"))


def _line(node: TreeNode, now: datetime) -> Text:
    text = Text.assemble(
        (one_line(node.title), "bold"), "  ", (node.state, _STATE_STYLES.get(node.state, ""))
    )
    if node.until is not None:
        text.append(f" until {at(node.until, now)} (in {span(node.until - now)})", "yellow")
    if node.waits_for:
        text.append(f"  {one_line(node.waits_for)}", "yellow")
    if node.pid:
        text.append(f"  process {node.pid}", "dim")
    if node.epoch:
        text.append(f"  epoch {node.epoch}", "dim")
    if node.restarts:
        text.append(f"  {node.restarts} restart{'s' if node.restarts > 1 else ''}", "yellow")
    if node.since is not None:
        text.append(f"  for {span(now - node.since)}", "dim")
    if facts := _facts(node):
        text.append(f"  {facts}", "dim")
    if node.unreachable:
        text.append(f"  {one_line(node.unreachable)}", "red")
    return text


def _facts(node: TreeNode) -> str:
    """What else it tells of itself, as far as it is short."""
    shown: list[str] = []
    for name, fact in (node.model_extra or {}).items():
        words = name.replace("_", " ")
        if name in _UNSHOWN:
            continue
        if isinstance(fact, bool):
            shown.append(words if fact else f"not {words}")
        elif isinstance(fact, str | int | float):
            shown.append(f"{words} {one_line(str(fact), 60)}")
    return ", ".join(shown)


def _table(events: Sequence[SupervisionEvent]) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in ("at", "child", "event", "reason", "for", "epoch", "detail"):
        table.add_column(column, overflow="fold")
    for event in events:
        table.add_row(
            moment(event.at),
            Text(one_line(event.name or event.child)),
            Text(event.kind, _KIND_STYLES.get(event.kind, "")),
            Text(one_line(event.reason)),
            duration(event.delay_ms) if event.delay_ms else "",
            str(event.epoch or ""),
            Text(one_line(event.detail, 120)),
        )
    return table


def _event_line(event: SupervisionEvent) -> Text:
    text = Text.assemble(
        (clock(event.at), "dim"),
        f"  {one_line(event.name or event.child)}  ",
        (event.kind, _KIND_STYLES.get(event.kind, "")),
    )
    if event.reason:
        text.append(f"  {one_line(event.reason)}")
    if event.delay_ms:
        text.append(f"  {duration(event.delay_ms)}")
    if event.detail:
        text.append(f"  {one_line(event.detail, 80)}", "dim")
    return text
