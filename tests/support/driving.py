"""A driver's world without Ray and Postgres: calls are scripted, commits are only noted down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from aos.actors.driver import Environment, RunDriver
from aos.actors.outputs import Outputs
from aos.actors.runs.events import Event, StepIntended, StepSettled
from aos.actors.runs.fold import fold
from aos.actors.runs.journal import Append
from aos.actors.runs.state import RunState
from aos.cluster.clock import VirtualClock
from aos.skills.call import SkillCall
from aos.skills.contracts import Effects, JsonValue, SkillDescriptor, StructuredOutcome

from .catalogue import SMALL
from .runs import RUN, START, ok, submitted

Reply = StructuredOutcome | Exception | Callable[[SkillCall], StructuredOutcome]


def named(event: Event) -> str:
    """An event in a word or two: `settled a`, `intended pay`, `run_started`."""
    match event:
        case StepSettled(step_id=step_id):
            return f"settled {step_id}"
        case StepIntended(step_id=step_id):
            return f"intended {step_id}"
        case _:
            return event.kind


def planning(*steps: dict[str, Any], answer: JsonValue = "done", **fields: Any) -> JsonValue:
    """A planner's output. A step is given as `{"id": …, "skill": …}`."""
    return {"steps": list(steps), "answer": answer, **fields}


class World:
    """What a driver works with, and what it did, in order: `calls a`, `commits […]`.

    A step is answered by what `replies` has for it, call by call; without a reply it stays under
    way until `answer`. `fenced` makes every commit fail.
    """

    def __init__(
        self,
        *steps: dict[str, Any],
        answer: JsonValue = "done",
        plan_outcome: StructuredOutcome | None = None,
        **fields: Any,
    ) -> None:
        self.clock = VirtualClock(START)
        self.log: list[tuple[Any, ...]] = []
        self.replies: dict[str, list[Reply]] = {
            "plan": [plan_outcome or ok(planning(*steps, answer=answer))]
        }
        self.calls: dict[str, list[SkillCall]] = {}
        self.effects: dict[str, Effects] = {}
        self.cancelled: list[str] = []
        self.events: list[Event] = [submitted(**fields)]
        self.blobs: dict[str, bytes] = {}
        self.loads: list[str] = []
        self.fenced: Exception | None = None
        self.epoch = 1
        self.threshold = 1_024
        self.catalogue = dict(SMALL)
        self._waiting: dict[str, asyncio.Future[StructuredOutcome]] = {}
        self._drive: asyncio.Task[RunState] | None = None

    @property
    def commits(self) -> list[list[str]]:
        """What was committed together, commit by commit."""
        return [entry[1] for entry in self.log if entry[0] == "commits"]

    @property
    def state(self) -> RunState:
        """What the journal on disk says."""
        return fold(RUN, self.events)

    def begin(self) -> asyncio.Task[RunState]:
        """Let a driver take the run up from its journal."""
        environment = Environment(
            tenant="default", epoch=self.epoch, catalog=self.catalogue, call=self, journal=self,
            outputs=Outputs(self.load), clock=self.clock, blob_threshold=self.threshold,
        )  # fmt: skip
        # What a call's task dies of is for the test to see by its consequences, not for the log.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        driver = RunDriver(self.state, environment, wary=self.epoch > 1)  # as the agent does
        self._drive = asyncio.create_task(driver.drive())
        return self._drive

    async def drive(self) -> RunState:
        """Drive the run until it has ended, or nothing moves any more."""
        drive = self.begin()
        await self.settled()
        if not drive.done():
            drive.cancel()
            raise AssertionError(f"the run stands still after {self.log}")
        return drive.result()

    async def crash(self) -> None:
        """The driver's process dies; the next activation has the next epoch."""
        assert self._drive is not None
        self._drive.cancel()
        await asyncio.wait([self._drive])
        self.epoch += 1
        self._waiting.clear()

    async def settled(self) -> None:
        """Return when everything that can happen without time passing has happened."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def later(self, seconds: float) -> None:
        """Let time pass, and everything happen that comes of it."""
        await self.clock.advance(seconds)
        await self.settled()

    async def answer(self, step_id: str, outcome: StructuredOutcome) -> None:
        """A call that is under way ends."""
        self._waiting.pop(step_id).set_result(outcome)
        await self.settled()

    # the seams

    async def __call__(
        self, call: SkillCall, descriptor: SkillDescriptor, effects: Effects
    ) -> StructuredOutcome:
        """As a `Caller`."""
        self.log.append(("calls", call.step_id))
        self.calls.setdefault(call.step_id, []).append(call)
        self.effects[call.step_id] = effects
        assert call.skill == descriptor.name
        try:
            if self.replies.get(call.step_id):
                return self._reply(call)
            waiting = asyncio.get_running_loop().create_future()
            self._waiting[call.step_id] = waiting
            return await waiting
        except asyncio.CancelledError:
            self.cancelled.append(call.step_id)
            raise

    def _reply(self, call: SkillCall) -> StructuredOutcome:
        reply = self.replies[call.step_id].pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, StructuredOutcome) else reply(call)

    async def append(self, batch: Append) -> None:
        """As an `Appender`."""
        await asyncio.sleep(0)
        if self.fenced is not None:
            raise self.fenced
        self.log.append(("commits", [named(event) for event in batch.events]))
        assert batch.first_seq == len(self.events) + 1
        assert batch.state.seq == len(self.events) + len(batch.events)
        self.events += batch.events
        self.blobs |= batch.blobs

    async def load(self, run_id: UUID, digest: str) -> JsonValue:
        """As the blobs' table."""
        assert run_id == RUN
        self.loads.append(digest)
        return json.loads(self.blobs[digest])
