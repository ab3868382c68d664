"""Drives one run: ask the machine, perform what it says, append what came of it, ask again.

The order of commits is the whole point, and it is decided here: what is urgent is committed before
anything is dispatched, a write is dispatched only when everything known before it is on disk, and
what is buffered is committed when nothing moves for a moment, so that people see it. What is
buffered may be lost by a crash: it was cheap to come by, and nothing has been done because of it
that a repetition would do twice.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from ..cluster import faults
from ..cluster.telemetry import logger
from ..skills.call import Mode
from ..skills.contracts import JsonValue, StructuredOutcome
from .calls import Arrived, Calls, Heard, Released, Settled
from .dispatching import Dispatching
from .environment import Environment
from .programs.turns import ProgramRun
from .recording import Recording
from .rounds import plan_outcome
from .runs.events import (
    ChildSpawned,
    RunFinished,
    RunParked,
    RunResumed,
    RunStarted,
    RunStatus,
    RunWoken,
)
from .runs.machine import (
    Advance,
    Begin,
    Command,
    Dispatch,
    Finish,
    Park,
    Record,
    Spawn,
    Stop,
    WaitUntil,
    decide,
)
from .runs.mailbox import Message
from .runs.queue import Found
from .runs.references import UnresolvedReference
from .runs.settling import effects_of_call, is_cheap, settled_event
from .runs.state import RunState
from .runs.waiting import begin, closed

log = logger(__name__)

_QUIET = 0.05
"""Seconds without an outcome after which buffered events are committed for people to see."""


class RunDriver:
    """One run under one activation.

    `wary`: an earlier activation of the agent may have died over this very run without a trace. Its
    start is then committed before anything else, so that the next death over it is counted.
    """

    def __init__(self, found: Found, environment: Environment, *, wary: bool = False) -> None:
        self.draining = False
        self.told = max([found.state.heard, *(message.number for message in found.messages)])
        """The number of the last message that this driver knows of."""
        self._first = found.messages
        self._wary = wary
        self._env = environment
        self._run = Recording(found.state, found.chain, environment)
        self._calls = Calls(environment)
        self._dispatching = Dispatching(environment, self._run, self._calls)
        self._program = ProgramRun(environment)

    @property
    def state(self) -> RunState:
        """Where the run stands."""
        return self._run.state

    @property
    def is_calling(self) -> bool:
        """Whether skill calls are under way."""
        return bool(self.state.in_flight)

    async def drive(self) -> RunState:
        """Run to the end, or until it is parked, or while `draining` until no call is under way.
        Raises `LeaseLost`; cancelling it cancels the calls under way.
        """
        try:
            self._take_up()
            for message in self._first:
                await self._run.hear(message)
            if self._run.urgent:
                await self._run.commit()
            while not (self._is_over() or self._is_drained()):
                await self._turn()
            return self.state
        finally:
            self._program.close()
            await self._calls.close()

    def tell(self, messages: list[Message]) -> None:
        """Somebody said something to this run."""
        for message in messages:
            if message.number > self.told:
                self.told = message.number
                self._calls.arrived.put_nowait(message)

    def _is_over(self) -> bool:
        return self.state.finished is not None or self.state.parked is not None

    def _is_drained(self) -> bool:
        return self.draining and not (self.is_calling or self._run.is_pending)

    def _take_up(self) -> None:
        now, epoch = self._env.clock.now(), self._env.epoch
        # Committed before anything is dispatched: a fenced process learns it here.
        if self.state.parked is not None:
            self._run.add(RunWoken(at=now, epoch=epoch), urgent=True)
        elif self.state.epoch:
            self._run.add(RunResumed(at=now, epoch=epoch), urgent=True)
        else:
            self._run.add(RunStarted(at=now, epoch=epoch), urgent=self._wary)

    async def _turn(self) -> None:
        commands = decide(self.state, self._env.clock.now())
        self._dispatching.held_up = None
        moved = [await self._perform(command) for command in commands]
        starts = [command for command in commands if isinstance(command, Dispatch)]
        if starts and not self.draining:
            moved.append(await self._start(starts))
        if any(moved) or self._is_over():
            return
        if (wait := self._dispatching.held_up) is not None and not self.is_calling:
            await self._park(wait)
            return
        times = [command.instant for command in commands if isinstance(command, WaitUntil)]
        await self._listen(times[0] if times else None)

    async def _start(self, starts: list[Dispatch]) -> bool:
        if self.state.turns:
            # A program whose code has changed is found out before anything is done in its name.
            ended = await self._program.resume(self.state, self._env.clock.now())
            if ended is not None:
                self._run.add(ended)
                return True
        return await self._dispatching.start(starts)

    async def _perform(self, command: Command) -> bool:
        """Whether the machine is to be asked again at once."""
        match command:
            case Finish():
                await self._finish(command)
            case Park():
                await self._park(command)
            case Record(event):
                self._run.add(event)
            case Advance():
                events, contents = await self._program.advance(self.state, self._env.clock.now())
                self._run.keep(contents)
                for event in events:
                    self._run.add(event)
            case Begin(step_id):
                await self._begin(step_id)
            case Spawn(step_id):
                await self._spawn(step_id)
            case Stop(step_ids):
                self._calls.stop(step_ids)
                return False
            case WaitUntil() | Dispatch():
                return False
        return True

    async def _begin(self, step_id: str) -> None:
        step, now = self.state.steps[step_id], self._env.clock.now()
        try:
            params = await self._env.outputs.params(self.state, step_id)
        except UnresolvedReference as error:
            outcome = StructuredOutcome.failure("ERR_INVALID_REFERENCE", str(error))
            self._run.add(closed(step, now, outcome))
        else:
            self._run.add(begin(self.state, step, params, now))

    async def _spawn(self, step_id: str) -> None:
        await self._run.commit()  # the child's id is on disk before the child can be
        step = self.state.steps[step_id]
        params = await self._env.outputs.params(self.state, step_id)
        refusal = await self._env.children.spawn(self.state, step, params)
        now = self._env.clock.now()
        if refusal is not None or step.wait is None or step.wait.child_run_id is None:
            outcome = StructuredOutcome.failure("ERR_CHILD_FAILED", refusal or "")
            self._run.add(closed(step, now, outcome))
            return
        child = step.wait.child_run_id
        self._run.add(ChildSpawned(at=now, step_id=step_id, child_run_id=child))

    async def _park(self, command: Park) -> None:
        if not self.draining:  # whoever leaves anyhow leaves the run as it is
            now = self._env.clock.now()
            self._run.add(
                RunParked(at=now, until=command.until, reason=command.reason, timed=command.timed)
            )
        await self._run.commit()

    async def _listen(self, until: datetime | None) -> None:
        arrived = await self._next_arrival(until)
        while arrived is not None:
            match arrived:
                case Message():
                    await self._run.hear(arrived)
                case Released(step_ids):
                    self._run.released(step_ids)
                case Settled():
                    self._settle(arrived)
            queue = self._calls.arrived
            arrived = None if queue.empty() else _told(queue.get_nowait())

    async def _next_arrival(self, until: datetime | None) -> Heard | None:
        """What arrives next, or None when it is time to ask the machine again."""
        if not self._calls.arrived.empty():
            return _told(self._calls.arrived.get_nowait())
        waiting = None
        if until is not None:
            waiting = max(0.0, (until - self._env.clock.now()).total_seconds())
        if self._run.is_pending:
            quiet = _QUIET if waiting is None else min(_QUIET, waiting)
            if (arrived := await self._wait(quiet)) is None:
                await self._run.commit()
            return arrived
        return await self._wait(waiting)

    async def _wait(self, seconds: float | None) -> Heard | None:
        arrival = asyncio.ensure_future(self._calls.arrived.get())
        timer = None if seconds is None else asyncio.ensure_future(self._env.clock.sleep(seconds))
        both = [arrival] if timer is None else [arrival, timer]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return _told(arrival.result()) if arrival.done() else None
        finally:
            for pending in both:
                pending.cancel()

    def _settle(self, settled: Settled) -> None:
        faults.point("step.outcome")
        command, outcome, plan = settled.command, settled.outcome, None
        if command.plans and outcome.ok:
            outcome, plan = plan_outcome(outcome, self.state, self._env.catalog)
            plan = plan and self._run.pack_plan(plan)
        effects = effects_of_call(command, settled.descriptor)
        cheap = command.mode is Mode.EXECUTE and is_cheap(outcome, effects)
        outcome, large = self._run.pack(outcome)
        now = self._env.clock.now()
        event = settled_event(command, effects, outcome, large, plan, now)
        self._run.add(event, urgent=not cheap)

    async def _finish(self, command: Finish) -> None:
        status, code, message, answer = command.status, command.code, command.message, None
        if status in (RunStatus.COMPLETED, RunStatus.PARTIAL):
            try:
                answer = await self._answer(command)
            except UnresolvedReference as error:
                status, code, message = RunStatus.FAILED, "ERR_INVALID_REFERENCE", str(error)
        await self._env.children.cancel(self.state)
        packed, large, contents = self._env.outputs.pack_value(answer, self._env.blob_threshold)
        self._run.keep(contents)
        self._run.add(
            RunFinished(
                at=self._env.clock.now(), status=status, code=code, message=message,
                answer=packed, large=large,
            )
        )  # fmt: skip
        await self._run.commit()
        await self._env.children.tell_parent(self.state)

    async def _answer(self, command: Finish) -> JsonValue:
        if self.state.origin.program is not None:
            return await self._program.answer(self.state)
        template = await self._env.outputs.whole(self.state.run_id, command.answer, command.large)
        if command.literal:
            return template
        return await self._env.outputs.answer(self.state, template)


def _told(arrived: Arrived) -> Heard:
    if isinstance(arrived, Exception):
        raise arrived
    return arrived
