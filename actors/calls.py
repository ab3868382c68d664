"""The skill calls of one run that are under way, and what comes of them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
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
from .rounds import plan_request
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


Arrived = Settled | Message | Exception
"""What a driver hears of: an outcome, a message, or that something broke."""


class Calls:
    """Starts calls, ends them, and queues what arrives."""

    def __init__(self, environment: Environment) -> None:
        self.arrived: asyncio.Queue[Arrived] = asyncio.Queue()
        self._env = environment
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._stopping: set[str] = set()

    def start(self, state: RunState, command: Dispatch) -> None:
        """Make a call, in the background. The state is the one that it was decided upon."""
        step_id = command.step.id
        task = asyncio.create_task(self._perform(state, command), name=step_id)
        self._tasks[step_id] = task
        task.add_done_callback(lambda done: self._forget(step_id, done))

    def stop(self, step_ids: Iterable[str]) -> None:
        """End these calls, and their processes. Each is heard of once, as cancelled."""
        for step_id in step_ids:
            if step_id in self._tasks and step_id not in self._stopping:
                self._stopping.add(step_id)
                self._tasks[step_id].cancel()

    async def close(self) -> None:
        """End whatever is under way; nothing is heard of it."""
        self._stopping.clear()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, step_id: str, task: asyncio.Task[None]) -> None:
        if self._tasks.get(step_id) is task:
            del self._tasks[step_id]
            self._stopping.discard(step_id)

    async def _perform(self, state: RunState, command: Dispatch) -> None:
        descriptor = self._descriptor(command)
        try:
            outcome = await self._attempt(state, command, descriptor)
        except asyncio.CancelledError:
            if command.step.id not in self._stopping:
                raise
            outcome = _cancelled(command)
        except UnresolvedReference as error:
            outcome = StructuredOutcome.failure("ERR_INVALID_REFERENCE", str(error))
        except DatabaseUnavailable as error:
            outcome = StructuredOutcome.failure("ERR_STORAGE", error.detail)
        except Exception as error:
            self.arrived.put_nowait(error)
            return
        if not outcome.skill:
            names = {"skill": command.step.skill, "version": command.step.version}
            outcome = outcome.model_copy(update=names)
        self.arrived.put_nowait(Settled(command, descriptor, outcome))

    def _descriptor(self, command: Dispatch) -> SkillDescriptor | None:
        if command.plans:
            return self._env.catalog.get(command.step.skill)
        return self._env.find(command.step.skill, command.step.version)

    async def _attempt(
        self, state: RunState, command: Dispatch, descriptor: SkillDescriptor | None
    ) -> StructuredOutcome:
        if descriptor is None:  # it was there when this was dispatched
            return StructuredOutcome.failure("ERR_SKILL_NOT_FOUND", f"{command.step.skill} is gone")
        step, origin = command.step, state.origin
        before = state.steps[step.id].outcome if command.mode is Mode.COMPENSATE else None
        params = await self._params(state, command)
        if (refusal := _beyond_plan(state, command, descriptor, params)) is not None:
            return refusal
        call = SkillCall(
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
        effects = step.effects if command.mode is Mode.EXECUTE else call.effects(descriptor)
        return await self._env.call(call, descriptor, effects)

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
