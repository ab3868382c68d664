"""What runs in a skill's process: one call, streamed out as it goes. Entered by dotted path."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from functools import cache

from ..cluster.settings import Settings, load
from ..skills.call import Progress, SkillCall, SkillEvent
from ..skills.contracts import JsonObject
from ..skills.executor import execute
from ..skills.registry import Registry, default_registry

PERFORM = f"{__name__}:perform"
PREPARE = f"{__name__}:prepare"

_NICENESS = 5
_REHEARSAL: dict[str, JsonObject] = {
    "http_call": {"url": "http://[::1]:1/", "timeout_s": 1},
    "html_extract": {"html": "<h1>Rehearsal</h1>"},
    "llm_invoke": {"prompt": "Rehearse."},
}
_PLANNERS = ("aos.actors.planning.rules", "aos.actors.planning.claude")


def registry() -> Registry:
    """Every skill of this installation, planners included."""
    return default_registry(_PLANNERS)


def perform(payload: str) -> Iterator[tuple[str, str]]:
    """Execute a `SkillCall` given as JSON. Yields ("started", ""), ("progress", text)…, and finally
    ("outcome", the `StructuredOutcome` as JSON).
    """
    yield ("started", "")
    _step_back()
    call = SkillCall.model_validate_json(payload)
    loop = _loop()
    events = execute(call, registry(), _settings())
    while True:
        event = loop.run_until_complete(_next(events))
        if event is None:
            return
        if isinstance(event, Progress):
            yield ("progress", event.text)
        else:
            yield ("outcome", event.model_dump_json(exclude_defaults=True))


def prepare(hold: str) -> Iterator[str]:
    """Make one harmless call of each kind, so that no run's first step waits for imports, TLS or an
    event loop; then hold the process for `hold` seconds, so that calls made together get a process
    each. Nothing leaves the machine: the address is one that the guard refuses.
    """
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


async def _next(events: AsyncIterator[SkillEvent]) -> SkillEvent | None:
    return await anext(events, None)


@cache
def _step_back() -> None:
    """Skills never starve those who supervise them."""
    os.nice(_NICENESS)


@cache
def _loop() -> asyncio.AbstractEventLoop:
    """One loop for the life of the process: connections of one call may serve the next."""
    return asyncio.new_event_loop()


@cache
def _settings() -> Settings:
    """The settings of the cluster, whose environment every worker process has."""
    return load()
