"""Drives one run: ask the machine, perform what it says, append what came of it, ask again.

The order of commits is the whole point, and it is decided in two places: `_dispatch` commits what
is urgent before anything is dispatched, and `_next_settled` commits what is buffered when nothing
moves for a moment, so that people see it. What is buffered may be lost by a crash: it is pure, or
nothing has been done because of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from ..cluster import faults
from ..cluster.clock import Clock
from ..cluster.postgres import DatabaseUnavailable
from ..cluster.telemetry import logger
from ..skills.call import SkillCall
from ..skills.contracts import Effects, JsonValue, SkillDescriptor, StructuredOutcome
from .caller import Caller
from .outputs import Outputs
from .planning.admission import Catalog
from .rounds import plan_outcome, plan_request
from .runs.events import (
    Event,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStatus,
    StepIntended,
    StepSettled,
)
from .runs.fold import apply
from .runs.journal import Append
from .runs.machine import Dispatch, Finish, WaitUntil, decide
from .runs.references import UnresolvedReference, resolve
from .runs.state import RunState, dispatched

log = logger(__name__)

_QUIET = 0.05
"""Seconds without an outcome after which buffered events are committed for people to see."""


class Appender(Protocol):
    """The journal writer's one method."""

    async def append(self, batch: Append) -> None:
        """Return once committed; raise `LeaseLost` when fenced."""
        ...


@dataclass(frozen=True, slots=True)
class Environment:
    """What a driver works with."""

    tenant: str
    epoch: int
    catalog: Catalog
    call: Caller
    journal: Appender
    outputs: Outputs
    clock: Clock
    blob_threshold: int


@dataclass(frozen=True, slots=True)
class _Settled:
    command: Dispatch
    descriptor: SkillDescriptor | None
    outcome: StructuredOutcome


