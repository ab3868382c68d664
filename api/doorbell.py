"""The supervisors, as the door knows them: a bell to ring and a tree to look at.

Ringing is a hint. A run that was committed is found by the rescuer whether anybody rang or not, so
a lost ring delays a run and never loses it, and no request waits for a supervisor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from .errors import NotReady


class Doorbell(Protocol):
    """What the door asks of whoever keeps the agents alive."""

    def ring(self, tenant: str, agent_id: UUID) -> None:
        """An agent has a new run. Returns at once and never raises."""
        ...

    async def tree(self) -> dict[str, Any]:
        """The supervision tree. Raises an `AosError` if it cannot be had within two seconds."""
        ...

    async def release(self, tenant: str, agent_id: UUID) -> None:
        """End an agent's quarantine. Raises the supervisor's `RequestRefused`; another `AosError`
        if the supervisor cannot be had.
        """
        ...

    async def resources(self) -> dict[str, float]:
        """Total resources of the cluster. Raises an `AosError` if they cannot be had."""
        ...

    async def retain(self) -> bool:
        """Have old runs removed now. False: there is no policy. Raises `NotReady`."""
        ...

    def ring_teams(self) -> None:
        """A team's row has changed. Returns at once and never raises."""
        ...

    async def team(self, team_id: UUID) -> dict[str, Any] | None:
        """How a team and its children stand; None if it is not there. Raises `NotReady`."""
        ...

    async def administer(self, team_id: UUID, child: str, verb: str) -> None:
        """Have a child of a team terminated, restarted or released. Raises `NotReady`, or why it is
        refused.
        """
        ...

    async def unusable(self, service: str, args: Mapping[str, Any]) -> str | None:
        """Why a class cannot be a service with these arguments, if it cannot. It is imported where
        services run, never here. Raises `NotReady`.
        """
        ...

    async def close(self) -> None:
        """Forget rings that are still under way."""
        ...


class Unattended:
    """Nobody is there: runs are accepted, and wait for supervisors to come up and find them."""

    def ring(self, tenant: str, agent_id: UUID) -> None:
        """Nobody hears it."""

    async def tree(self) -> dict[str, Any]:
        """There is none. Raises `NotReady`."""
        raise NotReady("no supervisor is attached to this HTTP front")

    async def release(self, tenant: str, agent_id: UUID) -> None:
        """There is nobody who could. Raises `NotReady`."""
        raise NotReady("no supervisor is attached to this HTTP front")

    async def resources(self) -> dict[str, float]:
        """There is no cluster. Raises `NotReady`."""
        raise NotReady("this HTTP front is not part of a cluster")

    async def retain(self) -> bool:
        """There is nobody who could. Raises `NotReady`."""
        raise NotReady("no supervisor is attached to this HTTP front")

    def ring_teams(self) -> None:
        """Nobody hears it."""

    async def team(self, team_id: UUID) -> dict[str, Any] | None:
        """Nobody knows. Raises `NotReady`."""
        raise NotReady("no supervisor is attached to this HTTP front")

    async def administer(self, team_id: UUID, child: str, verb: str) -> None:
        """Nobody does it. Raises `NotReady`."""
        raise NotReady("no supervisor is attached to this HTTP front")

    async def unusable(self, service: str, args: Mapping[str, Any]) -> str | None:
        """There is no cluster to try it in. Raises `NotReady`."""
        raise NotReady("this HTTP front is not part of a cluster")

    async def close(self) -> None:
        """Nothing is under way."""
