"""`AgentProfile`: who an agent is and what it may do. Each run keeps a copy of its agent's."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .values import Contract


class InDoubtPolicy(StrEnum):
    """What happens to a run whose unsafe effect may or may not have happened. Where the skill can
    reconcile it is asked first, whatever the policy; this decides what stays unclear.

    quarantine  the run ends, out of circulation, until a person has looked at it
    fail        the run ends as failed; the effect is left as it is
    ask         the run waits for a person's decision: it happened, it did not, or undo it
    compensate  the skill's compensation runs, which is harmless if nothing had happened; the run
                ends. A skill without one is treated as `quarantine`
    retry       the call is made again, and may so happen twice: only for what can be lived with
    """

    QUARANTINE = "quarantine"
    FAIL = "fail"
    ASK = "ask"
    COMPENSATE = "compensate"
    RETRY = "retry"


class PlannerChoice(Contract):
    """Which planner, and which model it (and `llm_invoke` by default) uses. `auto`: Claude when a
    key is configured, the offline rules otherwise; what was chosen is recorded with the run.
    """

    name: str = Field(default="auto", pattern=r"^[a-z][a-z0-9_]*$")
    model: str | None = None


class RunLimits(Contract):
    """Bounds of one run."""

    max_steps: int = Field(default=50, ge=1, le=1_000)
    max_rounds: int = Field(default=12, ge=1, le=100)
    run_timeout_s: float = Field(default=3_600.0, gt=0)
    concurrent_runs: int = Field(default=8, ge=1, le=1_000)


class Dedicated(Contract):
    """A process of an agent's own, with resources of its own, instead of one from the warm pool:
    for agents that live long or need what only some machines have. It is started cold.
    """

    cpus: float = Field(default=0.1, ge=0)
    gpus: float = Field(default=0.0, ge=0)
    memory_mb: int = Field(default=0, ge=0, description="0: not counted in placement.")
    resources: dict[str, float] = Field(default_factory=dict)


class AgentProfile(Contract):
    """`skills` lists what may be called (None: every registered skill); `denied_skills` wins over
    it. `permissions` are what skills ask for, such as `network:outbound`.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    description: str = Field(default="", max_length=2_000)
    planner: PlannerChoice = PlannerChoice()
    skills: tuple[str, ...] | None = None
    denied_skills: tuple[str, ...] = ()
    permissions: tuple[str, ...] = ("network:outbound", "model:invoke")
    limits: RunLimits = RunLimits()
    on_in_doubt: InDoubtPolicy = InDoubtPolicy.QUARANTINE
    dedicated: Dedicated | None = None
