"""A supervisor as a child of another, in the same process.

Its exit is its own: `shutdown` when it gave up, was told to, or its significant children were done;
what that means is for the parent to decide, by the child's restart type. Cancelling whoever watches
it cancels the supervisor, which leaves its children alone: that is how a whole process stops
deciding without ending anybody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from ..cluster.clock import Clock
from ..cluster.exits import Exit, ExitReason
from .children import Running, Starter, explain
from .spec import ChildSpec, SupervisorSpec
from .supervisor import Recorder, Supervisor

_FORCE_SECONDS = 0.2
"""How often those that are left are killed again: they are told to stop one after the other."""


class NestedSupervisor:
    """A `Running` around a `Supervisor`. `about` is what a tree view shows of it beside its
    children. `ended` hears of an end that nobody asked for, before anybody who watches does.
    """

    def __init__(
        self,
        supervisor: Supervisor[Running],
        about: Mapping[str, Any] | None = None,
        ended: Callable[[Exit], None] | None = None,
    ) -> None:
        self.supervisor = supervisor
        self._about = about or {}
        self._ended = ended
        self._told_to_stop = False
        self._task: asyncio.Task[Exit] | None = None

    @classmethod
    async def start(cls, supervisor: Supervisor[Running]) -> NestedSupervisor:
        """A supervisor, booted."""
        nested = cls(supervisor)
        await nested.boot()
        return nested

    async def boot(self) -> None:
        """Start the static children in their order. Returns when all of them have been tried, or
        when the supervisor has ended over it. Cancelled, it stops those that were started.
        """
        self._task = asyncio.create_task(self._run())
        booted = asyncio.create_task(self.supervisor.booted.wait())
        try:
            await asyncio.wait({self._task, booted}, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            await self.stop(None)
            raise
        finally:
            booted.cancel()

    async def watch(self) -> Exit:
        """Return when the supervisor has ended."""
        assert self._task is not None, "watched before it was booted"  # noqa: S101
        return await self._task

    async def stop(self, seconds: float | None) -> None:
        """Stop the children in their order; after `seconds` kill those that are left."""
        self._told_to_stop = True
        stopping = asyncio.create_task(self.supervisor.stop())
        try:
            await asyncio.wait({stopping}, timeout=seconds)
            while not stopping.done():
                children = list(self.supervisor.running.values())
                await asyncio.gather(*(child.stop(0) for child in children), return_exceptions=True)
                await asyncio.wait({stopping}, timeout=_FORCE_SECONDS)
        finally:
            stopping.cancel()

    async def describe(self) -> dict[str, Any]:
        """Its strategy and its children."""
        return {
            "kind": "supervisor",
            "strategy": self.supervisor.state.spec.strategy.value,
            **self._about,
            "children": await self.supervisor.describe(),
        }

    async def _run(self) -> Exit:
        try:
            exit_ = await self.supervisor.run()
        except Exception as error:  # a bug of ours is this subtree's crash, and nobody else's
            exit_ = Exit(ExitReason.CRASH, explain(error))
        if self._ended is not None and not self._told_to_stop:
            self._ended(exit_)
        return exit_


class NestedStarter:
    """Starts supervisors whose specification is among the child's `args`, as `spec`. Their children
    are started by `starter`; `recorder` is asked for one for each of them.
    """

    def __init__(
        self,
        starter: Starter[Running],
        recorder: Callable[[SupervisorSpec], Recorder],
        clock: Clock | None = None,
    ) -> None:
        self._starter, self._recorder, self._clock = starter, recorder, clock

    async def start(self, spec: ChildSpec) -> NestedSupervisor:
        """The supervisor, booted."""
        nested = self.make(spec.args["spec"])
        await nested.boot()
        return nested

    def make(
        self,
        spec: SupervisorSpec,
        about: Mapping[str, Any] | None = None,
        ended: Callable[[Exit], None] | None = None,
    ) -> NestedSupervisor:
        """A supervisor that is still to be booted."""
        supervisor = Supervisor(spec, self._starter, self._recorder(spec), self._clock)
        return NestedSupervisor(supervisor, about, ended)

    async def progressed(self, spec: ChildSpec) -> bool:
        """A supervisor is judged by how long it lived: its children have their own successes."""
        del spec
        return False
