"""Agents as members of a team: how they come to it, and how they leave.

A team that starts may find its agents at work for themselves, as children of the agents'
supervisor: they leave it first, so that nobody has two supervisors. What they were doing goes on in
the team, from the last commit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Protocol
from uuid import UUID

from ...cluster.clock import Clock, SystemClock
from ...cluster.engine import ActorRef
from ...cluster.errors import AosError
from ...cluster.exits import Exit, ExitReason
from ...cluster.postgres import DatabaseUnavailable
from ...cluster.telemetry import logger
from ..children import NoCapacity, Running
from ..spec import ChildSpec, Restart
from ..state import Dismissed
from ..store import Activation, ActivationStore
from ..supervisor import Supervisor
from .store import KeeperStore

_LEAVE_SECONDS = 0.05
_REST_SECONDS = 5.0

log = logger(__name__)


class Process(Protocol):
    """Where an agent is active."""

    @property
    def ref(self) -> ActorRef:
        """The actor."""
        ...


class Agent(Running, Protocol):
    """An agent that was started."""

    @property
    def host(self) -> Process:
        """Where it is."""
        ...

    @property
    def activation(self) -> Activation:
        """At which epoch."""
        ...


class Agents(Protocol):
    """The starter of agents."""

    @property
    def active(self) -> Mapping[UUID, object]:
        """Who is there, whichever supervisor keeps it."""
        ...

    @property
    def adoptable(self) -> Mapping[UUID, object]:
        """Agents that live from before, and whom nobody has taken on yet."""
        ...

    async def start(self, spec: ChildSpec) -> Agent:
        """Activate the agent named in `args`, or adopt the one that lives."""
        ...

    async def progressed(self, spec: ChildSpec) -> bool:
        """Whether it had been useful."""
        ...

    def forget(self, agent_id: UUID) -> None:
        """Its epoch was raised: what is remembered of it is not current."""
        ...


class Member:
    """An agent in a team."""

    def __init__(
        self, agent: Agent, spec: ChildSpec, agents: Agents, activations: ActivationStore
    ) -> None:
        self._agent, self._agents, self._activations = agent, agents, activations
        self._comes_back = spec.restart is not Restart.TEMPORARY

    def wake(self) -> None:
        """It has a new run."""
        self._agent.host.ref.tell("wake")

    async def watch(self) -> Exit:
        """Return when it has ended. One that does not come back by itself, and has nothing to do,
        is passive then: its next start must not begin before that is written.
        """
        exit_ = await self._agent.watch()
        if exit_.reason.intended or not self._comes_back:
            await self._rest()
        return exit_

    async def stop(self, seconds: float | None) -> None:
        """End it. What it had not finished is finished by a later activation."""
        self._comes_back = False
        await self._agent.stop(seconds)

    async def describe(self) -> dict[str, Any]:
        """What the agent says."""
        return await self._agent.describe()

    async def _rest(self) -> None:
        activation = self._agent.activation
        try:
            async with asyncio.timeout(_REST_SECONDS):
                await self._activations.passivate(activation.agent_id, activation.epoch)
        except (AosError, TimeoutError) as error:
            log.info("not shown as passive", agent=str(activation.agent_id), error=repr(error))
        self._agents.forget(activation.agent_id)


class Done:
    """A member who was started and finds that there is nothing left to do."""

    async def watch(self) -> Exit:
        """It has ended as intended."""
        return Exit(ExitReason.NORMAL, "its goal is reached")

    async def stop(self, seconds: float | None) -> None:
        """There is nothing to end."""

    async def describe(self) -> dict[str, Any]:
        """There is nothing to show."""
        return {"kind": "agent"}


class MemberStarter:
    """Starts members. `singles` is the supervisor of the agents that are nobody's members."""

    def __init__(
        self,
        agents: Agents,
        singles: Supervisor[Running],
        store: KeeperStore,
        activations: ActivationStore,
        clock: Clock | None = None,
    ) -> None:
        self._agents, self._singles = agents, singles
        self._store, self._activations = store, activations
        self._clock = clock or SystemClock()

    async def start(self, spec: ChildSpec) -> Member | Done:
        """The member at work. Without Postgres nobody can be activated; that is not the member's
        fault and does not count: `NoCapacity`.
        """
        agent_id = UUID(spec.args["agent_id"])
        try:
            if await self._is_done(agent_id, spec):
                return Done()
            await self._freed(agent_id)
            agent = await self._agents.start(spec)
        except DatabaseUnavailable as error:
            raise NoCapacity(f"Postgres cannot be reached: {error.detail}") from None
        return Member(agent, spec, self._agents, self._activations)

    async def progressed(self, spec: ChildSpec) -> bool:
        """As for any agent."""
        return await self._agents.progressed(spec)

    async def _is_done(self, agent_id: UUID, spec: ChildSpec) -> bool:
        """Whether its goal is reached. One that is still there says so itself, by ending."""
        if spec.restart is Restart.PERMANENT or not spec.args["goal"]:
            return False
        return agent_id not in self._agents.adoptable and await self._store.is_done(agent_id)

    async def _freed(self, agent_id: UUID) -> None:
        """Return when no other supervisor keeps the agent."""
        child = str(agent_id)
        while child in self._singles.state.children or agent_id in self._agents.active:
            self._singles.tell(Dismissed(child))
            await self._clock.sleep(_LEAVE_SECONDS)
