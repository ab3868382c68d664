"""How runs begin: accepted at the door with a key, or made by a run for one of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from ...cluster.errors import Blame, InputError
from ...cluster.ids import new_id, new_trace_id
from ...cluster.postgres import Transaction
from ...skills.contracts import AgentProfile
from .chain import chained, genesis
from .events import Event, ProgramRef, RunSubmitted
from .journal import QUERIES

CODE_VERSION = "aos-0.1.0"


class IdempotencyConflict(InputError):
    """The key was used for another request."""

    code = "AOS-3003"
    title = "This idempotency key was used with another request."
    next_action = "Use a new key for a new request, or repeat the first request unchanged."
    blame = Blame.CALLER


@dataclass(frozen=True, slots=True)
class Submission:
    """A goal for an agent. `key` makes repeating the request harmless."""

    tenant: str
    agent_id: UUID
    profile: AgentProfile
    goal: str
    planner: str
    request_hash: str
    key: str | None = None
    priority: int = 0
    program: ProgramRef | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A run that cannot be lost any more. `replayed`: an earlier request made it."""

    run_id: UUID
    replayed: bool = False


async def submit_within(transaction: Transaction, submission: Submission) -> Accepted:
    """Make a run and its first event part of a transaction. Raises `IdempotencyConflict`."""
    run_id = new_id()
    if submission.key is not None:
        args = (submission.tenant, submission.key)
        claimed = await transaction.fetch_value(
            QUERIES.claim_key, *args, submission.request_hash, run_id
        )
        if claimed is None:
            taken = await transaction.fetch_one(QUERIES.read_key, *args)
            return _replayed(taken, submission)
    event = first_event(submission, run_id)
    await insert_run(transaction, submission.tenant, run_id, [event], submission.priority)
    return Accepted(run_id)


async def insert_run(
    transaction: Transaction, tenant: str, run_id: UUID, events: Sequence[Event], priority: int = 0
) -> bool:
    """Make the row and the first events of a run. False: a run of this id is there already."""
    origin = events[0]
    if not isinstance(origin, RunSubmitted):
        raise TypeError(f"a run begins with run_submitted, not with {origin.kind}")
    parent, derived, program = origin.parent, origin.derived, origin.program
    made = await transaction.fetch_value(
        QUERIES.submit_run, run_id, tenant, UUID(origin.agent_id), origin.goal, origin.planner,
        priority, origin.trace_id, origin.code_version,
        UUID(parent.root_run_id) if parent else None, len(events),
        UUID(parent.run_id) if parent else None, parent.step_id if parent else None,
        UUID(derived.run_id) if derived else None, derived.how.value if derived else None,
        program.name if program else None,
    )  # fmt: skip
    if made is None:
        return False
    rows = chained(genesis(run_id), 1, events)
    columns: list[list[Any]] = [
        [row.seq for row in rows],
        [row.kind for row in rows],
        [row.version for row in rows],
        [row.at for row in rows],
        [row.body for row in rows],
        [row.chain for row in rows],
    ]
    await transaction.execute(QUERIES.submit_events, run_id, tenant, *columns)
    return True


def first_event(submission: Submission, run_id: UUID) -> RunSubmitted:
    """What the door accepted."""
    return RunSubmitted(
        at=datetime.now(UTC),
        agent_id=str(submission.agent_id),
        agent_name=submission.profile.name,
        goal=submission.goal,
        planner=submission.planner,
        profile=submission.profile,
        seed=seed_of(run_id),
        trace_id=new_trace_id(),
        code_version=CODE_VERSION,
        program=submission.program,
    )


def seed_of(run_id: UUID) -> int:
    """A run's seed: 53 bits, so that JSON numbers carry it everywhere."""
    return run_id.int & (2**53 - 1)


def _replayed(taken: Any, submission: Submission) -> Accepted:
    if taken is None or taken["request_hash"] != submission.request_hash:
        raise IdempotencyConflict(f"key {submission.key!r} stands for another request")
    return Accepted(taken["run_id"], replayed=True)
