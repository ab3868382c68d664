"""The table in `machine.decide`'s docstring, row by row."""

from __future__ import annotations

import pytest
from tests.support.runs import START, TIMEOUT_S, History, in_flight, permanent, step, transient

from aos.actors.runs.events import OnError, RunStatus
from aos.actors.runs.machine import POISON_AFTER, Dispatch, WaitUntil, decide
from aos.skills.contracts import Effects, EffectState, InDoubtPolicy, RetryPolicy

CONTINUE = OnError.CONTINUE
COMPLETED, FAILED, PARTIAL = RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.PARTIAL
QUARANTINED = RunStatus.QUARANTINED


def at_its_planner() -> History:
    return History().started()


# finished: nothing


@pytest.mark.parametrize("status", [status for status in RunStatus if status.final])
def test_a_finished_run_does_nothing(status: RunStatus) -> None:
    assert at_its_planner().finished(status).later(10 * TIMEOUT_S).decide() == ()


# resumed 3 times without progress: quarantined


def test_three_deaths_in_a_row_without_an_outcome_are_poison() -> None:
    run = History().started().planned(step("a"), step("b", needs=["a"])).crashed(POISON_AFTER)
    assert run.ending is not None
    assert (run.ending.status, run.ending.code) == (QUARANTINED, "ERR_POISON_RUN")
    assert run.ending.message.endswith("under way or next: a")


def test_two_are_not() -> None:
    run = at_its_planner().crashed(POISON_AFTER - 1)
    assert run.dispatches == ["plan"]


def test_an_outcome_in_between_starts_the_count_anew() -> None:
    run = History().started().planned(step("a"), step("b")).crashed(2)
    run.settled("a", permanent(), None)
    assert History().started().state.crashes == 0
    run = History().started().planned(step("a"), step("b")).crashed(2).succeeded("a").crashed(2)
    assert run.dispatches == ["b"]
    assert run.crashed(1).ending is not None


def test_a_failed_attempt_is_an_outcome_too() -> None:
    run = History().started().planned(step("a")).crashed(2).settled("a", transient()).crashed(2)
    assert run.later(1).dispatches == ["a"]


# past its deadline: failed


def test_a_run_that_takes_too_long_fails() -> None:
    run = History(run_timeout_s=30).started().later(30)
    assert run.ending is not None
    assert (run.ending.status, run.ending.code) == (FAILED, "ERR_RUN_TIMEOUT")
    assert "30 s" in run.ending.message


def test_the_deadline_counts_from_submission_and_holds_to_the_instant() -> None:
    run = History(run_timeout_s=30).later(20).started().later(9.999)
    assert run.ending is None
    assert run.wait_s == pytest.approx(0.001)
    assert run.later(0.001).ending is not None


def test_what_is_under_way_does_not_stop_the_deadline() -> None:
    run = History(run_timeout_s=30).started().later(30)
    (ending,) = decide(in_flight(run, "plan"), run.now)
    assert ending == run.ending


# something failed: let what is under way end, then fail


def test_a_step_that_fails_for_good_fails_the_run() -> None:
    run = History().started().planned(step("a"), step("b")).settled("a", permanent())
    assert run.ending is not None
    assert (run.ending.status, run.ending.code) == (FAILED, "ERR_HTTP_404")
    assert run.ending.message == "step a: no such page"


def test_a_run_that_will_fail_starts_nothing_and_waits_for_what_is_under_way() -> None:
    run = History().started().planned(step("a"), step("b"), step("c")).settled("a", permanent())
    commands = decide(in_flight(run, "b"), run.now)
    assert not [each for each in commands if not isinstance(each, WaitUntil)]


def test_a_failing_run_still_keeps_its_deadline() -> None:
    """Else a step that is slow to end holds the run up for as long as it likes."""
    run = History(run_timeout_s=30).started().planned(step("a"), step("b"))
    run.settled("a", permanent()).later(10)
    (wait,) = decide(in_flight(run, "b"), run.now)
    assert isinstance(wait, WaitUntil)
    assert (wait.instant - START).total_seconds() == 30


