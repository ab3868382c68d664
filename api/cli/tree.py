"""`aos tree` and `aos tree events`."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from cyclopts import App, Parameter, Token
from rich.console import RenderableType
from rich.live import Live

from ..client import AosClient, ApiError, NotRunning
from .exits import OK
from .output import Json, console, emit, show
from .tree_view import FOLD, Look, render_events, render_look, render_tree

Flag = Annotated[bool, Parameter(negative=())]

_LOOK_SECONDS = 1.0
_NEWS = 8
_MARGIN = 14
"""Lines of a terminal that a followed tree leaves to events and to what stands above agents."""
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _instant(_: Any, tokens: Sequence[Token]) -> datetime:
    """`10m` ago, or an instant. A ValueError is the command line's."""
    given = tokens[0].value
    if found := re.fullmatch(r"(\d{1,6})([smhd])", given):
        return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
    try:
        instant = datetime.fromisoformat(given)
    except ValueError:
        raise ValueError(f"{given!r} is neither a time nor an age such as 10m, 2h or 1d") from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


Since = Annotated[datetime | None, Parameter(converter=_instant)]

app = App(name="tree")


@app.default
def tree(*, watch: Flag = False, all: Flag = False, json: Json = False) -> int:  # noqa: A002 - the option's name
    """Show the living supervision tree.

    Parameters
    ----------
    watch
        Follow it: look every second, the newest events below it, until Ctrl-C.
    all
        Show every agent; without it, all but fifty of many are counted only.
    json
        Print JSON; with --watch a line whenever something has changed.
    """
    fold = None if all else FOLD
    with AosClient() as aos:
        if watch:
            return _follow(aos, fold, json=json)
        found = aos.tree()
    show(found, render_tree(found, datetime.now(UTC), fold), json=json)
    return OK


@app.command
def events(
    child: str | None = None,
    /,
    *,
    kind: str | None = None,
    since: Since = None,
    limit: int = 20,
    cursor: str | None = None,
    json: Json = False,
) -> int:
    """Show what supervisors did, newest first; of one child also why it is as it is.

    Parameters
    ----------
    child
        The name or id of an agent or a team, or a part such as front. Without it: everybody.
    kind
        Only events of this kind: started, ended, restarting, quarantined, …
    since
        Only those since a time, or of the last 10m, 2h, 1d.
    limit
        How many at most.
    cursor
        Go on where the page before has ended.
    json
        Print JSON.
    """
    with AosClient() as aos:
        page = aos.tree_events(child=child, kind=kind, since=since, cursor=cursor, limit=limit)
    show(page, render_events(page), json=json)
    return OK


def _follow(aos: AosClient, fold: int | None, *, json: bool) -> int:
    """Look again and again. Nobody answers for a moment when the front itself is restarted: that
    is shown, and no reason to stop.
    """
    look = Look(aos.tree(), aos.tree_events(limit=_NEWS).items)
    try:
        with _frames(json=json) as put:
            while True:
                put(look, fold)
                time.sleep(_LOOK_SECONDS)
                try:
                    look = Look(aos.tree(), aos.tree_events(limit=_NEWS).items)
                except (NotRunning, ApiError) as error:
                    look = replace(look, trouble=error.detail)
    except KeyboardInterrupt:
        return OK  # a tree has no end: this is how one stops looking


@contextmanager
def _frames(*, json: bool) -> Generator[Callable[[Look, int | None], None]]:
    """How what was seen is put: redrawn in place on a terminal, else whenever it has changed."""
    out = console()
    if out.is_terminal and not json:
        with Live(console=out, auto_refresh=False, vertical_overflow="crop") as live:

            def redraw(look: Look, fold: int | None) -> None:
                fits = None if fold is None else min(fold, max(3, out.height - _MARGIN))
                live.update(_frame(look, fits), refresh=True)

            yield redraw
        return
    said: Any = None

    def say(look: Look, fold: int | None) -> None:
        nonlocal said
        news = look.tree if json else look
        if news != said:
            said = news
            if json:
                emit(look.tree)
            else:
                out.print(_frame(look, fold))

    yield say


def _frame(look: Look, fold: int | None) -> RenderableType:
    return render_look(look, datetime.now(UTC), fold)
