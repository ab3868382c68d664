"""From a `SkillCall` to a `StructuredOutcome`, through a Ray task. Whatever the task does is data.

Deaths, deadlines and impossible resources become outcomes with the taxonomy's codes; for calls that
may have touched the world, the effect is then unknown. Two deadlines hold: one for waiting in Ray's
queue, one for running, and the second only starts when the first item says that the task has.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from ..cluster import faults
from ..cluster.engine import TaskFailure, TaskOptions, TaskStream, stream
from ..skills.call import SkillCall
from ..skills.contracts import Effects, EffectState, SkillDescriptor, StructuredOutcome
from .pace import Pace
from .slots import Slots
from .worker import PERFORM

GRACE = 5.0
"""Seconds by which the task's own timeout comes before ours: it can still say what it did."""

TO_YIELD = 0.4
"""Seconds in which a cancelled skill may clean up before its process is killed."""

_CODES = {
    "worker_died": "ERR_WORKER_DIED",
    "out_of_memory": "ERR_OUT_OF_MEMORY",
    "node_lost": "ERR_NODE_LOST",
    "cancelled": "ERR_TIMEOUT",
    "unschedulable": "ERR_RESOURCES_UNAVAILABLE",
    "raised": "ERR_INTERNAL",
}


class Caller(Protocol):
    """Whatever can make a skill call: Ray tasks in production, something faster in unit tests."""

    async def __call__(
        self, call: SkillCall, descriptor: SkillDescriptor, effects: Effects
    ) -> StructuredOutcome:
        """The outcome of one attempt."""
        ...


class TaskCaller:
    """Calls skills as Ray tasks, as many at once as `slots`: Ray would start a process for each."""

    def __init__(self, slots: Slots, pace: Pace) -> None:
        self._slots, self._pace = slots, pace

    async def __call__(
        self, call: SkillCall, descriptor: SkillDescriptor, effects: Effects
    ) -> StructuredOutcome:
        """The outcome of one attempt."""
        options = task_options(descriptor)
        if missing := options.missing():
            return _unsuitable(descriptor, missing)
        async with self._slots:
            faults.point("step.dispatching")
            task = stream(PERFORM, call.model_dump_json(), options)
            faults.point("step.dispatched")
            try:
                return await self._outcome(task, descriptor, effects)
            except asyncio.CancelledError:
                await task.stop(TO_YIELD)
                raise

    async def _outcome(
        self, task: TaskStream, descriptor: SkillDescriptor, effects: Effects
    ) -> StructuredOutcome:
        contract = descriptor.resources
        items = aiter(task)
        started = False
        try:
            async with asyncio.timeout(contract.queue_timeout_s) as deadline:
                while True:
                    kind, text = await anext(items)
                    if kind == "outcome":
                        idled, _, outcome = text.partition(" ")
                        self._pace.note_idle(descriptor.name, float(idled))
                        return StructuredOutcome.model_validate_json(outcome)
                    if not started:
                        started = True
                        now = asyncio.get_running_loop().time()
                        deadline.reschedule(now + contract.timeout_s + GRACE)
        except TimeoutError:
            task.cancel()
            return _late(started, descriptor, effects)
        except TaskFailure as failure:
            return _lost(failure, started, descriptor, effects)
        except StopAsyncIteration:
            nothing = TaskFailure("raised", "the task ended without an outcome")
            return _lost(nothing, started, descriptor, effects)
        finally:
            await close(items)


def task_options(descriptor: SkillDescriptor) -> TaskOptions:
    """A contract's resources, in the engine's words."""
    contract = descriptor.resources
    return TaskOptions(
        name=f"skill:{descriptor.ref}",
        cpus=contract.cpus,
        gpus=contract.gpus,
        memory_bytes=contract.memory_mb * 1024 * 1024,
        custom=tuple(sorted(contract.custom.items())),
    )


async def close(items: AsyncIterator[object]) -> None:
    """Leave an iteration before its end, now and not when it is collected."""
    leave = getattr(items, "aclose", None)
    if leave is not None:
        await leave()


def _late(started: bool, descriptor: SkillDescriptor, effects: Effects) -> StructuredOutcome:
    # It may have begun at the instant that our patience ended, and its word be on the way.
    contract = descriptor.resources
    message = (
        f"{descriptor.ref} did not end within {contract.timeout_s:g} s and was killed"
        if started
        else f"{descriptor.ref} waited {contract.queue_timeout_s:g} s for a free worker"
    )
    return StructuredOutcome.failure(
        "ERR_TIMEOUT", message, effect=_effect(True, effects),
        skill=descriptor.name, version=descriptor.version,
    )  # fmt: skip


def _lost(
    failure: TaskFailure, started: bool, descriptor: SkillDescriptor, effects: Effects
) -> StructuredOutcome:
    # A task that said nothing may still have begun: only an unschedulable one has certainly not.
    touched = started or failure.kind != "unschedulable"
    return StructuredOutcome.failure(
        _CODES[failure.kind], f"{descriptor.ref}: {failure.detail}",
        effect=_effect(touched, effects), skill=descriptor.name, version=descriptor.version,
    )  # fmt: skip


def _unsuitable(descriptor: SkillDescriptor, missing: dict[str, float]) -> StructuredOutcome:
    needs = ", ".join(f"{name} {amount:g}" for name, amount in sorted(missing.items()))
    return StructuredOutcome.failure(
        "ERR_RESOURCES_UNAVAILABLE", f"{descriptor.ref} needs {needs}; no machine has it",
        details={"missing": dict(missing)}, skill=descriptor.name, version=descriptor.version,
    )  # fmt: skip


def _effect(touched: bool, effects: Effects) -> EffectState:
    writes = effects in (Effects.UNSAFE, Effects.IDEMPOTENT)
    return EffectState.UNKNOWN if touched and writes else EffectState.NONE
