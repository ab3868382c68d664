"""The shapes on the wire: what the door answers with and the SDK returns.

Pure, and tolerant: an older client ignores fields that a newer server adds.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...skills.contracts import AgentProfile, JsonValue

FINAL_STATUSES = frozenset({"completed", "failed", "partial", "cancelled", "quarantined"})


class Shape(BaseModel):
    """Base of all of them."""

    model_config = ConfigDict(frozen=True)


class AgentView(Shape):
    """An agent, and where it is active now, if it is."""

    id: UUID
    name: str
    profile: AgentProfile
    state: str
    epoch: int
    host: str | None
    pid: int | None
    created_at: datetime
    activated_at: datetime | None
    quarantined_until: datetime | None


class AgentPage(Shape):
    """Agents, oldest first. `next_cursor` is null on the last page."""

    items: list[AgentView]
    next_cursor: str | None


class Totals(Shape):
    """What a run has consumed. Money is in millionths of a US dollar."""

    steps: int
    attempts: int
    cost_microusd: int
    input_tokens: int
    output_tokens: int


class RunSummary(Shape):
    """A run as lists show it. `duration_ms` is from its acceptance to its end; `last_seq` is the
    number of its last event. A run that holds no process says what it `waits_for`, and when it
    looks again at the latest (`wake_at`, null: when somebody says something). `derived_from` is the
    run that it was made from, `derived_how`: fork, rerun, repair or requeue.
    """

    id: UUID
    agent_id: UUID
    agent: str
    goal: str
    status: str
    planner: str
    priority: int
    trace_id: str
    last_seq: int
    code: str | None
    message: str | None
    totals: Totals
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_ms: int | None
    waits_for: str | None = None
    wake_at: datetime | None = None
    parent_run_id: UUID | None = None
    derived_from: UUID | None = None
    derived_how: str | None = None
    program: str | None = None

    @property
    def final(self) -> bool:
        """Whether nothing can happen to the run any more."""
        return self.status in FINAL_STATUSES


class StepView(Shape):
    """One step. Duration and cost are those of all its attempts together; `code` is the last's.

    `status`: open, waiting, succeeded, failed, in_doubt, or skipped (it will never run). What a
    waiting step `waits_for` is in words; `child_run_id` is the run that it has made.
    """

    id: str
    skill: str
    version: str
    round: int
    plans: bool
    status: str
    code: str | None
    attempts: int
    duration_ms: int
    cost_microusd: int
    message: str
    waits_for: str | None = None
    until: datetime | None = None
    child_run_id: UUID | None = None


class RunView(RunSummary):
    """A run with its steps and its answer. `resumes`: how often another process took it over."""

    answer: JsonValue
    steps: list[StepView]
    resumes: int


class RunPage(Shape):
    """Runs, newest first. `next_cursor` is null on the last page."""

    items: list[RunSummary]
    next_cursor: str | None


class RunEvent(BaseModel):
    """One journal event as streams show it; what else it has depends on its kind."""

    model_config = ConfigDict(frozen=True, extra="allow")

    seq: int
    at: datetime
    kind: str

    @property
    def fields(self) -> dict[str, Any]:
        """What this kind of event has beside the common fields."""
        return self.model_extra or {}


class RunRequest(BaseModel):
    """A goal for an agent, named or by id."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    agent: str = Field(min_length=1, max_length=100)
    goal: str = Field(min_length=1, max_length=10_000)
    priority: int = Field(default=0, ge=-100, le=100)
    program: str | None = Field(default=None, min_length=1, max_length=100)

    @field_validator("goal", "agent", "program")
    @classmethod
    def _storable(cls, text: str | None) -> str | None:
        if text is not None and "\x00" in text:
            raise ValueError("Text must not contain NUL characters")
        return text


class SupervisionEvent(Shape):
    """Something that a supervisor decided, and why. `child`: an agent's id, or the name of a part;
    `name`: the agent's. `epoch`: the agent's at that moment. `delay_ms`: how long what was decided
    waits, such as a restart, or lasts, such as a quarantine.

    `kind`: started, ended, restarting, quarantined, trial, pending, … `reason` is that
    of the end, in OTP's words: crash, killed, shutdown, start_error, …
    """

    id: int
    at: datetime
    tenant: str | None = None
    supervisor: str
    child: str
    name: str | None = None
    epoch: int | None = None
    kind: str
    reason: str
    detail: str
    delay_ms: int


class EventPage(Shape):
    """What supervisors did, newest first. `next_cursor` is null on the last page. `why`, on the
    first page of one child's: why it was restarted, or is not, in words.
    """

    items: list[SupervisionEvent]
    next_cursor: str | None
    why: str | None = None


class TreeNode(BaseModel):
    """A member of the supervision tree, and its children. What else it tells of itself, such as the
    warm processes of a host manager, is kept as it is.

    `state`: waiting, starting, running, stopping, stopped or quarantined. `type`: worker or
    supervisor. `restart`: permanent, transient or temporary. `since`: it runs since then. `until`:
    it waits, or is quarantined, until then. `waits_for`: what no machine has.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str
    agent_id: str | None = None
    name: str | None = None
    tenant: str | None = None
    kind: str | None = None
    type: str | None = None
    state: str = ""
    pid: int | None = None
    epoch: int | None = None
    restart: str | None = None
    restarts: int = 0
    since: datetime | None = None
    until: datetime | None = None
    waits_for: str | None = None
    unreachable: str | None = None
    children: list[TreeNode] = Field(default_factory=list["TreeNode"])

    @property
    def title(self) -> str:
        """What people call it; of an agent that is a team's member also its place there."""
        if self.name and self.agent_id not in (None, self.id):
            return f"{self.id} ({self.name})"
        return self.name or self.id

    def walk(self) -> Iterator[TreeNode]:
        """The node itself, and all below it."""
        yield self
        for child in self.children:
            yield from child.walk()


class StatusView(Shape):
    """What runs here. Parts that cannot be had now are null, and `problems` says why. `stops` are
    the reasons of emergency stops in force.
    """

    instance: str
    version: str
    postgres: dict[str, Any]
    tree: dict[str, Any] | None
    resources: dict[str, float] | None
    agents: dict[str, int] | None
    runs: dict[str, int] | None
    ray_address: str | None
    dashboard_url: str | None
    problems: list[str]
    stops: list[str] = Field(default_factory=list[str])
