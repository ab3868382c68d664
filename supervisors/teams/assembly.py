"""The keeper of teams with all that it needs, put together."""

from __future__ import annotations

from ...cluster.postgres import Database
from ..children import Running
from ..liveness import Patience
from ..service_child import ServiceStarter
from ..store import ActivationStore
from ..supervisor import Recorder, Supervisor
from ..tree import AGENTS
from .keeper import TeamKeeper
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
        record: Recorder,
        patience: Patience,
    ) -> None:
        store = KeeperStore(database, AGENTS, epoch)
        self._services = ServiceStarter(patience)
        members = MemberStarter(agents, singles, store, activations)
        super().__init__(store, singles, {AGENT: members, SERVICE: self._services}, record)

    async def close(self) -> None:
        """Stop the services, which end with this process: they may have something to put away."""
        await self._services.close()
