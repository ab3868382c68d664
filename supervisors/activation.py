"""From a registered agent to one that is there: a process, a higher epoch, an identity.

Whoever activates compares and sets the epoch that was seen, and never overwrites a winner. The
order matters: the epoch is raised before the process learns who it is, so that from the first
moment of the new activation nothing of the old one can be written.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any
from uuid import UUID

from ..cluster import faults
from ..cluster.engine import ActorOptions, describe
from ..cluster.errors import AosError
from ..cluster.exits import Exit, ExitReason
from ..cluster.postgres import DatabaseUnavailable
from ..cluster.telemetry import logger
from ..skills.contracts import Dedicated
from .children import NoCapacity
from .hosts.access import Host, Managers
from .spec import ChildSpec, Restart
from .store import Activation, ActivationStore, AgentFacts

_ACTIVATE_SECONDS = 5.0
_DRAIN_SECONDS = 10.0

log = logger(__name__)


class ActiveAgent:
    """An agent in its host: what a supervisor keeps alive."""

    def __init__(self, host: Host, activation: Activation, facts: AgentFacts) -> None:
        self.host, self.activation, self.facts = host, activation, facts
        self._left: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    async def watch(self) -> Exit:
        """Return when the agent has left its process, or the process has ended."""
        dying = asyncio.ensure_future(self.host.watch())
        try:
            await asyncio.wait({dying, self._left}, return_when=asyncio.FIRST_COMPLETED)
            if self._left.done():
                return self._left.result()
            exit_ = dying.result()
        finally:
            dying.cancel()
        if exit_.reason is ExitReason.KILLED:
            return await self.host.why() or exit_
        return exit_

    def left(self, exit_: Exit) -> None:
        """It is this agent no more, whatever becomes of the process."""
        if not self._left.done():
            self._left.set_result(exit_)

    async def stop(self, seconds: float | None) -> None:
        """Let the steps under way come to their end for so long, then end the process: what is
        committed is in the journal.
        """
        patience = _DRAIN_SECONDS if seconds is None else seconds
        if patience > 0:
            with suppress(AosError):  # it is ended either way
                await self.host.ref.call("drain", patience, timeout=patience + 1.0)
        self.host.ref.kill()

    async def describe(self) -> dict[str, Any]:
        """Who it is, where, and at which epoch."""
        return {
            "kind": "agent",
            "agent_id": str(self.activation.agent_id),
            "name": self.facts.name,
            "tenant": self.activation.tenant,
            "pid": self.host.pid,
            "epoch": self.activation.epoch,
            "since": self.activation.since.isoformat(),
        }


class Activator:
    """The starter of agents. `active` is who is there by agent, whichever supervisor keeps it."""

    def __init__(self, store: ActivationStore, managers: Managers) -> None:
        self.active: dict[UUID, ActiveAgent] = {}
        self.adoptable: dict[UUID, tuple[Host, Activation]] = {}
        self._store, self._managers = store, managers
        self._facts: dict[UUID, AgentFacts] = {}

    async def start(self, spec: ChildSpec) -> ActiveAgent:
        """Adopt the agent if it lives from before, else activate it anew. While Postgres is away it
        waits as it does for a machine: an outage is nobody's failure, and must not count as one.
        """
        try:
            return await self._start(UUID(spec.args["agent_id"]), spec)
        except DatabaseUnavailable as error:
            raise NoCapacity("waits for Postgres") from error

    async def _start(self, agent_id: UUID, spec: ChildSpec) -> ActiveAgent:
        facts = self._facts.pop(agent_id, None) or await self._store.facts(agent_id)
        if (alive := self.adoptable.pop(agent_id, None)) is not None:
            agent = ActiveAgent(*alive, facts)
        else:
            agent = await self._activate(agent_id, facts, spec)
        # What is compared with at the next start, unless somebody else gets in between.
        self._facts[agent_id] = replace(facts, epoch=agent.activation.epoch)
        self.active[agent_id] = agent
        return agent

    async def progressed(self, spec: ChildSpec) -> bool:
        """Whether the activation that just ended had committed an outcome."""
        agent = self.active.pop(UUID(spec.args["agent_id"]), None)
        if agent is None:
            return False
        try:
            activation = agent.activation
            return await self._store.progressed(activation.agent_id, activation.epoch)
        except DatabaseUnavailable:
            return True  # an outage is nobody's fault: do not count against the agent

    def epoch_of(self, child: str) -> int | None:
        """The epoch of a child's last activation, if it is an agent that was activated here and
        was not made passive since.
        """
        try:
            facts = self._facts.get(UUID(child))
        except ValueError:
            return None
        return None if facts is None else facts.epoch

    def forget(self, agent_id: UUID) -> None:
        """The agent was made passive, which raised its epoch: what we know of it is not current."""
        self._facts.pop(agent_id, None)

    async def _activate(self, agent_id: UUID, facts: AgentFacts, spec: ChildSpec) -> ActiveAgent:
        options = None if facts.dedicated is None else _options(facts, facts.dedicated)
        if options is not None and (lacking := options.missing()):
            raise NoCapacity(f"needs {describe(lacking)}; no machine has it")
        began = time.monotonic()
        host = await self._managers.take(facts.tenant, options)
        try:
            faults.point("supervisor.activating")
            activation = await self._store.activate(
                agent_id, host.ref.name, host.pid, host.node, seen=facts.epoch
            )
            leaves = spec.restart is not Restart.PERMANENT and spec.id != str(agent_id)
            await host.ref.call(
                "activate", str(agent_id), activation.tenant, activation.epoch, leaves,
                facts.name, timeout=_ACTIVATE_SECONDS,
            )  # fmt: skip
        except BaseException:
            host.ref.kill()
            raise
        took_ms = round(1000 * (time.monotonic() - began), 2)
        log.debug("activated", agent_id=str(agent_id), host=host.ref.name, took_ms=took_ms)
        return ActiveAgent(host, activation, facts)


def _options(facts: AgentFacts, dedicated: Dedicated) -> ActorOptions:
    """A named actor of its own. The name is new at each epoch: that of a dead actor stays taken."""
    return ActorOptions(
        name=f"agent:{facts.tenant}/{facts.name}@{facts.epoch + 1}",
        cpus=dedicated.cpus,
        gpus=dedicated.gpus,
        memory_bytes=dedicated.memory_mb * 2**20,
        resources=tuple(sorted(dedicated.resources.items())),
        detached=False,
    )
