"""`aos team …`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...cluster.errors import InputError
from ..client import AosClient, TeamView
from . import render_teams as render
from .output import Json
from .output import show as show_value


class UnreadableFile(InputError):
    """The file with the declaration cannot be read."""

    code = "AOS-1112"
    title = "The file cannot be read."
    next_action = "Give the path of a YAML or JSON file, or - for standard input."


def create(
    file: Annotated[Path, Parameter(allow_leading_hyphen=True)], /, *, json: Json = False
) -> int:
    """Make a team of a declaration, and have it run. The same declaration again changes nothing.

    Parameters
    ----------
    file
        A YAML or JSON file; - is standard input.
    json
        Print JSON.
    """
    text = _read(file)
    with AosClient() as aos:
        return _show(aos.teams.create(text), json=json)


def ls(*, limit: int = 50, cursor: str | None = None, json: Json = False) -> int:
    """List teams, oldest first.

    Parameters
    ----------
    limit
        How many at most.
    cursor
        Go on where the page before has ended.
    json
        Print JSON.
    """
    with AosClient() as aos:
        page = aos.teams.list(cursor=cursor, limit=limit)
    show_value(page, render.render_teams(page), json=json)
    return 0


def show(team: str, /, *, json: Json = False) -> int:
    """Show one team, with how its children stand.

    Parameters
    ----------
    team
        Its name or its id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        return _show(aos.teams.get(team), json=json)


def start(team: str, /, *, json: Json = False) -> int:
    """Have a team run again that was stopped or has ended; end its quarantine, if it is in one.

    Parameters
    ----------
    team
        Its name or its id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        return _show(aos.teams.start(team), json=json)


def stop(team: str, /, *, json: Json = False) -> int:
    """Stop a team. Its agents are then served like any other, so accepted runs go on.

    Parameters
    ----------
    team
        Its name or its id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        return _show(aos.teams.stop(team), json=json)


def rm(team: str, /, *, json: Json = False) -> int:
    """Stop and forget a team, and show what it was. Its agents and their runs stay.

    Parameters
    ----------
    team
        Its name or its id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        return _show(aos.teams.delete(team), json=json)


def restart(team: str, child: str, /, *, json: Json = False) -> int:
    """Start a child that is stopped.

    Parameters
    ----------
    team
        The team's name or id.
    child
        The child's id; that of an inner team's child is INNER/CHILD.
    json
        Print JSON.
    """
    with AosClient() as aos:
        return _show(aos.teams.restart(team, child), json=json)


def terminate(team: str, child: str, /, *, json: Json = False) -> int:
    """Stop a child. It stays stopped until it is restarted, or its team starts anew.

    Parameters
    ----------
    team
        The team's name or id.
    child
        The child's id; that of an inner team's child is INNER/CHILD.
    json
        Print JSON.
    """
    with AosClient() as aos:
        return _show(aos.teams.terminate(team, child), json=json)


def release(team: str, child: str, /, *, json: Json = False) -> int:
    """End a child's quarantine, and start it.

    Parameters
    ----------
    team
        The team's name or id.
    child
        The child's id; that of an inner team's child is INNER/CHILD.
    json
        Print JSON.
    """
    with AosClient() as aos:
        return _show(aos.teams.release(team, child), json=json)


def _show(team: TeamView, *, json: bool) -> int:
    show_value(team, render.render_team(team), json=json)
    return 0


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text()
    except OSError as error:
        raise UnreadableFile(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UnreadableFile(f"{file} is not UTF-8 text") from None
