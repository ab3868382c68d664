"""The calls on teams as data, once for both clients."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from .calls import Call
from .team_models import TeamPage, TeamView

_TEAMS = "/api/v1/teams"


def create_team(declaration: str | Mapping[str, Any]) -> Call[TeamView]:
    """Make a team of a text, YAML or JSON, or of what such a text would say."""
    text = declaration if isinstance(declaration, str) else json.dumps(declaration)
    return Call(TeamView, "POST", _TEAMS, text=text)


def list_teams(cursor: str | None, limit: int) -> Call[TeamPage]:
    """A page of teams."""
    return Call(TeamPage, "GET", _TEAMS, {"cursor": cursor, "limit": limit})


def get_team(id_or_name: UUID | str) -> Call[TeamView]:
    """One team."""
    return Call(TeamView, "GET", f"{_TEAMS}/{id_or_name}")


def delete_team(id_or_name: UUID | str) -> Call[TeamView]:
    """Stop and forget a team; the answer is what it was."""
    return Call(TeamView, "DELETE", f"{_TEAMS}/{id_or_name}")


def turn_team(id_or_name: UUID | str, verb: str) -> Call[TeamView]:
    """Start or stop a team."""
    return Call(TeamView, "POST", f"{_TEAMS}/{id_or_name}/{verb}")


def administer_child(id_or_name: UUID | str, child: str, verb: str) -> Call[TeamView]:
    """Terminate, restart or release a child; those of inner teams are `desk/scribe`."""
    return Call(TeamView, "POST", f"{_TEAMS}/{id_or_name}/children/{child}/{verb}")
