"""Tables of the command line: pages of rows, and facts about one thing."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def table(*columns: str) -> Table:
    """Columns with their names above, and no lines."""
    made = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def facts(rows: dict[str, str]) -> Table:
    """Names, and what they stand for."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    made.add_column(style="dim")
    made.add_column(overflow="fold")
    for name, text in rows.items():
        made.add_row(name, Text(text))
    return made


def page(rows: Table, cursor: str | None, *, empty: bool, what: str) -> RenderableType:
    """A table, and how to see what comes after it."""
    if empty:
        return Text(f"no {what}")
    return Group(rows, Text(f"more: --cursor {cursor}", "dim")) if cursor else rows
