"""The words that events are made of: plans, origins, verdicts. Part of the wire format."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from ...skills.contracts import Contract, Effects, RetryPolicy
from ...skills.contracts.values import JsonObject, JsonValue


class RunStatus(StrEnum):
    """pending → running → (waiting | paused)* → one of the rest, which are final."""

    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    PARTIAL = "partial"
    CANCELLED = "cancelled"
    QUARANTINED = "quarantined"

    @property
    def final(self) -> bool:
        """Whether nothing can happen to the run any more."""
        return self not in (self.PENDING, self.RUNNING, self.WAITING, self.PAUSED)


class OnError(StrEnum):
    """What a step's permanent failure means for its run."""

    ABORT = "abort"
    CONTINUE = "continue"


class PlannedStep(Contract):
    """One node of an admitted plan's graph. `params` may hold `{{step.path}}` references to steps
    in `depends_on`. Version, effect class, retry policy and hooks are pinned here, so that no
    decision depends on what is installed later. `line`: where a program asked for it. `large`: the
    params that are stored apart, as in `StepSettled`.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    skill: str
    version: str
    effects: Effects
    params: JsonObject = Field(default_factory=dict)
    large: dict[str, str] = Field(default_factory=dict[str, str])
    depends_on: tuple[str, ...] = ()
    on_error: OnError = OnError.ABORT
    retry: RetryPolicy = RetryPolicy()
    literal: bool = False
    reconciles: bool = False
    compensates: bool = False
    line: str = ""


class Plan(Contract):
    """One admitted round: steps, or an answer, or steps and a template of the answer.

    Without an answer the planner is asked again with what was observed. `memo` is the planner's own
    and opaque: it is handed back in the next round. In a `literal` plan braces are text, not
    references. What is too large of answer and memo is stored apart, as in `StepSettled`.
    """

    steps: tuple[PlannedStep, ...] = ()
    answer: JsonValue = None
    memo: JsonValue = None
    literal: bool = False
    answer_large: dict[str, str] = Field(default_factory=dict[str, str])
    memo_large: dict[str, str] = Field(default_factory=dict[str, str])

    @property
    def has_answer(self) -> bool:
        """Whether this is the last round."""
        return self.answer is not None or bool(self.answer_large)

    @property
    def all_large(self) -> frozenset[str]:
        """The content hashes of everything that is stored apart."""
        of_steps = (digest for step in self.steps for digest in step.large.values())
        return frozenset((*self.answer_large.values(), *self.memo_large.values(), *of_steps))


class ProgramRef(Contract):
    """The code of a durable program: its source by content hash, and the function in it."""

    name: str
    hash: str
    entry: str


class ProgramError(Contract):
    """What a program raised, and where."""

    code: str
    message: str
    line: str = ""


class Parent(Contract):
    """Whose child a run is. `lineage` has one hash for each ancestor's work, the nearest last: work
    that is its own ancestor would go on for ever.
    """

    run_id: str
    step_id: str
    root_run_id: str
    lineage: tuple[str, ...] = ()


class Derivation(StrEnum):
    """How a run was made from another one."""

    FORK = "fork"
    RERUN = "rerun"
    REPAIR = "repair"
    REQUEUE = "requeue"


class Derived(Contract):
    """The run that another one was made from. Events copied from it keep what they said."""

    how: Derivation
    run_id: str
    seq: int
    step_id: str = ""
    by: str = ""
    reason: str = ""


class Verdict(StrEnum):
    """What is said of an effect that may have happened or not."""

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did_not_happen"
    UNCLEAR = "unclear"
    RETRY = "retry"
    FAIL = "fail"
    COMPENSATE = "compensate"


class Source(StrEnum):
    """Who said it."""

    HOOK = "hook"
    POLICY = "policy"
    PERSON = "person"


class Action(StrEnum):
    """What an operator's repair does to a step."""

    SKIP = "skip"
    SET_RESULT = "set_result"
    REDRIVE = "redrive"


class Journaled(Contract):
    """Base of all events. `at` is the writer's clock, UTC; the order is `seq`, never `at`."""

    version: ClassVar[int] = 1
    at: datetime
