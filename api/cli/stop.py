"""`aos stop`, `aos stop lift`, `aos stop show`."""

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from ..client import AosClient
from . import render_control as render
from .exits import OK
from .output import Json, show

Flag = Annotated[bool, Parameter(negative=())]

app = App(name="stop")


@app.default
def stop(reason: str, /, *, everyone: Flag = False, json: Json = False) -> int:
    """Stop all new effects at once. Runs wait until the stop is lifted; nothing is lost.

    Parameters
    ----------
    reason
        Why: everybody who looks at a run that waits for it reads this.
    everyone
        Stop all tenants, not only the key's own.
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.emergency_stop.begin(reason, everyone=everyone)
    show(found, render.render_stops(found), json=json)
    return OK


@app.command
def lift(*, everyone: Flag = False, json: Json = False) -> int:
    """Let effects happen again. Runs that were held up go on at once.

    Parameters
    ----------
    everyone
        Lift everybody's stop, not the tenant's own.
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.emergency_stop.lift(everyone=everyone)
    show(found, render.render_stops(found), json=json)
    return OK


@app.command(name="show")
def show_stops(*, json: Json = False) -> int:
    """Show what holds effects up now.

    Parameters
    ----------
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.emergency_stop.show()
    show(found, render.render_stops(found), json=json)
    return OK
