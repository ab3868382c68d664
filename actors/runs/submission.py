"""How runs begin: accepted at the door with a key, or made by a run for one of its steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from ...cluster.errors import Blame, InputError
from ...cluster.ids import new_id, new_trace_id
from ...cluster.postgres import Row, Statements
from ...skills.contracts import AgentProfile
from .chain import chained, genesis
from .events import Event, ProgramRef, RunSubmitted
from .fold import fold
from .journal import QUERIES

CODE_VERSION = "aos-0.1.0"


class IdempotencyConflict(InputError):
    """The key was used for another request."""

    code = "AOS-3003"
    title = "This idempotency key was used with another request."
    next_action = "Use a new key for a new request, or repeat the first request unchanged."
    blame = Blame.CALLER


class Keyed(Protocol):
    """A request that may be repeated under its key."""

    @property
    def tenant(self) -> str:
        """Whose key it is."""
        ...

    @property
    def key(self) -> str | None:
        """None: every request is a new one."""
        ...

    @property
    def request_hash(self) -> str:
        """What a repetition is known by."""
        ...


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
    """A run that cannot be lost any more. `replayed`: an earlier request made it; otherwise, of
    one that was submitted, `row` and `first` are what there is of it so far.
    """

    run_id: UUID
    replayed: bool = False
    row: Row | None = None
    first: RunSubmitted | None = None


async def submit_within(statements: Statements, submission: Submission) -> Accepted:
    """Make a run and its first event. With a key it takes a transaction. Raises
    `IdempotencyConflict`.
    """
    run_id = new_id()
    if (made := await claim(statements, submission, run_id)) is not None:
        return made
    first = first_event(submission, run_id)
    row = await insert_run(statements, submission.tenant, run_id, [first], submission.priority)
    return Accepted(run_id, row=row, first=first)


async def claim(statements: Statements, request: Keyed, run_id: UUID) -> Accepted | None:
    """Take a request's key for a run; the run that has it already. Raises `IdempotencyConflict`."""
    if request.key is None:
        return None
    args = (request.tenant, request.key)
    claimed = await statements.fetch_value(QUERIES.claim_key, *args, request.request_hash, run_id)
    if claimed is not None:
        return None
    taken = await statements.fetch_one(QUERIES.read_key, *args)
    if taken is None or taken["request_hash"] != request.request_hash:
        raise IdempotencyConflict(f"key {request.key!r} stands for another request")
    return Accepted(taken["run_id"], replayed=True)


async def insert_run(
    statements: Statements, tenant: str, run_id: UUID, events: Sequence[Event], priority: int = 0
) -> Row | None:
    """Make the row and the first events of a run, in one statement. None: a run of this id is there
    already.

    Events after the first are those that it keeps of another run: what they cost is counted as the
    new run's, and messages to it are numbered on from those that they are.
    """
    origin = events[0]
    if not isinstance(origin, RunSubmitted):
        raise TypeError(f"a run begins with run_submitted, not with {origin.kind}")
    parent, derived, program = origin.parent, origin.derived, origin.program
    state = fold(run_id, events)
    rows = chained(genesis(run_id), 1, events)
    columns: list[list[Any]] = [
        [row.seq for row in rows],
        [row.kind for row in rows],
        [row.version for row in rows],
        [row.at for row in rows],
        [row.body for row in rows],
        [row.chain for row in rows],
    ]
    return await statements.fetch_one(
        QUERIES.submit_run, run_id, tenant, UUID(origin.agent_id), origin.goal, origin.planner,
        priority, origin.trace_id, origin.code_version,
        UUID(parent.root_run_id) if parent else None, len(events),
        UUID(parent.run_id) if parent else None, parent.step_id if parent else None,
        UUID(derived.run_id) if derived else None, derived.how.value if derived else None,
        program.name if program else None, state.heard,
        sum(not step.plans for step in state.steps.values()), state.totals.attempts,
        state.totals.cost_microusd, state.totals.input_tokens, state.totals.output_tokens,
        *columns,
    )  # fmt: skip


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
