"""Values of every shape that AOS keeps, for property tests."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from aos.actors.runs.events import (
    Event,
    OnError,
    Plan,
    PlannedStep,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStatus,
    RunSubmitted,
    StepIntended,
    StepSettled,
)
from aos.cluster.errors import Blame
from aos.skills.contracts import (
    TAXONOMY,
    AgentProfile,
    Effects,
    EffectState,
    InDoubtPolicy,
    PlannerChoice,
    RetryPolicy,
    RunLimits,
    SideEffect,
    Status,
    StructuredOutcome,
    Usage,
)

SAFE = 2**53 - 1

safe_integers = st.integers(-SAFE, SAFE)
finite = st.floats(allow_nan=False, allow_infinity=False)
moderate = st.floats(-float(SAFE), float(SAFE))
"""Floats that stay numbers of the same kind when JSON writes them without a fraction."""

json_scalars = st.none() | st.booleans() | safe_integers | moderate | st.text()
json_values = st.recursive(
    json_scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=3)

counts = st.integers(0, 10**9)
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds the zone
step_ids = st.from_regex(r"[a-z][a-z0-9_-]{0,8}", fullmatch=True)
versions = st.from_regex(r"[0-9]\.[0-9]\.[0-9]", fullmatch=True)
digests = st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True)

retry_policies = st.builds(
    RetryPolicy,
    max_attempts=st.integers(1, 10),
    initial_delay_ms=st.integers(0, 10_000),
    max_delay_ms=st.integers(0, 100_000),
    multiplier=st.floats(1, 10),
    jitter=st.floats(0, 1),
)
usages = st.builds(
    Usage,
    provider=st.text(),
    model=st.text(),
    input_tokens=counts,
    output_tokens=counts,
    cached_tokens=counts,
)
outcomes = st.builds(
    StructuredOutcome,
    status=st.sampled_from(Status),
    code=st.sampled_from(sorted(TAXONOMY)),
    message=st.text(),
    output=json_values,
    retryable=st.booleans(),
    blame=st.none() | st.sampled_from(Blame),
    retry_after_ms=st.none() | st.integers(0, 86_400_000),
    effect=st.sampled_from(EffectState),
    cost_microusd=counts,
    usage=st.lists(usages, max_size=2).map(tuple),
    duration_ms=counts,
    side_effects=st.lists(
        st.builds(SideEffect, type=st.text(), target=st.text(), reversible=st.booleans()),
        max_size=2,
    ).map(tuple),
    details=json_objects,
    skill=st.text(max_size=8),
    version=st.text(max_size=8),
)
profiles = st.builds(
    AgentProfile,
    name=step_ids,
    description=st.text(),
    planner=st.builds(PlannerChoice, model=st.none() | st.text()),
    skills=st.none() | st.lists(st.text(), max_size=3).map(tuple),
    denied_skills=st.lists(st.text(), max_size=3).map(tuple),
    permissions=st.lists(st.text(), max_size=3).map(tuple),
    limits=st.builds(
        RunLimits,
        max_steps=st.integers(1, 1_000),
        max_rounds=st.integers(1, 100),
        run_timeout_s=st.floats(0.001, 1e6),
        concurrent_runs=st.integers(1, 1_000),
    ),
    on_in_doubt=st.sampled_from(InDoubtPolicy),
)
planned_steps = st.builds(
    PlannedStep,
    id=step_ids,
    skill=st.text(),
    version=versions,
    effects=st.sampled_from(Effects),
    params=json_objects,
    depends_on=st.lists(step_ids, max_size=2).map(tuple),
    on_error=st.sampled_from(OnError),
    retry=retry_policies,
    literal=st.booleans(),
)
plans = st.builds(
    Plan,
    steps=st.lists(planned_steps, max_size=3).map(tuple),
    answer=json_values,
    memo=json_values,
    literal=st.booleans(),
)
large_fields = st.dictionaries(st.text(), digests, max_size=2)

events_by_kind: dict[str, st.SearchStrategy[Event]] = {
    "run_submitted": st.builds(
        RunSubmitted,
        at=instants,
        agent_id=st.text(),
        agent_name=st.text(),
        goal=st.text(),
        planner=st.text(),
        profile=profiles,
        seed=safe_integers,
        trace_id=st.text(),
        code_version=st.text(),
    ),
    "run_started": st.builds(RunStarted, at=instants, epoch=counts),
    "run_resumed": st.builds(RunResumed, at=instants, epoch=counts),
    "step_intended": st.builds(
        StepIntended,
        at=instants,
        step_id=step_ids,
        attempt=st.integers(1, 10),
        skill=st.text(),
        idempotency_key=st.text(),
    ),
    "step_settled": st.builds(
        StepSettled,
        at=instants,
        step_id=step_ids,
        attempt=st.integers(1, 10),
        effects=st.sampled_from(Effects),
        idempotency_key=st.text(),
        outcome=outcomes,
        plan=st.none() | plans,
        large=large_fields,
    ),
    "run_finished": st.builds(
        RunFinished,
        at=instants,
        status=st.sampled_from(RunStatus),
        code=st.sampled_from(sorted(TAXONOMY)),
        message=st.text(),
        answer=json_values,
        large=large_fields,
    ),
}
events = st.one_of(*events_by_kind.values())
