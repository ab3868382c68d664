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

from ..cluster.clock import SystemClock
from ..cluster.postgres import Database
from ..skills.call import SkillCall
from ..skills.contracts import (
    AgentProfile,
    Effects,
    JsonValue,
    SkillDescriptor,
    StructuredOutcome,
)
from .driver import Environment, RunDriver
from .outputs import Outputs
from .planning.admission import Catalog
from .runs.events import RunStarted, RunSubmitted
from .runs.fold import fold
from .runs.journal import Append, JournalWriter, LeaseLost
from .runs.state import RunState
from .runs.store import RunStore

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
    await RunDriver(_resumable(), _environment(catalog, _Nowhere()), wary=True).drive()
    await RunStore(database).prepare()
    with suppress(LeaseLost):  # nobody has no epoch
        writer = JournalWriter(database, _NOBODY, "default", 1)
        await RunDriver(_resumable(), _environment(catalog, writer)).drive()


class _Nowhere:
    """A journal that keeps nothing."""

    async def append(self, batch: Append) -> None:
        del batch


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
        call=_answer,
        journal=journal,
        outputs=Outputs(_no_blob),
        clock=SystemClock(),
        blob_threshold=65_536,
    )


def _resumable() -> RunState:
    now = datetime.now(UTC)
    submitted = RunSubmitted(
        at=now, agent_id=str(_NOBODY), agent_name="nobody", goal="Rehearse.", planner="rules",
        profile=AgentProfile(name="nobody"), seed=0, trace_id="0" * 32, code_version="rehearsal",
    )  # fmt: skip
    return fold(_NOBODY, [submitted, RunStarted(at=now, epoch=1)])
