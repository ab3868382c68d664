"""What can be known of a message before it is heard."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.runs import History, in_flight, ok, permanent, step

from aos.actors.runs.control import (
    StepNotReady,
    check_decision,
    check_repair,
    check_repair_afterwards,
    check_verdict,
    stands,
)
from aos.actors.runs.events import Action, Plan, Verdict, WaitBegan
from aos.skills.contracts import Effects, EffectState


@pytest.fixture
def history() -> History:
    """Ask waits for a decision; pay is in doubt; a has failed, so b never runs; c is open."""
    history = History().started()
    plan = Plan(
        steps=(
            step("ask"), step("pay", Effects.UNSAFE, compensates=True), step("a"),
            step("b", needs=["a"]), step("c"), step("d"), step("timer"),
        )
    )  # fmt: skip
    history.settled("plan", ok(), plan).intended("pay")
    history.settled("pay", permanent(effect=EffectState.UNKNOWN))
    history.settled("a", permanent()).settled("d", ok())
    history.append(WaitBegan(at=history.now, step_id="ask", question="may I?"))
    return history.append(WaitBegan(at=history.now, step_id="timer", until=history.now))


def test_what_makes_sense_passes(history: History) -> None:
    check_decision(history.state, "ask")
    check_verdict(history.state, "pay", Verdict.COMPENSATE)
    check_repair(history.state, "pay", Action.SET_RESULT)
    check_repair(history.state, "c", Action.SKIP)
    check_repair_afterwards(history.state, "a", Action.REDRIVE)


@pytest.mark.parametrize(
    ("step_id", "words"),
    [
        ("ask", "waits for a decision: may I?"),
        ("pay", "is in doubt"),
        ("a", "has failed with ERR_HTTP_404"),
        ("b", "will never run"),
        ("c", "has not ended yet"),
        ("d", "has succeeded"),
        ("timer", "waits for its time"),
    ],
)
def test_where_a_step_stands_is_said(history: History, step_id: str, words: str) -> None:
    assert words in stands(history.state, history[step_id])


def test_what_makes_no_sense_is_refused(history: History) -> None:
    state = history.state
    for step_id in ("nobody", "pay", "timer", "d"):
        with pytest.raises(StepNotReady):
            check_decision(state, step_id)
    with pytest.raises(StepNotReady):
        check_verdict(state, "c", Verdict.HAPPENED)
    for step_id in ("nobody", "d", "a"):
        with pytest.raises(StepNotReady):
            check_repair(state, step_id, Action.SKIP)
    with pytest.raises(StepNotReady, match="succeeded"):
        check_repair_afterwards(state, "d", Action.REDRIVE)
    with pytest.raises(StepNotReady, match="under way"):
        check_repair(in_flight(history, "c"), "c", Action.SKIP)


def test_nobody_undoes_what_cannot_be_undone_and_plans_by_hand(history: History) -> None:
    state = history.state
    spec = state.steps["pay"].spec.model_copy(update={"compensates": False})
    steps = {**state.steps, "pay": replace(state.steps["pay"], spec=spec)}
    with pytest.raises(StepNotReady, match="no compensation"):
        check_verdict(replace(state, steps=steps), "pay", Verdict.COMPENSATE)
    begun = History().started().state
    check_repair(begun, "plan", Action.REDRIVE)
    with pytest.raises(StepNotReady, match="round of planning"):
        check_repair(begun, "plan", Action.SET_RESULT)
