"""What runs in a skill's process: one call, streamed out as it goes. Entered by dotted path."""

from __future__ import annotations

import asyncio
import os
import selectors
import time
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from functools import cache
from typing import Any, TypeVar

from ..cluster import faults
from ..cluster.engine import SPENT
from ..cluster.memory import MIB, Rank, data_size, lift, limit, take_rank, under_limit
from ..cluster.settings import Settings, load
from ..skills.call import Progress, SkillCall, SkillEvent
from ..skills.classify import outcome_without_memory
from ..skills.contracts import JsonObject, SkillDescriptor, StructuredOutcome
from ..skills.executor import execute, memory_limit_mb
from ..skills.registry import Registry, SkillNotFound, default_registry

T = TypeVar("T")

PERFORM = f"{__name__}:perform"
PREPARE = f"{__name__}:prepare"

_NICENESS = 5
TO_CLEAN_UP = 0.3
"""Seconds that an interrupted skill may take for its `finally` blocks."""

_REHEARSAL: dict[str, JsonObject] = {
    "http_call": {"url": "http://[::1]:1/", "timeout_s": 1},
    "html_extract": {"html": "<h1>Rehearsal</h1>"},
    "llm_invoke": {"prompt": "Rehearse."},
}
_PLANNERS = ("aos.actors.planning.rules", "aos.actors.planning.claude")


def registry() -> Registry:
    """Every skill of this installation, planners included."""
    return default_registry(_PLANNERS)


def find_skill(name: str, version: str) -> SkillDescriptor | None:
    """An installed skill's descriptor, or None: what a plan has pinned may be gone by now."""
    try:
        return registry().get(name, version).descriptor
    except SkillNotFound:
        return None


def perform(payload: str) -> Generator[tuple[str, str], None, str | None]:
    """Execute a `SkillCall` given as JSON. Yields ("started", ""), ("progress", text)…, and finally
    ("outcome", the share of its time in which this process did nothing, and the `StructuredOutcome`
    as JSON). Returns `SPENT` if nothing else should run here.
    """
    yield ("started", "")
    step_back()
    lift()  # what the last attempt has left behind it
    call = SkillCall.model_validate_json(payload)
    began, idle = time.monotonic(), waited()
    try:
        events = execute(call, registry(), settings())
        while (event := _awaited(_next(events))) is not None:
            if isinstance(event, Progress):
                yield ("progress", event.text)
            else:
                share = (waited() - idle) / max(1e-6, time.monotonic() - began)
                yield ("outcome", f"{share:.2f} {event.model_dump_json(exclude_defaults=True)}")
                if spent(call, event):
                    return SPENT
    except KeyboardInterrupt:
        return SPENT  # cancelled, and the skill has had its time to clean up
    except MemoryError:
        # Not the skill's frame but one of ours was refused, while other threads of the skill's hold
        # all that there was.
        lift()
        yield ("outcome", f"0 {without_memory(call).model_dump_json(exclude_defaults=True)}")
        return SPENT
    return None


def spent(call: SkillCall, outcome: StructuredOutcome) -> bool:
    """Whether this process has to end: memory ran out in it, and no one can say what else that
    broke; a skill that could not be stopped still runs in it, under its limit; or it keeps more
    than one attempt may take, so that a leak of each call would grow from call to call.
    """
    if outcome.code == "ERR_OUT_OF_MEMORY" or under_limit():
        return True
    if outcome.code == "ERR_SKILL_NOT_FOUND":
        return False
    # A thread that outlives its skill, as after a timeout, still may not take the machine.
    limit(_limit_mb(call) * MIB or None)
    return bloated(call)


def bloated(call: SkillCall) -> bool:
    """Whether this process keeps more than one attempt of an installed skill's call may take."""
    return 0 < _limit_mb(call) * MIB < data_size() - _fresh_size()


def without_memory(call: SkillCall) -> StructuredOutcome:
    """The outcome of a call in whose process memory ran out elsewhere than in the skill's frame."""
    skill = registry().get(call.skill, call.version or None)
    effects = call.effects(skill.descriptor)
    return outcome_without_memory(skill, effects, _limit_mb(call)).model_copy(
        update={"skill": call.skill, "version": skill.descriptor.version}
    )


def prepare(hold: str) -> Iterator[str]:
    """Make one harmless call of each kind, so that no run's first step waits for imports, TLS or an
    event loop; then hold the process for `hold` seconds, so that calls made together get a process
    each. Nothing leaves the machine: the address is one that the guard refuses.
    """
    with faults.passed_over():
        for name, params in _REHEARSAL.items():
            for _ in perform(_rehearsed(name, params)):
                pass
    yield "ready"
    time.sleep(float(hold))


def _rehearsed(name: str, params: JsonObject) -> str:
    return SkillCall(
        run_id="rehearsal", step_id=name, attempt=1, skill=name, version="", params=params,
        idempotency_key="rehearsal", seed=0, permissions=("network:outbound", "model:invoke"),
        model="scripted", tenant="rehearsal", trace_id="0" * 32,
    ).model_dump_json()  # fmt: skip


def _limit_mb(call: SkillCall) -> int:
    skill = registry().get(call.skill, call.version or None)
    return memory_limit_mb(skill.descriptor.resources, settings())


def _awaited(work: Coroutine[Any, Any, T]) -> T:
    """The result of one more piece of an execution. Raises `KeyboardInterrupt` when the task is
    cancelled, after the skill was: its `finally` blocks run, and may await for a moment.
    """
    task = loop().create_task(work)
    try:
        return loop().run_until_complete(task)
    except KeyboardInterrupt:
        task.cancel()
        loop().run_until_complete(asyncio.wait({task}, timeout=TO_CLEAN_UP))
        raise


async def _next(events: AsyncIterator[SkillEvent]) -> SkillEvent | None:
    return await anext(events, None)


@cache
def step_back() -> None:
    """Skills never starve those who supervise them, and die before them."""
    os.nice(_NICENESS)
    take_rank(Rank.SKILL)
    _fresh_size()


@cache
def _fresh_size() -> int:
    """What this process had before its first skill."""
    return data_size()


class _Selector(selectors.DefaultSelector):
    """Knows for how long it has waited."""

    waited = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        try:
            return super().select(timeout)
        finally:
            self.waited += time.monotonic() - began


@cache
def _selector() -> _Selector:
    return _Selector()


def waited() -> float:
    """Seconds for which this process's event loop had nothing to do."""
    return _selector().waited


@cache
def loop() -> asyncio.AbstractEventLoop:
    """One loop for the life of the process: connections of one call may serve the next."""
    return asyncio.SelectorEventLoop(_selector())


@cache
def settings() -> Settings:
    """The settings of the cluster, whose environment every worker process has."""
    return load()
