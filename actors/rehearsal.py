"""What a process does once before it is anybody, so that its first run finds everything ready.

A run that nobody submitted is resumed and driven to its end: its calls are answered here, its
journal goes nowhere. Then the statements of a real activation are sent for an agent that does not
exist, which prepares them on the connection and changes nothing. The first such run takes a process
20 ms, the second 2.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

from ..cluster import faults
from ..cluster.clock import SystemClock
from ..cluster.postgres import Database
from ..skills.call import SkillCall
from ..skills.contracts import (
    AgentProfile,
    Effects,
    JsonObject,
    JsonValue,
    SkillDescriptor,
    StructuredOutcome,
)
from .driver import RunDriver
from .environment import Environment
from .outputs import Outputs
from .planning.admission import Catalog
from .runs.chain import genesis
from .runs.events import ProgramRef, RunStarted, RunSubmitted
from .runs.fold import fold
from .runs.journal import Append, JournalWriter, LeaseLost
from .runs.queue import Found, prepare_queue
from .runs.state import RunState, Step

_NOBODY = UUID(int=0)
_PLAN: JsonValue = {
    "steps": [
        {"id": "first", "skill": "json_transform", "params": {"value": {}, "expression": "@"}},
        {
            "id": "second",
            "skill": "json_transform",
            "params": {"value": "${first}", "expression": "@"},
            "depends_on": ["first"],
        },
    ],
    "answer": {"second": "${second}"},
}


async def rehearse(database: Database, catalog: Catalog) -> None:
    """Drive a run that is nobody's. Raises `DatabaseUnavailable`."""
    with faults.passed_over():
        await RunDriver(_resumable(), _environment(catalog, _Nowhere()), wary=True).drive()
        await prepare_queue(database)
        with suppress(LeaseLost):  # nobody has no epoch
            writer = JournalWriter(database, _NOBODY, "default", 1)
            await RunDriver(_resumable(), _environment(catalog, writer)).drive()


class _Nowhere:
    """A journal that keeps nothing, children that there are none of, and no programs."""

    halted: str | None = None

    async def append(self, batch: Append) -> None:
        del batch

    async def look(self) -> str | None:
        return None

    async def spawn(self, state: RunState, step: Step, params: JsonObject) -> str | None:
        raise LookupError(f"{state.run_id} spawns {step.spec.id} with {params}")

    async def answer(self, child_run_id: str) -> JsonValue:
        raise LookupError(child_run_id)

    async def cancel(self, state: RunState) -> None:
        del state

    async def tell_parent(self, state: RunState) -> None:
        del state

    async def source(self, tenant: str, program: ProgramRef) -> str | None:
        raise LookupError(f"{tenant} has no {program}")


async def _answer(
    call: SkillCall, descriptor: SkillDescriptor, effects: Effects
) -> StructuredOutcome:
    del descriptor, effects
    return StructuredOutcome.success(_PLAN if call.step_id.startswith("plan") else {"value": {}})


async def _no_blob(run_id: UUID, digest: str) -> JsonValue:
    raise LookupError(f"{run_id} has no {digest}")


def _environment(catalog: Catalog, journal: JournalWriter | _Nowhere) -> Environment:
    return Environment(
        tenant="default",
        epoch=2,
        catalog=catalog,
        find=lambda name, version: catalog.get(name),
        call=_answer,
        journal=journal,
        outputs=Outputs(_no_blob),
        children=_Nowhere(),
        programs=_Nowhere(),
        clock=SystemClock(),
        blob_threshold=65_536,
    )


def _resumable() -> Found:
    now = datetime.now(UTC)
    submitted = RunSubmitted(
        at=now, agent_id=str(_NOBODY), agent_name="nobody", goal="Rehearse.", planner="rules",
        profile=AgentProfile(name="nobody"), seed=0, trace_id="0" * 32, code_version="rehearsal",
    )  # fmt: skip
    state = fold(_NOBODY, [submitted, RunStarted(at=now, epoch=1)])
    return Found(state, genesis(_NOBODY))