def test_a_step_that_may_fail_does_not_fail_the_run() -> None:
    run = History().started().planned(step("a", on_error=CONTINUE), step("b"))
    assert run.settled("a", permanent()).dispatches == ["b"]


def test_a_planner_that_fails_fails_the_run() -> None:
    run = at_its_planner().settled("plan", permanent())
    assert run.ending is not None
    assert (run.ending.status, run.ending.code) == (FAILED, "ERR_HTTP_404")


# something in doubt: let what is under way end, then finish by policy


@pytest.mark.parametrize(
    ("policy", "status"),
    [(InDoubtPolicy.QUARANTINE, QUARANTINED), (InDoubtPolicy.FAIL, FAILED)],
)
def test_doubt_ends_the_run_by_its_policy(policy: InDoubtPolicy, status: RunStatus) -> None:
    run = History(on_in_doubt=policy).started().planned(step("pay", Effects.UNSAFE), step("b"))
    run.intended("pay").resumed()
    assert run.ending is not None
    assert (run.ending.status, run.ending.code) == (status, "ERR_IN_DOUBT")
    assert run.state.idempotency_key("pay") in run.ending.message
    assert not any(isinstance(each, Dispatch) for each in decide(in_flight(run, "b"), run.now))


def test_doubt_counts_more_than_a_failure() -> None:
    run = History().started().planned(step("a"), step("pay", Effects.UNSAFE)).intended("pay")
    run.settled("a", permanent())
    run.settled("pay", transient(effect=EffectState.UNKNOWN))
    assert run.ending is not None
    assert run.ending.code == "ERR_IN_DOUBT"


# too many rounds: failed


def test_a_planner_that_finds_no_end_fails_the_run() -> None:
    run = History(max_rounds=2).started()
    run.planned(step("a"), answer=None).succeeded("a")
    assert run.dispatches == ["plan-2"]
    run.planned(step("b"), answer=None).succeeded("b")
    assert run.ending is not None
    assert (run.ending.status, run.ending.code) == (FAILED, "ERR_TOO_MANY_ROUNDS")


# the round has its answer: completed or partial


def test_an_answer_without_steps_completes_the_run() -> None:
    run = at_its_planner().planned(answer={"text": "42"})
    assert run.ending is not None
    assert (run.ending.status, run.ending.code) == (COMPLETED, "OK")
    assert run.ending.answer == {"text": "42"}


def test_an_answer_waits_for_all_steps_of_its_round() -> None:
    run = History().started().planned(step("a"), step("b", needs=["a"]), answer="{{a}}")
    assert run.succeeded("a").ending is None
    assert run.succeeded("b").ending is not None
    assert (run.ending.status, run.ending.answer) == (COMPLETED, "{{a}}")


def test_an_answer_without_some_of_its_steps_is_partial() -> None:
    run = History().started()
    run.planned(step("a"), step("b", on_error=CONTINUE), step("c", needs=["b"]))
    run.succeeded("a").settled("b", permanent())
    assert run.ending is not None
    assert (run.ending.status, run.ending.code) == (PARTIAL, "OK")
    assert run.ending.message == "without b, c"


def test_failures_of_earlier_rounds_do_not_make_a_later_answer_partial() -> None:
    run = History().started().planned(step("a", on_error=CONTINUE), answer=None)
    run.settled("a", permanent()).planned(answer="it was not there")
    assert run.ending is not None
    assert run.ending.status is COMPLETED


# otherwise: dispatch every ready step, else wait


def test_a_run_begins_with_its_planner() -> None:
    (dispatch, wait) = at_its_planner().decide()
    assert isinstance(dispatch, Dispatch)
    assert (dispatch.step.id, dispatch.step.skill) == ("plan", "planner.scripted")
    assert (dispatch.plans, dispatch.attempt, dispatch.intent_first) == (True, 1, False)
    assert isinstance(wait, WaitUntil)


def test_every_ready_step_is_dispatched_in_plan_order() -> None:
    run = History().started()
    run.planned(step("z"), step("a"), step("m", needs=["z"]), step("b", needs=["a", "z"]))
    assert run.dispatches == ["z", "a"]
    assert run.succeeded("z").dispatches == ["a", "m"]
    assert run.succeeded("a").dispatches == ["m", "b"]


