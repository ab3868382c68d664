"""`aos status`."""

from __future__ import annotations

from ..client import AosClient
from . import render
from .output import Json, show


def status(*, json: Json = False) -> int:
    """Show what runs: supervision tree, agents, runs, resources."""
    with AosClient() as aos:
        found = aos.status()
    show(found, render.render_status(found, aos.url), json=json)
    return 0
