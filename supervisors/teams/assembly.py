"""The keeper of teams with all that it needs, put together."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from ...cluster.postgres import Database
from ..children import Running
from ..liveness import Patience
from ..service_child import ServiceStarter
from ..store import ActivationStore
from ..supervisor import Supervisor
from ..tree import AGENTS
from .errors import TeamsNotKnown
from .keeper import RecorderOfTenant, TeamKeeper
from .members import Agents, MemberStarter
from .specs import AGENT, SERVICE
from .store import KeeperStore


class TeamsOfAgents(TeamKeeper):
    """Teams whose members are activated by `agents`, and whose other agents are children of
    `singles`, as the teams are. `epoch`: that of the supervisor process, which fences what it says.
    """

    def __init__(
        self,
        database: Database,
        epoch: int,
        agents: Agents,
        activations: ActivationStore,
        singles: Supervisor[Running],
        *,
        record: RecorderOfTenant,
        patience: Patience,
    ) -> None:
        store = KeeperStore(database, AGENTS, epoch)
        self._services = ServiceStarter(patience)
        members = MemberStarter(agents, singles, store, activations)
        super().__init__(store, singles, {AGENT: members, SERVICE: self._services}, record)

    async def close(self) -> None:
        """Stop the services, which end with this process: they may have something to put away."""
        await self._services.close()


class TeamCalls:
    """What the door may ask of the actor that keeps the teams, once it does."""

    _teams: TeamsOfAgents | None = None

    @property
    def teams(self) -> TeamsOfAgents:
        """The teams. Raises `TeamsNotKnown` while this process is still finding out."""
        if self._teams is None:
            raise TeamsNotKnown
        return self._teams

    @teams.setter
    def teams(self, teams: TeamsOfAgents) -> None:
        self._teams = teams

    async def poke_teams(self) -> None:
        """Somebody changed a team's row."""
        self.teams.poke()

    async def team(self, team_id: str) -> dict[str, Any] | None:
        """How a team and its children stand; None if it is not there."""
        return await self.teams.describe(UUID(team_id))

    async def administer(self, team_id: str, child: str, verb: str) -> None:
        """Terminate, restart or release a child of a team; see `TeamKeeper.administer`."""
        await self.teams.administer(UUID(team_id), child, verb)