class RunDriver:
    """One run under one activation.

    `wary`: an earlier activation of the agent may have died over this very run without a trace. Its
    start is then committed before anything else, so that the next death over it is counted.
    """

    def __init__(self, state: RunState, environment: Environment, *, wary: bool = False) -> None:
        self.state = state
        self.draining = False
        self._wary = wary
        self._env = environment
        self._buffer: list[Event] = []
        self._blobs: dict[str, bytes] = {}
        self._urgent = False
        self._arrived: asyncio.Queue[_Settled | Exception] = asyncio.Queue()
        self._calls: set[asyncio.Task[None]] = set()

    async def drive(self) -> RunState:
        """Run to the end, or while `draining` until no call is under way. Raises `LeaseLost`;
        cancelling it cancels the calls under way.
        """
        try:
            self._take_up()
            if self._urgent:
                await self._commit()
            while self.state.finished is None and not self._is_drained():
                await self._turn()
            return self.state
        finally:
            for call in self._calls:
                call.cancel()
            await asyncio.gather(*self._calls, return_exceptions=True)

    @property
    def is_calling(self) -> bool:
        """Whether skill calls are under way."""
        return bool(self.state.in_flight)

    def _is_drained(self) -> bool:
        return self.draining and not (self.state.in_flight or self._buffer)

    def _take_up(self) -> None:
        now, epoch = self._env.clock.now(), self._env.epoch
        if self.state.epoch == 0:
            self._record(RunStarted(at=now, epoch=epoch))
            self._urgent = self._wary
        else:
            # Committed before anything is dispatched: a fenced process learns it here.
            self._record(RunResumed(at=now, epoch=epoch))
            self._urgent = True

    async def _turn(self) -> None:
        commands = decide(self.state, self._env.clock.now())
        for command in commands:
            if isinstance(command, Finish):
                await self._finish(command)
                return
        starts = [command for command in commands if isinstance(command, Dispatch)]
        if starts and not self.draining:
            await self._dispatch(starts)
            return
        waits = [command.instant for command in commands if isinstance(command, WaitUntil)]
        await self._listen(waits[0] if waits else None)

    async def _dispatch(self, starts: list[Dispatch]) -> None:
        for command in starts:
            if command.intent_first:
                self._record(
                    StepIntended(
                        at=self._env.clock.now(), step_id=command.step.id, attempt=command.attempt,
                        skill=f"{command.step.skill}@{command.step.version}",
                        idempotency_key=command.idempotency_key,
                    )
                )  # fmt: skip
                self._urgent = True
        if self._urgent:
            await self._commit()
        for command in starts:
            log.debug("step dispatched", step=command.step.id, attempt=command.attempt)
            self.state = dispatched(self.state, command.step.id)
            task = asyncio.create_task(self._perform(command), name=command.step.id)
            self._calls.add(task)
            task.add_done_callback(self._calls.discard)

    async def _perform(self, command: Dispatch) -> None:
        descriptor = self._env.catalog.get(command.step.skill)
        try:
            outcome = await self._attempt(command, descriptor)
        except UnresolvedReference as error:
            outcome = StructuredOutcome.failure("ERR_INVALID_REFERENCE", str(error))
        except DatabaseUnavailable as error:
            outcome = StructuredOutcome.failure("ERR_STORAGE", error.detail)
        except Exception as error:
            self._arrived.put_nowait(error)
            return
        if not outcome.skill:
            names = {"skill": command.step.skill, "version": command.step.version}
            outcome = outcome.model_copy(update=names)
        self._arrived.put_nowait(_Settled(command, descriptor, outcome))

    async def _attempt(
        self, command: Dispatch, descriptor: SkillDescriptor | None
    ) -> StructuredOutcome:
        if descriptor is None:
            code = "ERR_PLANNER_NOT_FOUND" if command.plans else "ERR_SKILL_NOT_FOUND"
            return StructuredOutcome.failure(code, f"{command.step.skill} is not installed")
        step, origin = command.step, self.state.origin
        if command.plans:
            params = await plan_request(self.state, self._env.catalog, self._env.outputs)
        elif step.literal:
            params = step.params
        else:
            outputs = await self._env.outputs.of(self.state, step.depends_on)
            resolved = resolve(step.params, outputs)
            params = resolved if isinstance(resolved, dict) else {}
        call = SkillCall(
            run_id=str(self.state.run_id),
            step_id=step.id,
            attempt=command.attempt,
            skill=step.skill,
            version=descriptor.version if command.plans else step.version,
            params=params,
            idempotency_key=command.idempotency_key,
            seed=command.seed,
            permissions=origin.profile.permissions,
            model=origin.profile.planner.model,
            tenant=self._env.tenant,
            trace_id=origin.trace_id,
        )
        return await self._env.call(call, descriptor, step.effects)

    async def _listen(self, until: datetime | None) -> None:
        settled = await self._next_settled(until)
        while settled is not None:
            self._settle(settled)
            settled = None if self._arrived.empty() else _told(self._arrived.get_nowait())

    async def _next_settled(self, until: datetime | None) -> _Settled | None:
        """The next outcome, or None when it is time to ask the machine again."""
        if not self._arrived.empty():
            return _told(self._arrived.get_nowait())
        waiting = None
        if until is not None:
            waiting = max(0.0, (until - self._env.clock.now()).total_seconds())
        if self._buffer:
            quiet = _QUIET if waiting is None else min(_QUIET, waiting)
            if (settled := await self._wait(quiet)) is not None:
                return settled
            await self._commit()
            return None
        return await self._wait(waiting)

    async def _wait(self, seconds: float | None) -> _Settled | None:
        arrival = asyncio.ensure_future(self._arrived.get())
        timer = None if seconds is None else asyncio.ensure_future(self._env.clock.sleep(seconds))
        both = [arrival] if timer is None else [arrival, timer]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return _told(arrival.result()) if arrival.done() else None
        finally:
            for pending in both:
                pending.cancel()

    def _settle(self, settled: _Settled) -> None:
        faults.point("step.outcome")
        command, outcome, plan = settled.command, settled.outcome, None
        if command.plans and outcome.ok:
            outcome, plan = plan_outcome(outcome, self.state, self._env.catalog)
        effects = command.step.effects
        if settled.descriptor is not None and command.plans:
            effects = settled.descriptor.effects
        outcome, large, contents = self._env.outputs.pack(outcome, self._env.blob_threshold)
        self._blobs |= contents
        self._record(
            StepSettled(
                at=self._env.clock.now(), step_id=command.step.id, attempt=command.attempt,
                effects=effects, idempotency_key=command.idempotency_key, outcome=outcome,
                plan=plan, large=large,
            )
        )  # fmt: skip
        self._urgent = self._urgent or effects is not Effects.PURE

    async def _finish(self, command: Finish) -> None:
        status, code, message, answer = command.status, command.code, command.message, None
        if status in (RunStatus.COMPLETED, RunStatus.PARTIAL):
            try:
                answer = await self._answer(command.answer)
            except UnresolvedReference as error:
                status, code, message = RunStatus.FAILED, "ERR_INVALID_REFERENCE", str(error)
        packed, large, contents = self._env.outputs.pack_value(answer, self._env.blob_threshold)
        self._blobs |= contents
        self._record(
            RunFinished(
                at=self._env.clock.now(), status=status, code=code, message=message,
                answer=packed, large=large,
            )
        )  # fmt: skip
        await self._commit()

    async def _answer(self, template: JsonValue) -> JsonValue:
        if self.state.plan is not None and self.state.plan.literal:
            return template
        return await self._env.outputs.answer(self.state, template)

    def _record(self, event: Event) -> None:
        self.state = apply(self.state, event)
        self._buffer.append(event)

    async def _commit(self) -> None:
        if not self._buffer:
            self._urgent = False
            return
        events, blobs = tuple(self._buffer), self._blobs
        self._buffer, self._blobs, self._urgent = [], {}, False
        first = self.state.seq - len(events) + 1
        await self._env.journal.append(Append(self.state, first, events, blobs))


def _told(arrived: _Settled | Exception) -> _Settled:
    if isinstance(arrived, Exception):
        raise arrived
    return arrived
