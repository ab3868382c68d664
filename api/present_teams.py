"""Teams as what is shown: rows and declarations together with how things stand. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..cluster.postgres import Row
from ..supervisors.teams.declaration import Child, Declaration, Group
from ..supervisors.teams.rules import group_of, members
from ..supervisors.teams.store import StoredTeam
from .client.team_models import TeamChildView, TeamSummary, TeamView

Standing = Mapping[str, Any]
"""What a supervisor says of a child of its own."""


def team_summary(team: StoredTeam) -> TeamSummary:
    """A team as lists show it."""
    return TeamSummary(**_summary(team))


def team_view(
    team: StoredTeam,
    rows: Mapping[str, Row],
    standing: Standing | None,
    problem: str | None = None,
) -> TeamView:
    """A team with its children. `rows` are its members by path; without `standing` nobody is there,
    or, with a `problem`, nobody can say.
    """
    absent = "stopped" if problem is None else "unknown"
    known = standing or {}
    shown = _Shown(team.declaration, rows, absent)
    return TeamView(
        **_summary(team),
        phase=known.get("state"),
        restarts=known.get("restarts", 0),
        until=known.get("until"),
        problem=problem,
        children=shown.children(team.declaration, (), known.get("children", ())),
        declaration=team.declaration.model_dump(mode="json", exclude_none=True),
    )


class _Shown:
    def __init__(self, declaration: Declaration, rows: Mapping[str, Row], absent: str) -> None:
        self._declaration, self._rows, self._absent = declaration, rows, absent

    def children(
        self, group: Group, path: tuple[str, ...], standings: Iterable[Standing]
    ) -> list[TeamChildView]:
        """A team's children with how each of them stands."""
        by_id = {standing["id"]: standing for standing in standings}
        return [self._child(child, path, by_id.get(child.id)) for child in group.children]

    def _child(
        self, child: Child, path: tuple[str, ...], standing: Standing | None
    ) -> TeamChildView:
        here = (*path, child.id)
        known = standing or {"state": self._absent}
        row = self._rows.get("/".join(here), {})
        kind, of = self._kind(child)
        inner = group_of(child, self._declaration)
        names = ("state", "restarts", "pid", "epoch", "until", "waits_for")
        return TeamChildView(
            id=child.id,
            path="/".join(here),
            kind=kind,
            of=of,
            restart=child.restart,
            significant=child.significant,
            agent_id=row.get("agent_id"),
            run_id=row.get("run_id"),
            children=[] if inner is None else self.children(inner, here, known.get("children", ())),
            **{name: known[name] for name in names if name in known},
        )

    def _kind(self, child: Child) -> tuple[str, str]:
        if child.agent is not None:
            return "agent", child.agent
        if child.service is not None:
            return "service", child.service
        inner = group_of(child, self._declaration)
        return "team", "" if inner is None else inner.strategy


def _summary(team: StoredTeam) -> dict[str, Any]:
    names = ("name", "state", "reason", "detail", "created_at", "started_at", "ended_at")
    return {
        "id": team.team_id,
        "strategy": team.declaration.strategy,
        "restart": team.declaration.restart,
        "members": sum(member.child.agent is not None for member in members(team.declaration)),
        **{name: getattr(team, name) for name in names},
    }
