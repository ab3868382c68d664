"""`client.teams`, for both clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from . import team_calls as calls
from .team_models import TeamPage, TeamView

if TYPE_CHECKING:
    from .asynchronous import AsyncAosClient
    from .synchronous import AosClient


class Teams:
    """Teams, for code that waits."""

    def __init__(self, client: AosClient) -> None:
        self._client = client

    def create(self, declaration: str | Mapping[str, Any]) -> TeamView:
        """Make a team of a declaration: YAML or JSON text, or a mapping. The same again changes
        nothing.
        """
        return self._client.send(calls.create_team(declaration))

    def get(self, id_or_name: UUID | str) -> TeamView:
        """One team, with how its children stand."""
        return self._client.send(calls.get_team(id_or_name))

    def list(self, *, cursor: str | None = None, limit: int = 50) -> TeamPage:
        """A page of teams, oldest first."""
        return self._client.send(calls.list_teams(cursor, limit))

    def start(self, id_or_name: UUID | str) -> TeamView:
        """Have a team run again that was stopped or has ended; end its quarantine, if it is in
        one.
        """
        return self._client.send(calls.turn_team(id_or_name, "start"))

    def stop(self, id_or_name: UUID | str) -> TeamView:
        """Have a team stopped. Its agents are then served like any other."""
        return self._client.send(calls.turn_team(id_or_name, "stop"))

    def delete(self, id_or_name: UUID | str) -> TeamView:
        """Have a team stopped and forgotten. Its agents and their runs stay."""
        return self._client.send(calls.delete_team(id_or_name))

    def terminate(self, id_or_name: UUID | str, child: str) -> TeamView:
        """Stop a child; it stays stopped until it is restarted, or its team is."""
        return self._client.send(calls.administer_child(id_or_name, child, "terminate"))

    def restart(self, id_or_name: UUID | str, child: str) -> TeamView:
        """Start a child that is stopped."""
        return self._client.send(calls.administer_child(id_or_name, child, "restart"))

    def release(self, id_or_name: UUID | str, child: str) -> TeamView:
        """End a child's quarantine."""
        return self._client.send(calls.administer_child(id_or_name, child, "release"))


class AsyncTeams:
    """Teams, for asyncio."""

    def __init__(self, client: AsyncAosClient) -> None:
        self._client = client

    async def create(self, declaration: str | Mapping[str, Any]) -> TeamView:
        """As `Teams.create`."""
        return await self._client.send(calls.create_team(declaration))

    async def get(self, id_or_name: UUID | str) -> TeamView:
        """As `Teams.get`."""
        return await self._client.send(calls.get_team(id_or_name))

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> TeamPage:
        """As `Teams.list`."""
        return await self._client.send(calls.list_teams(cursor, limit))

    async def start(self, id_or_name: UUID | str) -> TeamView:
        """As `Teams.start`."""
        return await self._client.send(calls.turn_team(id_or_name, "start"))

    async def stop(self, id_or_name: UUID | str) -> TeamView:
        """As `Teams.stop`."""
        return await self._client.send(calls.turn_team(id_or_name, "stop"))

    async def delete(self, id_or_name: UUID | str) -> TeamView:
        """As `Teams.delete`."""
        return await self._client.send(calls.delete_team(id_or_name))

    async def terminate(self, id_or_name: UUID | str, child: str) -> TeamView:
        """As `Teams.terminate`."""
        return await self._client.send(calls.administer_child(id_or_name, child, "terminate"))

    async def restart(self, id_or_name: UUID | str, child: str) -> TeamView:
        """As `Teams.restart`."""
        return await self._client.send(calls.administer_child(id_or_name, child, "restart"))

    async def release(self, id_or_name: UUID | str, child: str) -> TeamView:
        """As `Teams.release`."""
        return await self._client.send(calls.administer_child(id_or_name, child, "release"))
