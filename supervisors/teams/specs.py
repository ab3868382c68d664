"""From a declaration to the specification that a supervisor keeps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from ..spec import (
    AutoShutdown,
    Backoff,
    Budgets,
    ChildSpec,
    ChildType,
    Intensity,
    Restart,
    Shutdown,
    Strategy,
    SupervisorSpec,
    otp,
)
from .declaration import Child, Declaration, Group, IntensityShape
from .rules import group_of

AGENT, SERVICE, SUPERVISOR, TEAM = "agent", "service", "supervisor", "team"
"""What children are started from: the kinds that starters are chosen by."""


def team_child(team_id: UUID, restart: str) -> ChildSpec:
    """A whole team, as a child of the agents' supervisor."""
    return ChildSpec(
        f"team:{team_id}",
        TEAM,
        Restart(restart),
        type=ChildType.SUPERVISOR,
        args={"team_id": str(team_id)},
    )


def supervisor_spec(
    declaration: Declaration, team_id: UUID, agents: Mapping[str, UUID]
) -> SupervisorSpec:
    """The team's supervisor with all that is in it. `agents` are the ids of its agents by name."""
    return _Maker(declaration, agents).group(declaration, f"team:{team_id}")


class _Maker:
    def __init__(self, declaration: Declaration, agents: Mapping[str, UUID]) -> None:
        self._declaration, self._agents = declaration, agents

    def group(self, group: Group, name: str) -> SupervisorSpec:
        """One supervisor; `name` is its id, which leads to it from the team."""
        spec = SupervisorSpec(
            name,
            children=tuple(self.child(child, name) for child in group.children),
            strategy=Strategy(group.strategy),
            intensity=_intensity(group.intensity),
            auto_shutdown=AutoShutdown(group.auto_shutdown),
            backoff=_backoff(group),
            **_quarantine(group),
        )
        return otp(spec) if group.otp else spec

    def child(self, child: Child, parent: str) -> ChildSpec:
        """One child of the supervisor whose id is given."""
        start, args = self._kind(child, f"{parent}/{child.id}")
        return ChildSpec(
            child.id,
            start,
            Restart(child.restart),
            shutdown=_shutdown(child),
            type=ChildType.SUPERVISOR if start == SUPERVISOR else ChildType.WORKER,
            significant=child.significant,
            args=args,
        )

    def _kind(self, child: Child, place: str) -> tuple[str, dict[str, Any]]:
        if child.agent is not None:
            agent_id = str(self._agents[child.agent])
            return AGENT, {"agent_id": agent_id, "goal": child.goal is not None}
        if child.service is not None:
            return SERVICE, {
                "service": child.service,
                "args": dict(child.args),
                "resources": dict(child.resources),
                "place": place,
            }
        inner = group_of(child, self._declaration)
        assert inner is not None, "the rules have let no unknown team pass"  # noqa: S101
        return SUPERVISOR, {"spec": self.group(inner, place)}


def _intensity(shape: IntensityShape) -> Intensity:
    return Intensity(shape.restarts, timedelta(seconds=shape.period_s))


def _backoff(group: Group) -> Backoff:
    if group.backoff is None:
        return Backoff()
    return Backoff(
        timedelta(seconds=group.backoff.first_s), timedelta(seconds=group.backoff.longest_s)
    )


def _quarantine(group: Group) -> dict[str, Any]:
    if group.quarantine is None:
        return {}
    return {
        "budgets": Budgets(crash=_intensity(group.quarantine)),
        "quarantine": timedelta(seconds=group.quarantine.for_s),
    }


def _shutdown(child: Child) -> timedelta | Shutdown | None:
    match child.shutdown:
        case None:
            return None
        case "brutal_kill":
            return Shutdown.BRUTAL_KILL
        case "infinity":
            return Shutdown.INFINITY
        case seconds:
            return timedelta(seconds=seconds)