def test_what_is_under_way_is_not_dispatched_again() -> None:
    run = History().started().planned(step("a"), step("b"))
    (dispatch, _) = decide(in_flight(run, "a"), run.now)
    assert isinstance(dispatch, Dispatch)
    assert dispatch.step.id == "b"


def test_steps_that_need_a_failed_one_never_run() -> None:
    run = History().started().planned(
        step("a", on_error=CONTINUE), step("b", needs=["a"]), step("c", needs=["b"]), answer=None
    )  # fmt: skip
    assert run.settled("a", permanent()).dispatches == ["plan-2"]


def test_without_an_answer_the_planner_is_asked_again_when_the_round_is_over() -> None:
    run = History().started().planned(step("a"), step("b"), answer=None)
    assert run.succeeded("a").dispatches == ["b"]
    assert run.succeeded("b").dispatches == ["plan-2"]
    run.planned(step("c", needs=["a"]), answer=None).succeeded("c")
    assert run.dispatches == ["plan-3"]


def test_a_retry_waits_and_then_goes_alone() -> None:
    run = History().started().planned(step("a"), step("b")).settled("a", transient())
    assert run.dispatches == ["b"]
    assert run.wait_s == pytest.approx(0.1)
    assert decide(in_flight(run, "b"), run.now) == (WaitUntil(run["a"].retry_at),)
    assert run.later(0.1).dispatches == ["a", "b"]


def test_the_next_look_is_at_the_earliest_retry_and_at_the_deadline_at_last() -> None:
    slow = RetryPolicy(jitter=0, initial_delay_ms=2_000)
    run = History(run_timeout_s=60).started().planned(step("a", retry=slow), step("b"))
    assert run.wait_s == 60
    run.settled("a", transient()).settled("b", transient())
    assert run.wait_s == pytest.approx(0.1)


def test_attempts_carry_their_number_a_seed_of_their_own_and_the_steps_one_key() -> None:
    run = History().started().planned(step("a"))
    (first, _) = run.decide()
    (second, _) = run.settled("a", transient()).later(1).decide()
    assert isinstance(first, Dispatch)
    assert isinstance(second, Dispatch)
    assert (first.attempt, second.attempt) == (1, 2)
    assert first.seed != second.seed
    assert first.idempotency_key == second.idempotency_key == f"{run.state.run_id}/a/1"


def test_only_an_unsafe_step_needs_its_intent_first() -> None:
    run = History().started().planned(*(step(f"s-{effects}", effects) for effects in Effects))
    assert {
        each.step.effects: each.intent_first for each in run.decide() if isinstance(each, Dispatch)
    } == {
        Effects.PURE: False,
        Effects.READ: False,
        Effects.IDEMPOTENT: False,
        Effects.UNSAFE: True,
    }


# the order of the rows


def test_poison_comes_before_the_deadline_and_the_deadline_before_failures() -> None:
    run = History(run_timeout_s=30).started().planned(step("a"), step("b"))
    run.settled("a", permanent()).later(30)
    assert run.ending is not None
    assert run.ending.code == "ERR_RUN_TIMEOUT"
    assert run.crashed(POISON_AFTER).ending is not None
    assert run.ending.code == "ERR_POISON_RUN"


def test_a_deadline_or_a_poisoned_process_does_not_hide_a_doubtful_effect() -> None:
    """Who reads ERR_RUN_TIMEOUT sends the payment again; it may have been made."""
    for trouble in (lambda run: run.later(TIMEOUT_S), lambda run: run.crashed(POISON_AFTER)):
        run = History().started().planned(step("pay", Effects.UNSAFE)).intended("pay").resumed()
        trouble(run)
        assert run.ending is not None
        assert run.ending.code == "ERR_IN_DOUBT"


def test_an_unsafe_step_under_way_at_the_deadline_is_in_doubt() -> None:
    run = History().started().planned(step("pay", Effects.UNSAFE)).intended("pay").later(TIMEOUT_S)
    assert run.state.in_flight == {"pay"}
    assert run.ending is not None
    assert (run.ending.status, run.ending.code) == (QUARANTINED, "ERR_IN_DOUBT")
