"""From a registered agent to one that is there: a process, a higher epoch, its identity."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from ..cluster import faults
from ..cluster.engine import ActorRef
from ..cluster.exits import Exit
from ..cluster.postgres import DatabaseUnavailable
from .hosts import Host, take_host
from .spec import ChildSpec, Restart
from .store import Activation, ActivationStore

_ACTIVATE_SECONDS = 5.0


class ActiveAgent:
    """An agent in its host: what the supervisor keeps alive. `leaves`: it is a member that ends
    when its work is done.
    """

    def __init__(self, host: Host, activation: Activation, *, leaves: bool = False) -> None:
        self.host, self.activation, self.leaves = host, activation, leaves
        self._left: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    async def watch(self) -> Exit:
        """Return when the agent has left its process, or the process has ended."""
        dying = asyncio.ensure_future(self.host.watch())
        try:
            await asyncio.wait({dying, self._left}, return_when=asyncio.FIRST_COMPLETED)
            return self._left.result() if self._left.done() else dying.result()
        finally:
            dying.cancel()

    def left(self, exit_: Exit) -> None:
        """It is this agent no more, whatever becomes of the process."""
        if not self._left.done():
            self._left.set_result(exit_)

    async def stop(self, seconds: float | None) -> None:
        """End the process: what matters is in the journal, so there is nothing to wait for."""
        del seconds
        self.host.ref.kill()

    async def describe(self) -> dict[str, Any]:
        """Epoch and process."""
        return {"pid": self.host.pid, "epoch": self.activation.epoch, "kind": "agent"}


class Activator:
    """Starts agents: a host, a higher epoch, and the identity handed over. `active` is who is there
    by agent, whichever supervisor keeps it.
    """

    def __init__(self, store: ActivationStore) -> None:
        self._store = store
        self.active: dict[UUID, ActiveAgent] = {}
        self.adoptable: dict[UUID, tuple[Host, Activation]] = {}
        self._epochs: dict[UUID, int] = {}
        self._manager: ActorRef | None = None

    async def start(self, spec: ChildSpec) -> ActiveAgent:
        """Adopt the agent if it lives from before, else activate it anew."""
        agent_id = UUID(spec.args["agent_id"])
        alive = self.adoptable.pop(agent_id, None)
        host, activation = alive or await self._activate(agent_id)
        self._epochs[agent_id] = activation.epoch
        leaves = spec.restart is not Restart.PERMANENT and spec.id != str(agent_id)
        agent = ActiveAgent(host, activation, leaves=leaves)
        self.active[agent_id] = agent
        return agent

    def forget(self, agent_id: UUID) -> None:
        """The agent was made passive, which raised its epoch: the one we knew is not current."""
        self._epochs.pop(agent_id, None)

    async def progressed(self, spec: ChildSpec) -> bool:
        """Whether the last activation committed an outcome."""
        agent = self.active.pop(UUID(spec.args["agent_id"]), None)
        if agent is None:
            return False
        try:
            activation = agent.activation
            return await self._store.progressed(activation.agent_id, activation.epoch)
        except DatabaseUnavailable:
            return True  # an outage is nobody's fault: do not count against the agent

    async def _activate(self, agent_id: UUID) -> tuple[Host, Activation]:
        host, self._manager = await take_host(self._manager)
        try:
            faults.point("supervisor.activating")
            seen = self._epochs.pop(agent_id, None)
            activation = await self._store.activate(
                agent_id, host.ref.name, host.pid, host.node, seen=seen
            )
            await host.ref.call(
                "activate",
                str(agent_id),
                activation.tenant,
                activation.epoch,
                timeout=_ACTIVATE_SECONDS,
            )
        except BaseException:
            host.ref.kill()
            raise
        return host, activation
