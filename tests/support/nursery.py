"""Children without processes: started, watched and stopped at the test's word."""

from __future__ import annotations

import asyncio
from typing import Any

from aos.cluster.clock import VirtualClock
from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.restart import Report
from aos.supervisors.spec import ChildSpec, SupervisorSpec
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

    async def stop(self, seconds: float) -> None:
        """As a `Running`. A stubborn child does not end by itself."""
        self._nursery.log.append(f"stop {self.spec.id}")
        self._nursery.shutdowns[self.spec.id] = seconds
        if self.spec.id not in self._nursery.stubborn and not self.exit.done():
            self.exit.set_result(Exit(ExitReason.SHUTDOWN))

    async def describe(self) -> dict[str, Any]:
        """As a `Running`."""
        return {"pid": self.number}


class Nursery:
    """A `Starter`, and the supervisor that uses it. `log` is what was asked of it, in order."""

    def __init__(self, *children: ChildSpec, **fields: Any) -> None:
        self.log: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}
        self.failures: dict[str, list[Exception]] = {}
        self.stubborn: set[str] = set()
        self.shutdowns: dict[str, float] = {}
        self.progress: dict[str, bool | Exception] = {}
        self.children: list[FakeChild] = []
        self.reports: list[tuple[str, Report]] = []
        self.clock = VirtualClock(START)
        self.supervisor: Supervisor[FakeChild] = Supervisor(
            SupervisorSpec("tree", children, **fields), self, self._record, self.clock
        )

    def _record(self, supervisor: str, report: Report) -> None:
        self.reports.append((supervisor, report))

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """What was recorded: child, kind, reason."""
        return [(report.child, report.kind, report.reason) for _, report in self.reports]

    def gate(self, *names: str) -> None:
        """Starts of these children do not return before `open`."""
        for name in names:
            self.gates[name] = asyncio.Event()

    async def open(self, name: str) -> None:
        """Let a start return."""
        self.gates.pop(name).set()
        await self.settled()

    async def begin(self) -> asyncio.Task[None]:
        """Run the supervisor until nothing moves any more."""
        # What a task dies of is for the test to see by its consequences, not for the log.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        self.task = asyncio.create_task(self.supervisor.run())
        await self.settled()
        return self.task

    async def settled(self) -> None:
        """Return when everything that can happen without time passing has happened."""
        for _ in range(60):
            await asyncio.sleep(0)

    async def later(self, seconds: float) -> None:
        """Let time pass, and everything happen that comes of it."""
        await self.clock.advance(seconds)
        await self.settled()

    async def kill(self, name: str, reason: ExitReason = ExitReason.CRASH) -> None:
        """A child ends by itself."""
        self.supervisor.running[name].exit.set_result(Exit(reason, "detail"))
        await self.settled()

    # the seam

    async def start(self, spec: ChildSpec) -> FakeChild:
        """As a `Starter`."""
        self.log.append(f"start {spec.id}")
        if spec.id in self.gates:
            await self.gates[spec.id].wait()
        if self.failures.get(spec.id):
            raise self.failures[spec.id].pop(0)
        child = FakeChild(self, spec, len(self.children) + 1)
        self.children.append(child)
        return child

    async def progressed(self, spec: ChildSpec) -> bool:
        """As a `Starter`."""
        answer = self.progress.get(spec.id, False)
        if isinstance(answer, Exception):
            raise answer
        return answer
