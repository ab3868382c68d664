"""What each event makes of a run, and which histories are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.runs import (
    RUN,
    START,
    TIMEOUT_S,
    History,
    ok,
    permanent,
    step,
    submitted,
    transient,
)
from tests.support.strategies import counts, outcomes

from aos.actors.runs.events import Plan, RunResumed, RunStarted, RunStatus, StepIntended
from aos.actors.runs.fold import apply, backoff_ms, fold
from aos.actors.runs.state import IllegalTransition, Phase, RunState
from aos.skills.contracts import Effects, EffectState, RetryPolicy, StructuredOutcome, Usage

UNSAFE = Effects.UNSAFE
NONE, DONE, UNKNOWN = EffectState.NONE, EffectState.DONE, EffectState.UNKNOWN


def planned(effects: Effects = Effects.READ, **fields: object) -> History:
    return History().started().planned(step("a", effects, **fields))


def test_a_submitted_run_is_pending_and_has_its_first_planner_step() -> None:
    state = History().state
    assert (state.status, state.seq, state.round) == (RunStatus.PENDING, 1, 1)
    assert list(state.steps) == ["plan"]
    assert state.steps["plan"].plans


def test_a_started_run_is_running_at_its_epoch() -> None:
    state = History().started().state
    assert (state.status, state.epoch, state.started_at) == (RunStatus.RUNNING, 1, START)


def test_a_resumed_run_counts_a_crash_and_has_nothing_under_way() -> None:
    run = planned(UNSAFE).intended("a")
    assert run.state.in_flight == {"a"}
    state = run.resumed().state
    assert (state.epoch, state.crashes, state.in_flight) == (2, 1, frozenset())
    assert state.started_at == START


def test_an_outcome_is_progress_of_its_epoch() -> None:
    run = planned().resumed().resumed().succeeded("a")
    assert (run.state.crashes, run.state.progress_epoch) == (0, 3)


@pytest.mark.parametrize(
    ("effects", "outcome", "phase"),
    [
        (Effects.READ, ok(), Phase.SUCCEEDED),
        (Effects.READ, ok(status="partial"), Phase.SUCCEEDED),
        (Effects.READ, permanent(), Phase.FAILED),
        (Effects.READ, permanent(status="skipped"), Phase.FAILED),
        (Effects.READ, transient(), Phase.OPEN),
        (Effects.PURE, transient(), Phase.OPEN),
        (Effects.IDEMPOTENT, transient(effect=UNKNOWN), Phase.OPEN),
        (Effects.IDEMPOTENT, transient(effect=DONE), Phase.OPEN),
        (Effects.IDEMPOTENT, permanent(effect=UNKNOWN), Phase.FAILED),
        (UNSAFE, ok(effect=DONE), Phase.SUCCEEDED),
        (UNSAFE, ok(effect=UNKNOWN), Phase.SUCCEEDED),
        (UNSAFE, transient(effect=NONE), Phase.OPEN),
        (UNSAFE, transient(effect=DONE), Phase.FAILED),
        (UNSAFE, transient(effect=UNKNOWN), Phase.IN_DOUBT),
        (UNSAFE, permanent(effect=NONE), Phase.FAILED),
        (UNSAFE, permanent(effect=DONE), Phase.FAILED),
        (UNSAFE, permanent(effect=UNKNOWN), Phase.IN_DOUBT),
    ],
)
def test_what_one_attempt_makes_of_its_step(
    effects: Effects, outcome: StructuredOutcome, phase: Phase
) -> None:
    run = planned(effects)
    if effects is UNSAFE:
        run.intended("a")
    step_a = run.settled("a", outcome)["a"]
    assert (step_a.phase, step_a.attempts, step_a.intended) == (phase, 1, False)
    assert (step_a.retry_at is not None) == (phase is Phase.OPEN)


def test_the_last_attempt_fails_the_step() -> None:
    run = planned(retry=RetryPolicy(max_attempts=2, jitter=0))
    assert run.settled("a", transient())["a"].phase is Phase.OPEN
    assert run.settled("a", transient())["a"].phase is Phase.FAILED
    assert run["a"].retry_at is None


def test_a_round_that_failed_for_good_is_the_last_one() -> None:
    run = History().started().planned(step("a"), answer=None).settled("a", permanent())
    assert (run.state.round, list(run.state.steps)) == (1, ["plan", "a"])


def test_retries_wait_exponentially_up_to_a_bound() -> None:
    policy = RetryPolicy(
        max_attempts=5, initial_delay_ms=100, multiplier=3, max_delay_ms=500, jitter=0
    )
    run, waits = planned(retry=policy), []
    for _ in range(4):
        run.settled("a", transient())
        waits.append(run.wait_s)
        run.later(run.wait_s or 0)
    assert waits == [0.1, 0.3, 0.5, 0.5]


def test_a_servers_wish_to_be_left_alone_is_honoured_if_it_is_longer() -> None:
    assert planned().settled("a", transient(retry_after_ms=7_000)).wait_s == 7
    assert planned().settled("a", transient(retry_after_ms=1)).wait_s == pytest.approx(0.1)


def test_jitter_comes_from_the_seed_alone_and_only_adds() -> None:
    policy = RetryPolicy(initial_delay_ms=1_000, jitter=0.5)
    waits = {planned(retry=policy).settled("a", transient()).wait_s for _ in range(3)}
    assert len(waits) == 1
    assert 1 <= waits.pop() <= 1.5
    assert backoff_ms(policy, 1, 0) == 1_000
    assert backoff_ms(policy, 1, 0xFFFFFFFF) == 1_500


@given(
    st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, 10),
        initial_delay_ms=st.integers(0, 10**9),
        max_delay_ms=st.integers(0, 10**9),
        multiplier=st.floats(1, allow_infinity=False),
        jitter=st.floats(0, 1),
    ),
    st.integers(1, 10),
    st.integers(0, 2**63 - 1),
)
def test_every_policy_gives_a_delay_within_its_bounds(
    policy: RetryPolicy, attempt: int, seed: int
) -> None:
    delay = backoff_ms(policy, attempt, seed)
    assert 0 <= delay <= round(policy.max_delay_ms * (1 + policy.jitter))
    assert delay >= min(policy.initial_delay_ms, policy.max_delay_ms)


@given(outcomes, st.sampled_from(Effects))
def test_every_outcome_can_be_taken(outcome: StructuredOutcome, effects: Effects) -> None:
    run = planned(effects)
    if effects is UNSAFE:
        run.intended("a")
    assert run.settled("a", outcome)["a"].outcome == outcome


@pytest.mark.parametrize("retry_after_ms", [86_400_000, 10**15, 2**53 - 1])
def test_a_wish_to_be_left_alone_for_ever_does_not_break_the_journal(retry_after_ms: int) -> None:
    """A plug-in may say anything that a journal can hold; the agent must not die of it."""
    run = planned().settled("a", transient(retry_after_ms=retry_after_ms))
    assert run.wait_s == TIMEOUT_S


@given(st.lists(st.tuples(counts, counts, counts), max_size=4))
def test_totals_are_the_sums_over_all_attempts(attempts: list[tuple[int, int, int]]) -> None:
    run = planned(retry=RetryPolicy(max_attempts=10))
    before = run.state.totals
    for cost, given_tokens, got_tokens in attempts:
        usage = Usage(provider="p", model="m", input_tokens=given_tokens, output_tokens=got_tokens)
        run.settled("a", transient(cost_microusd=cost, usage=(usage, usage)))
    totals = run.state.totals
    assert totals.attempts - before.attempts == len(attempts)
    assert totals.cost_microusd == sum(cost for cost, _, _ in attempts)
    assert totals.input_tokens == 2 * sum(tokens for _, tokens, _ in attempts)
    assert totals.output_tokens == 2 * sum(tokens for _, _, tokens in attempts)


def test_a_plan_brings_its_steps_and_its_memo() -> None:
    run = History().started().planned(step("a"), answer=None, memo={"said": 1}).succeeded("a")
    run.planned(step("b"), answer=None, memo={"said": 2})
    assert [(each.spec.id, each.round) for each in run.state.steps.values()] == [
        ("plan", 1), ("a", 1), ("plan-2", 2), ("b", 2),
    ]  # fmt: skip
    assert run.state.memos == (({"said": 1}, {}), ({"said": 2}, {}))


def test_a_planner_that_was_wrong_once_is_askedagain_in_the_same_round() -> None:
    run = History().started().settled("plan", transient()).later(60)
    assert run.dispatches == ["plan"]
    assert run.state.round == 1


def test_the_end_keeps_what_it_says() -> None:
    state = History().started().finished(RunStatus.CANCELLED).state
    assert state.status is RunStatus.CANCELLED
    assert state.finished is not None


def test_folding_is_applying_one_by_one() -> None:
    run = planned().settled("a", transient()).resumed().succeeded("a").finished()
    state = RunState(RUN)
    for count, event in enumerate(run.events, start=1):
        state = apply(state, event)
        assert state == fold(RUN, run.events[:count])
        assert state.seq == count


def intend(run: History, step_id: str, attempt: int) -> History:
    return run.append(
        StepIntended(at=START, step_id=step_id, attempt=attempt, skill="s", idempotency_key="k")
    )


def unstarted() -> History:
    history = History()
    history.events.clear()
    return history


def renamed(run: History, step_id: str) -> History:
    run.events[-1] = run.events[-1].model_copy(update={"step_id": step_id})
    return run


def again(run: History, attempt: int = 1) -> History:
    return run.append(run.events[-1].model_copy(update={"attempt": attempt}))


ILLEGAL: dict[str, Callable[[], History]] = {
    "a journal that does not begin": lambda: unstarted().append(RunStarted(at=START, epoch=1)),
    "a second beginning": lambda: History().append(submitted()),
    "anything after the end": lambda: History().started().finished().resumed(),
    "a second end": lambda: History().started().finished().finished(),
    "an end that is none": lambda: History().started().finished(RunStatus.WAITING),
    "an outcome of a step that nobody planned": lambda: renamed(planned().succeeded("a"), "b"),
    "a second outcome of one attempt": lambda: again(planned().settled("a", transient())),
    "an outcome after success": lambda: again(planned().succeeded("a"), attempt=2),
    "an outcome after failure": lambda: again(planned().settled("a", permanent()), attempt=2),
    "an outcome after doubt": lambda: planned(UNSAFE).intended("a").resumed().succeeded("a"),
    "an intent after doubt": lambda: planned(UNSAFE).intended("a").resumed().intended("a"),
    "an attempt left out": lambda: again(planned().settled("a", transient()), attempt=3),
    "a step planned twice": lambda: (
        History().started().planned(step("a"), answer=None).succeeded("a").planned(step("a"))
    ),
    "a second start": lambda: History().started().started(),
    "a resumption of what never started": lambda: History().append(RunResumed(at=START, epoch=2)),
    "an intent of another attempt": lambda: intend(planned(UNSAFE), "a", 2),
    "an intent of what needs none": lambda: intend(planned(Effects.READ), "a", 1),
    "an unsafe outcome without an intent": lambda: planned(UNSAFE).succeeded("a"),
}


@pytest.mark.parametrize("name", ILLEGAL)
def test_what_no_version_of_aos_writes_is_refused(name: str) -> None:
    with pytest.raises(IllegalTransition):
        fold(RUN, ILLEGAL[name]().events)


def test_an_empty_journal_has_no_origin() -> None:
    with pytest.raises(IllegalTransition, match=str(RUN)):
        _ = RunState(RUN).origin


def test_a_state_is_not_changed_by_what_follows() -> None:
    run = planned()
    before = run.state
    kept = replace(before)
    apply(before, run.succeeded("a").events[-1])
    assert before == kept
    assert before.steps["a"].phase is Phase.OPEN


def test_an_empty_plan_without_an_answer_opens_the_next_round() -> None:
    run = History().started().settled("plan", ok(), Plan())
    assert run.dispatches == ["plan-2"]
