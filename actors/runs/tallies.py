"""What journals add up to: one event's share of the counters, as a pure function.

Telemetry tells the truth because it is a fold of what happened: a replay, a resume or a restarted
process counts nothing twice, and nothing is counted that was not committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ...cluster.telemetry.metrics import Family, Tallies, counted, observed
from ...skills.contracts import StructuredOutcome, Usage
from .events import Event, RunFinished, RunResumed, StepSettled

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
_RUN_SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0)
_UNKNOWN = "unknown"

RUNS = Family("aos_runs_total", "Runs that came to their end.", ("status", "planner"))
RUN_SECONDS = Family(
    "aos_run_duration_seconds", "From acceptance to the end.", ("planner",), _RUN_SECONDS
)
RESUMES = Family("aos_run_resumes_total", "Runs taken up again after their process had ended.")
ATTEMPTS = Family(
    "aos_skill_attempts_total", "Attempts of skills, by outcome code.", ("skill", "code"),
    max_values=200,
)  # fmt: skip
SKILL_SECONDS = Family(
    "aos_skill_duration_seconds", "Execution of one attempt.", ("skill",), _SECONDS, 200
)
PLANS = Family(
    "aos_plans_generated_total", "Rounds of planning, by how they ended.", ("planner", "status")
)
PLAN_STEPS = Family("aos_plan_steps_total", "Steps in admitted plans.", ("planner",))
INVOCATIONS = Family(
    "aos_llm_invocations_total", "Calls of language models.", ("provider", "model", "status")
)
TOKENS = Family(
    "aos_llm_tokens_total",
    "Tokens; `input` is without those read from the provider's cache, which are `cached`.",
    ("provider", "model", "token_type"),
)
COST = Family(
    "aos_llm_cost_microusd_total", "Millionths of a US dollar.", ("provider", "model")
)  # fmt: skip

FAMILIES = (
    RUNS, RUN_SECONDS, RESUMES, ATTEMPTS, SKILL_SECONDS, PLANS, PLAN_STEPS, INVOCATIONS, TOKENS,
    COST,
)  # fmt: skip
"""Everything that is counted from journals."""

_PLANNER = "planner."


@dataclass(frozen=True, slots=True)
class Origin:
    """What an event's run is known for."""

    planner: str
    created_at: datetime


def tallies_of(event: Event, origin: Origin) -> Iterator[Tallies]:
    """One event's share."""
    match event:
        case RunFinished():
            seconds = max(0.0, (event.at - origin.created_at).total_seconds())
            yield counted(RUNS, event.status.value, origin.planner)
            yield observed(RUN_SECONDS, origin.planner, value=seconds)
        case RunResumed():
            yield counted(RESUMES)
        case StepSettled():
            yield from _attempt(event)
            yield from _planning(event, origin)
            yield from _model_calls(event.outcome)
        case _:
            return


def _attempt(event: StepSettled) -> Iterator[Tallies]:
    outcome = event.outcome
    skill = outcome.skill or _UNKNOWN
    yield counted(ATTEMPTS, skill, outcome.code)
    yield observed(SKILL_SECONDS, skill, value=outcome.duration_ms / 1000)


def _planning(event: StepSettled, origin: Origin) -> Iterator[Tallies]:
    if event.plan is not None:
        yield counted(PLAN_STEPS, origin.planner, amount=len(event.plan.steps))
    if event.plan is not None or event.outcome.skill.startswith(_PLANNER):
        yield counted(PLANS, origin.planner, event.outcome.status.value)


def _model_calls(outcome: StructuredOutcome) -> Iterator[Tallies]:
    """One call per usage. The outcome's cost is one sum, so it goes to the first call's model; a
    call that failed before anything was consumed leaves only its code.
    """
    for usage in outcome.usage:
        yield counted(INVOCATIONS, usage.provider, usage.model, outcome.status.value)
        yield from _tokens(usage)
    if outcome.usage:
        first = outcome.usage[0]
        yield counted(COST, first.provider, first.model, amount=outcome.cost_microusd)
    elif outcome.code.startswith("ERR_LLM_"):
        yield counted(INVOCATIONS, _UNKNOWN, _UNKNOWN, outcome.status.value)


def _tokens(usage: Usage) -> Iterator[Tallies]:
    for kind, amount in (
        ("input", max(0, usage.input_tokens - usage.cached_tokens)),
        ("cached", usage.cached_tokens),
        ("output", usage.output_tokens),
    ):
        yield counted(TOKENS, usage.provider, usage.model, kind, amount=amount)
