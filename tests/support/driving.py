"""A driver's world without Ray and Postgres: calls are scripted, commits are only noted down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any
from uuid import UUID

from aos.actors.driver import RunDriver
from aos.actors.environment import Environment
from aos.actors.lanes import Chain, HandedBack, Lane
from aos.actors.lanes.serving import resolved
from aos.actors.outputs import Outputs
from aos.actors.pace import Pace
from aos.actors.runs.chain import broken_at, chained, genesis
from aos.actors.runs.events import Event, ProgramRef, StepIntended, StepSettled, decode
from aos.actors.runs.fold import fold
from aos.actors.runs.journal import Append
from aos.actors.runs.mailbox import Message
from aos.actors.runs.queue import Found
from aos.actors.runs.references import UnresolvedReference
from aos.actors.runs.state import Phase, RunState, Step
from aos.cluster.clock import VirtualClock
from aos.skills.call import SkillCall
from aos.skills.contracts import Effects, JsonObject, JsonValue, SkillDescriptor, StructuredOutcome

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


class Family:
    """Children and programs of a run, noted down."""

    def __init__(self) -> None:
        self.spawned: list[tuple[str, JsonObject]] = []
        self.refusal: str | None = None
        self.answers: dict[str, JsonValue] = {}
        self.cancelled: list[str] = []
        self.told: list[UUID] = []
        self.sources: dict[str, str] = {}

    async def spawn(self, state: RunState, step: Step, params: JsonObject) -> str | None:
        """As `Children`."""
        self.spawned.append((step.spec.id, params))
        return self.refusal

    async def answer(self, child_run_id: str) -> JsonValue:
        """As `Children`."""
        return self.answers.get(child_run_id)

    async def cancel(self, state: RunState) -> None:
        """As `Children`."""
        self.cancelled += [
            step.wait.child_run_id
            for step in state.steps.values()
            if step.phase is Phase.WAITING and step.wait and step.wait.child_run_id
        ]

    async def tell_parent(self, state: RunState) -> None:
        """As `Children`."""
        self.told.append(state.run_id)

    async def source(self, tenant: str, program: ProgramRef) -> str | None:
        """As `Programs`."""
        return self.sources.get(program.hash)


class SharedProcess:
    """A process that goes on by itself, as `Lanes` offers them: every skill is said to be quick.
    `troubles` says what becomes of the next chains: after so many links it is handed back.
    """

    def __init__(self, world: World) -> None:
        self.pace = Pace()
        self.chains: list[list[str]] = []
        self.troubles: list[tuple[int, bool]] = []
        self._world = world
        for name in world.catalogue:
            self.pace.note(name, StructuredOutcome.success(None))

    async def run(
        self, lane: Lane, chain: Chain, descriptors: Sequence[SkillDescriptor]
    ) -> AsyncIterator[tuple[int, StructuredOutcome]]:
        """As `Shared`."""
        self.chains.append([link.call.step_id for link in chain.links])
        room, suspect = self.troubles.pop(0) if self.troubles else (len(chain.links), False)
        outputs: dict[str, JsonValue] = {}
        for index, (link, descriptor) in enumerate(zip(chain.links, descriptors, strict=True)):
            if not all(need in outputs for need in link.follows):
                continue
            if room == 0:
                raise HandedBack(suspect=suspect)
            room -= 1
            try:
                call = resolved(link, outputs)
            except UnresolvedReference as error:
                yield index, StructuredOutcome.failure("ERR_INVALID_REFERENCE", str(error))
                continue
            outcome = await self._world(call, descriptor, call.effects(descriptor))
            if outcome.ok:
                outputs[call.step_id] = outcome.output
            yield index, outcome


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
        self.rows = list(chained(genesis(RUN), 1, self.events))
        self.messages: list[Message] = []
        self.family = Family()
        self.halted: str | None = None
        self.blobs: dict[str, bytes] = {}
        self.loads: list[str] = []
        self.fenced: Exception | None = None
        self.epoch = 1
        self.threshold = 1_024
        self.catalogue = dict(SMALL)
        self.lanes: SharedProcess | None = None
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
            tenant="default", epoch=self.epoch, catalog=self.catalogue, find=self.find, call=self,
            journal=self, outputs=Outputs(self.load), children=self.family, programs=self.family,
            clock=self.clock, blob_threshold=self.threshold, lanes=self.lanes,
        )  # fmt: skip
        # What a call's task dies of is for the test to see by its consequences, not for the log.
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        found = Found(self.state, self.rows[-1].chain, tuple(self.unheard()))
        self.driver = RunDriver(found, environment, wary=self.epoch > 1)  # as the agent does
        self._drive = asyncio.create_task(self.driver.drive())
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

    @property
    def waiting(self) -> list[str]:
        """The steps that are under way and unanswered."""
        return list(self._waiting)

    async def breathe(self) -> None:
        """Let other threads get somewhere: a program runs in one."""
        await asyncio.sleep(0.001)

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
        events = [decode(row.kind, row.version, json.loads(row.body)) for row in batch.rows]
        self.log.append(("commits", [named(event) for event in events]))
        assert [row.seq for row in batch.rows] == list(
            range(len(self.events) + 1, batch.state.seq + 1)
        )
        self.events += events
        self.rows += batch.rows
        assert broken_at(RUN, self.rows) is None
        self.blobs |= batch.blobs

    async def look(self) -> str | None:
        """As an `Appender`."""
        return self.halted

    def find(self, name: str, version: str) -> SkillDescriptor | None:
        """An installed skill."""
        found = self.catalogue.get(name)
        return found if found is not None and found.version == version else None

    def say(self, kind: str, **body: JsonValue) -> None:
        """Somebody says something to the run; whoever drives it hears of it."""
        self.messages.append(Message(len(self.messages) + 1, kind, "ann", body))
        if self._drive is not None and not self._drive.done():
            self.driver.tell(self.messages)

    def unheard(self) -> list[Message]:
        """What the run has not heard."""
        return self.messages[self.state.heard :]

    async def load(self, run_id: UUID, digest: str) -> JsonValue:
        """As the blobs' table."""
        assert run_id == RUN
        self.loads.append(digest)
        return json.loads(self.blobs[digest])
