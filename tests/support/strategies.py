"""Values of every shape that AOS keeps, for property tests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from aos.actors.runs.events import (
    Action,
    CancelRequested,
    ChildEnded,
    ChildSpawned,
    DecisionMade,
    Derivation,
    Derived,
    Event,
    IntentWithdrawn,
    MessageIgnored,
    OnError,
    Parent,
    Plan,
    PlannedStep,
    ProgramAdvanced,
    ProgramError,
    ProgramRef,
    RunContinued,
    RunFinished,
    RunParked,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStatus,
    RunSubmitted,
    RunWoken,
    SignalReceived,
    Source,
    StepClosed,
    StepCompensated,
    StepIntended,
    StepReconciled,
    StepRepaired,
    StepSettled,
    Verdict,
    WaitBegan,
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
    reconciles=st.booleans(),
    compensates=st.booleans(),
    line=st.text(),
)
plans = st.builds(
    Plan,
    steps=st.lists(planned_steps, max_size=3).map(tuple),
    answer=json_values,
    memo=json_values,
    literal=st.booleans(),
)
programs = st.builds(ProgramRef, name=st.text(), hash=digests, entry=st.text())
parents = st.builds(
    Parent, run_id=st.text(), step_id=step_ids, root_run_id=st.text(),
    lineage=st.lists(st.text(), max_size=2).map(tuple),
)  # fmt: skip
derivations = st.builds(
    Derived, how=st.sampled_from(Derivation), run_id=st.text(), seq=counts, step_id=st.text(),
    by=st.text(), reason=st.text(),
)  # fmt: skip
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
        program=st.none() | programs,
        parent=st.none() | parents,
        derived=st.none() | derivations,
        overrides=st.dictionaries(step_ids, json_objects, max_size=2),
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
_heard: dict[str, Any] = {"at": instants, "number": st.integers(1, 10**6), "by": st.text()}
events_by_kind |= {
    "run_parked": st.builds(
        RunParked, at=instants, until=st.none() | instants, reason=st.text(), timed=st.booleans()
    ),
    "run_woken": st.builds(RunWoken, at=instants, epoch=counts),
    "step_reconciled": st.builds(
        StepReconciled, at=instants, step_id=step_ids, verdict=st.sampled_from(Verdict),
        source=st.sampled_from(Source), output=json_values, large=large_fields, by=st.text(),
        reason=st.text(), number=counts,
    ),
    "step_compensated": st.builds(
        StepCompensated, at=instants, step_id=step_ids, attempt=st.integers(1, 9), outcome=outcomes
    ),
    "intent_withdrawn": st.builds(
        IntentWithdrawn, at=instants, step_id=step_ids, reason=st.text()
    ),
    "wait_began": st.builds(
        WaitBegan, at=instants, step_id=step_ids, until=st.none() | instants,
        signal=st.none() | st.text(), child_run_id=st.none() | st.text(),
        question=st.none() | st.text(),
    ),
    "child_spawned": st.builds(
        ChildSpawned, at=instants, step_id=step_ids, child_run_id=st.text()
    ),
    "step_closed": st.builds(StepClosed, at=instants, step_id=step_ids, outcome=outcomes),
    "program_advanced": st.builds(
        ProgramAdvanced, at=instants, requests=st.lists(planned_steps, max_size=2).map(tuple),
        abandoned=st.lists(step_ids, max_size=2).map(tuple),
        patches=st.lists(st.text(), max_size=2).map(tuple), finished=st.booleans(),
        answer=json_values, large=large_fields,
        error=st.none() | st.builds(ProgramError, code=st.text(), message=st.text()),
    ),
    "signal_received": st.builds(
        SignalReceived, **_heard, name=st.text(), payload=json_values, large=large_fields
    ),
    "decision_made": st.builds(
        DecisionMade, **_heard, step_id=step_ids, approved=st.booleans(), value=json_values,
        large=large_fields, comment=st.text(),
    ),
    "child_ended": st.builds(
        ChildEnded, **_heard, step_id=step_ids, child_run_id=st.text(),
        status=st.sampled_from(RunStatus), code=st.text(), message=st.text(), answer=json_values,
        large=large_fields,
    ),
    "cancel_requested": st.builds(CancelRequested, **_heard, reason=st.text()),
    "run_paused": st.builds(RunPaused, **_heard, reason=st.text()),
    "run_continued": st.builds(RunContinued, **_heard),
    "step_repaired": st.builds(
        StepRepaired, **_heard, step_id=step_ids, action=st.sampled_from(Action),
        output=json_values, large=large_fields, reason=st.text(),
    ),
    "message_ignored": st.builds(
        MessageIgnored, **_heard, about=st.text(), reason=st.text()
    ),
}  # fmt: skip
events = st.one_of(*events_by_kind.values())
