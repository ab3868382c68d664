"""The skill calls of one run that are under way, and what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from ..cluster.postgres import DatabaseUnavailable
from ..skills.call import Mode, SkillCall
from ..skills.contracts import (
    Effects,
    EffectState,
    JsonObject,
    SkillDescriptor,
    StructuredOutcome,
    effects_of,
)
from .environment import Environment
from .lanes import Chain as Links
from .lanes import HandedBack, Lane, Link
from .rounds import plan_request
from .runs.fusion import Chain, used_by
from .runs.machine import Dispatch
from .runs.mailbox import Message
from .runs.references import UnresolvedReference
from .runs.state import RunState

_ORDER = tuple(Effects)
"""From harmless to unsafe."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A call that ended."""

    command: Dispatch
    descriptor: SkillDescriptor | None
    outcome: StructuredOutcome


@dataclass(frozen=True, slots=True)
class Released:
    """Calls that were not made after all, and have to be decided upon again."""

    step_ids: frozenset[str]


Heard = Settled | Released | Message
"""What a driver hears of: an outcome, calls not made, a message."""

Arrived = Heard | Exception
"""The same, or that something broke."""


class Calls:
    """Starts calls, ends them, and queues what arrives."""

    def __init__(self, environment: Environment) -> None:
        self.arrived: asyncio.Queue[Arrived] = asyncio.Queue()
        self._env = environment
        self.suspect: set[str] = set()
        """Steps whose shared process was lost: they are called by themselves."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping: set[str] = set()

    def start(self, state: RunState, chain: Chain[Lane]) -> None:
        """Make calls, in the background. The state is the one that they were decided upon."""
        task = asyncio.create_task(self._perform(state, chain), name=chain.step_ids[0])
        for step_id in chain.step_ids:
            self._tasks[step_id] = task
        task.add_done_callback(lambda done: self._forget(chain.step_ids, done))

    def stop(self, step_ids: Iterable[str]) -> None:
        """End these calls, and their processes. Each is heard of once: as cancelled, or as not
        made.
        """
        ending = {step_id for step_id in step_ids if step_id in self._tasks} - self._stopping
        self._stopping |= ending
        for task in {self._tasks[step_id] for step_id in ending}:
            task.cancel()

    async def close(self) -> None:
        """End whatever is under way; nothing is heard of it."""
        self._stopping.clear()
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, step_ids: Iterable[str], task: asyncio.Task[None]) -> None:
        for step_id in step_ids:
            if self._tasks.get(step_id) is task:
                del self._tasks[step_id]
                self._stopping.discard(step_id)

    async def _perform(self, state: RunState, chain: Chain[Lane]) -> None:
        left = list(chain.calls)
        try:
            async for command, outcome in self._made(state, chain):
                left.remove(command)
                self._settled(command, outcome)
        except HandedBack as back:
            if back.suspect:
                self.suspect.update(command.step.id for command in left)
        except asyncio.CancelledError:
            if left and left[0].step.id not in self._stopping:
                raise
            if left:  # it was under way; what would have followed it was not
                self._settled(left[0], _cancelled(left.pop(0)))
        except Exception as error:
            self.arrived.put_nowait(error)
            return
        if left:
            self.arrived.put_nowait(Released(frozenset(command.step.id for command in left)))

    def _settled(self, command: Dispatch, outcome: StructuredOutcome) -> None:
        if not outcome.skill:
            names = {"skill": command.step.skill, "version": command.step.version}
            outcome = outcome.model_copy(update=names)
        if self._env.lanes is not None and command.mode is Mode.EXECUTE:
            self._env.lanes.pace.note(command.step.skill, outcome)
        self.arrived.put_nowait(Settled(command, self._descriptor(command), outcome))

    def _descriptor(self, command: Dispatch) -> SkillDescriptor | None:
        if command.plans:
            return self._env.catalog.get(command.step.skill)
        return self._env.find(command.step.skill, command.step.version)

    async def _made(
        self, state: RunState, chain: Chain[Lane]
    ) -> AsyncIterator[tuple[Dispatch, StructuredOutcome]]:
        """Calls with what came of them."""
        descriptors = [self._descriptor(command) for command in chain.calls]
        known = [descriptor for descriptor in descriptors if descriptor is not None]
        try:
            lane, lanes = chain.lane, self._env.lanes
            if lane is None or lanes is None or len(known) < len(descriptors):
                yield chain.calls[0], await self._attempt(state, chain.calls[0], descriptors[0])
                return
            links = [await self._link(state, chain, *each) for each in enumerate(known)]
        except UnresolvedReference as error:
            yield chain.calls[0], StructuredOutcome.failure("ERR_INVALID_REFERENCE", str(error))
        except DatabaseUnavailable as error:
            yield chain.calls[0], StructuredOutcome.failure("ERR_STORAGE", error.detail)
        else:
            async for index, outcome in lanes.run(lane, Links(links=tuple(links)), known):
                yield chain.calls[index], outcome

    async def _link(
        self, state: RunState, chain: Chain[Lane], index: int, descriptor: SkillDescriptor
    ) -> Link:
        command = chain.calls[index]
        if index == 0:
            params = await self._params(state, command)
            return Link(call=self._call(state, command, descriptor, params))
        spec, here = command.step, set(chain.step_ids)
        follows = tuple(need for need in spec.depends_on if need in here)
        call = self._call(state, command, descriptor, spec.params)
        if spec.literal:
            return Link(call=call, follows=follows)
        known = await self._env.outputs.of(state, used_by(state.steps[spec.id]) - here)
        return Link(call=call, follows=follows, known=known, literal=False)

    async def _attempt(
        self, state: RunState, command: Dispatch, descriptor: SkillDescriptor | None
    ) -> StructuredOutcome:
        if descriptor is None:  # it was there when this was dispatched
            return StructuredOutcome.failure("ERR_SKILL_NOT_FOUND", f"{command.step.skill} is gone")
        params = await self._params(state, command)
        if (refusal := _beyond_plan(state, command, descriptor, params)) is not None:
            return refusal
        call = self._call(state, command, descriptor, params)
        executes = command.mode is Mode.EXECUTE
        effects = command.step.effects if executes else call.effects(descriptor)
        return await self._env.call(call, descriptor, effects)

    def _call(
        self, state: RunState, command: Dispatch, descriptor: SkillDescriptor, params: JsonObject
    ) -> SkillCall:
        step, origin = command.step, state.origin
        before = state.steps[step.id].outcome if command.mode is Mode.COMPENSATE else None
        return SkillCall(
            run_id=str(state.run_id),
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
            mode=command.mode,
            prior_output=None if before is None else before.output,
        )

    async def _params(self, state: RunState, command: Dispatch) -> JsonObject:
        if command.plans:
            return await plan_request(state, self._env.catalog, self._env.outputs)
        return await self._env.outputs.params(state, command.step.id)


def _beyond_plan(
    state: RunState, command: Dispatch, descriptor: SkillDescriptor, params: JsonObject
) -> StructuredOutcome | None:
    """Params that an operator changed may make a write of what was planned as a read. It would then
    be called without what has to be on disk before a write.
    """
    step = command.step
    if command.plans or command.mode != "execute" or step.id not in state.origin.overrides:
        return None
    effects = effects_of(descriptor, params)
    if _ORDER.index(effects) <= _ORDER.index(step.effects):
        return None
    why = f"with these params {step.skill} is {effects}, and it was planned as {step.effects}"
    return StructuredOutcome.failure("ERR_VALIDATION_FAILED", why)


def _cancelled(command: Dispatch) -> StructuredOutcome:
    writes = command.mode is Mode.COMPENSATE or (
        command.mode is Mode.EXECUTE
        and command.step.effects in (Effects.UNSAFE, Effects.IDEMPOTENT)
    )
    effect = EffectState.UNKNOWN if writes else EffectState.NONE
    return StructuredOutcome.failure(
        "ERR_CANCELLED", "the call was ended while it was under way", effect=effect
    )
