"""Children without processes: started, watched and stopped at the test's word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from aos.cluster.clock import VirtualClock
from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.spec import ChildSpec, SupervisorSpec
from aos.supervisors.state import Report
from aos.supervisors.supervisor import Supervisor

from .supervision import START


class FakeChild:
    """A child that lives until the test, or its supervisor, ends it."""

    def __init__(self, nursery: Nursery, spec: ChildSpec, number: int) -> None:
        self.spec, self.number, self._nursery = spec, number, nursery
        self.exit: asyncio.Future[Exit] = asyncio.get_running_loop().create_future()

    async def watch(self) -> Exit:
        """As a `Running`."""
        return await asyncio.shield(self.exit)  # who watches no more does not end it

    async def stop(self, seconds: float | None) -> None:
        """As a `Running`. A stubborn child does not end; its stop may hang, or fail, as well."""
        name = self.spec.id
        self._nursery.log.append(f"stop {name}")
        self._nursery.patience[name] = seconds
        if (trouble := self._nursery.stubborn.get(name)) is not None:
            return await trouble()
        if not self.exit.done():
            self.exit.set_result(Exit(ExitReason.SHUTDOWN))
        return None

    async def describe(self) -> dict[str, Any]:
        """As a `Running`."""
        return {"pid": self.number}


async def does_nothing() -> None:
    """A stop that is not obeyed."""


async def hangs() -> None:
    """A stop that does not return."""
    await asyncio.Event().wait()


async def fails() -> None:
    """A stop that cannot be had."""
    raise OSError("the actor does not answer")


class NestedChild:
    """A supervisor as a child of another, in the same process."""

    def __init__(self, supervisor: Supervisor[FakeChild | NestedChild]) -> None:
        self.supervisor = supervisor
        self._task = asyncio.create_task(supervisor.run())

    async def up(self) -> None:
        """Return when its children are; raise what it ended with instead."""
        booted = asyncio.create_task(self.supervisor.booted.wait())
        try:
            await asyncio.wait({booted, self._task}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # it may have ended of the last start
            if self._task.done():
                raise RuntimeError((await self._task).detail)
        finally:
            booted.cancel()

    async def watch(self) -> Exit:
        """As a `Running`."""
        return await asyncio.shield(self._task)

    async def stop(self, seconds: float | None) -> None:
        """As a `Running`."""
        assert seconds is None, "a supervisor has all the time it needs"
        await self.supervisor.stop()

    async def describe(self) -> dict[str, Any]:
        """As a `Running`."""
        return {"children": await self.supervisor.describe()}


class Nursery:
    """A `Starter`, and the supervisor that uses it. `log` is what was asked of it, in order."""

    def __init__(self, *children: ChildSpec, clock: VirtualClock | None = None, **fields: Any):
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failures: dict[str, list[BaseException]] = {}
        self.stubborn: dict[str, Callable[[], Any]] = {}
        self.patience: dict[str, float | None] = {}
        self.progress: dict[str, bool | Exception] = {}
        self.children: list[FakeChild] = []
        self.reports: list[tuple[str, Report]] = []
        self.clock = clock or VirtualClock(START)
        self.supervisor = self._made(SupervisorSpec("tree", children, **fields))
        self.task: asyncio.Task[Exit]

    def _made(self, spec: SupervisorSpec) -> Supervisor[FakeChild | NestedChild]:
        return Supervisor(spec, self, self._record, self.clock)

    def _record(self, supervisor: str, report: Report) -> None:
        self.reports.append((supervisor, report))

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """What was recorded: child, kind, reason."""
        return [(report.child, report.kind, report.reason) for _, report in self.reports]

    @property
    def phases(self) -> dict[str, str]:
        """Where the children stand."""
        return {name: each.phase.value for name, each in self.supervisor.state.children.items()}

    def gate(self, *names: str) -> None:
        """Starts of these children do not return before `open`."""
        for name in names:
            self.gates[name] = asyncio.Event()

    async def open(self, name: str) -> None:
        """Let a start return."""
        self.gates.pop(name).set()
        await self.settled()

    async def begin(self) -> Nursery:
        """Run the supervisor until nothing moves any more."""
        self.task = asyncio.create_task(self.supervisor.run())
        await self.settled()
        return self

    async def settled(self) -> None:
        """Return when everything that can happen without time passing has happened."""
        for _ in range(60):
            await asyncio.sleep(0)

    async def later(self, seconds: float) -> None:
        """Let time pass, and everything happen that comes of it."""
        await self.clock.advance(seconds)
        await self.settled()

    def dies(self, name: str, reason: ExitReason = ExitReason.CRASH) -> None:
        """A child ends by itself; nobody has noticed yet."""
        child = [each for each in self.children if each.spec.id == name][-1]
        child.exit.set_result(Exit(reason, "detail"))

    async def kill(self, name: str, reason: ExitReason = ExitReason.CRASH) -> None:
        """A child ends by itself, and everything happens that comes of it."""
        self.dies(name, reason)
        await self.settled()

    # the seam

    async def start(self, spec: ChildSpec) -> FakeChild | NestedChild:
        """As a `Starter`."""
        self.log.append(f"start {spec.id}")
        try:
            if spec.id in self.gates:
                await self.gates[spec.id].wait()
        except asyncio.CancelledError:
            self.log.append(f"cancelled {spec.id}")
            raise
        if self.failures.get(spec.id):
            raise self.failures[spec.id].pop(0)
        if (below := spec.args.get("supervisor")) is not None:
            nested = NestedChild(self._made(below))
            await nested.up()
            return nested
        child = FakeChild(self, spec, len(self.children) + 1)
        self.children.append(child)
        return child

    async def progressed(self, spec: ChildSpec) -> bool:
        """As a `Starter`."""
        answer = self.progress.get(spec.id, False)
        if isinstance(answer, Exception):
            raise answer
        return answer


Begin = Callable[[Nursery], Awaitable[Nursery]]
"""The fixture `begin`."""
