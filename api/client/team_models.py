"""Teams on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import Field

from .models import Shape


class TeamChildView(Shape):
    """A child of a team. `kind` is agent, service or team; `of` the agent's name, the class, or how
    the inner team treats its children. `path` names it within the whole team.

    `state`: waiting, starting, running, stopping, stopped or quarantined; unknown while the
    supervisors do not answer. `waits_for` is what no machine has. `run_id` is what its goal became.
    """

    id: str
    path: str
    kind: str
    of: str
    restart: str
    significant: bool
    state: str
    restarts: int = 0
    pid: int | None = None
    epoch: int | None = None
    until: datetime | None = None
    waits_for: str | None = None
    agent_id: UUID | None = None
    run_id: UUID | None = None
    children: list[TeamChildView] = Field(default_factory=list["TeamChildView"])


class TeamSummary(Shape):
    """A team as lists show it. `state`: running, stopped (by a person) or ended (by itself), and
    then `reason` and `detail` say why. `members` are its agents, those of inner teams included.
    """

    id: UUID
    name: str
    state: str
    strategy: str
    restart: str
    members: int
    reason: str
    detail: str
    created_at: datetime
    started_at: datetime
    ended_at: datetime | None


class TeamView(TeamSummary):
    """A team with its children. `phase` is how it stands as a child of the agents' supervisor, null
    if it is not there; `problem` why that cannot be said. `declaration` has all defaults written
    out.
    """

    phase: str | None
    restarts: int
    until: datetime | None
    problem: str | None
    children: list[TeamChildView]
    declaration: dict[str, Any]


class TeamPage(Shape):
    """Teams, oldest first. `next_cursor` is null on the last page."""

    items: list[TeamSummary]
    next_cursor: str | None
