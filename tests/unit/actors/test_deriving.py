"""Runs made from other runs: what is kept, what is refused, and that any journal can be cut."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.any_life import AnyLife
from tests.support.runs import RUN, START, History, ok, permanent, step

from aos.actors.runs.cutting import EffectsWouldRepeat, InvalidChange, StepNeverRan
from aos.actors.runs.deriving import Birth, Change, derive, large_values
from aos.actors.runs.events import (
    Action,
    Derivation,
    Event,
    Plan,
    RunFinished,
    RunParked,
    RunResumed,
    RunStarted,
    RunSubmitted,
    RunWoken,
    StepReconciled,
    StepRepaired,
)
from aos.actors.runs.fold import apply, fold
from aos.actors.runs.machine import Dispatch, decide
from aos.actors.runs.state import Phase, RunState
from aos.skills.contracts import Effects, EffectState

NEW = UUID("01900000-0000-7000-8000-000000000002")
BIRTH = Birth(NEW, START + timedelta(days=1), "1" * 32, "test")
LIFECYCLE = (RunStarted, RunResumed, RunParked, RunWoken, RunFinished)


def fork(step_id: str | None, **fields: Any) -> Change:
    return Change(Derivation.FORK, by="ann", step_id=step_id, **fields)


def made(events: list[Event], change: Change) -> RunState:
    return fold(NEW, derive(RUN, events, change, BIRTH))


def done(*step_ids: str, history: History) -> History:
    for step_id in step_ids:
        history.settled(step_id, ok(step_id, cost_microusd=3))
    return history


def chain(**fields: Any) -> History:
    """A ← b ← c, and d beside them; then another round with e."""
    history = History(**fields).started()
    plan = Plan(steps=(step("a"), step("b", needs=["a"]), step("c", needs=["b"]), step("d")))
    history.settled("plan", ok(), plan)
    done("a", "d", "b", "c", history=history)
    history.settled("plan-2", ok(), Plan(steps=(step("e"),), answer="done"))
    return done("e", history=history).finished()


def test_what_does_not_depend_on_the_step_is_kept() -> None:
    state = made(chain().events, fork("b", overrides={"b": {"x": 1}}))
    over = {step_id for step_id, each in state.steps.items() if each.over}
    assert over == {"plan", "a", "d"}
    assert set(state.steps) == {"plan", "a", "b", "c", "d"}
    assert state.origin.overrides == {"b": {"x": 1}}
    assert state.totals.attempts == 3
    assert state.totals.cost_microusd == 6
    assert state.status == "pending"


def test_a_fork_says_where_it_comes_from_and_waits_as_its_source_did() -> None:
    source = chain()
    origin = made(source.events, fork("b", reason="try again")).origin
    assert origin.seed == source.state.origin.seed
    assert origin.derived is not None
    assert (origin.derived.run_id, origin.derived.step_id) == (str(RUN), "b")
    assert (origin.derived.seq, origin.derived.by) == (len(source.events), "ann")
    assert origin.at == BIRTH.at
    assert origin.trace_id == BIRTH.trace_id


def test_a_fork_goes_on_where_it_was_cut() -> None:
    state = apply(made(chain().events, fork("b")), RunStarted(at=BIRTH.at, epoch=1))
    [command, _] = decide(state, BIRTH.at)
    assert isinstance(command, Dispatch)
    assert command.step.id == "b"
    assert command.idempotency_key == f"{NEW}/b/1"


def test_a_round_of_planning_can_be_held_again_with_another_goal() -> None:
    state = made(chain().events, fork("plan-2", goal="do less"))
    assert {each for each, step in state.steps.items() if step.over} == {
        "plan", "a", "b", "c", "d",
    }  # fmt: skip
    assert state.origin.goal == "do less"
    assert state.round == 2
    assert state.steps["plan-2"].attempts == 0


def test_a_rerun_keeps_nothing() -> None:
    events = derive(RUN, chain().events, Change(Derivation.RERUN, by="ann"), BIRTH)
    assert [type(event) for event in events] == [RunSubmitted]


@pytest.mark.parametrize("step_id", ["nobody", "c"])
def test_a_step_that_never_ran_is_no_place_to_cut(step_id: str) -> None:
    history = History().started()
    history.settled("plan", ok(), Plan(steps=(step("a"), step("c", needs=["a"]))))
    history.settled("a", permanent()).finished()
    with pytest.raises(StepNeverRan):
        made(history.events, fork(step_id))


def paid(outcome: Any = None) -> History:
    history = History().started()
    plan = Plan(steps=(step("a"), step("pay", Effects.UNSAFE, needs=["a"]), step("z")), answer="k")
    history.settled("plan", ok(), plan)
    done("a", "z", history=history).intended("pay")
    return history.settled("pay", outcome or ok("paid", effect=EffectState.DONE))


@pytest.mark.parametrize("state", ["done", "unknown", "under way"])
def test_what_must_not_happen_twice_is_refused(state: str) -> None:
    history = paid() if state == "done" else paid(permanent(effect=EffectState.UNKNOWN))
    if state == "under way":
        history.events.pop()
    for change in (fork("a"), Change(Derivation.RERUN, by="ann")):
        with pytest.raises(EffectsWouldRepeat) as refused:
            made(history.events, change)
        assert [error["field"] for error in refused.value.context["errors"]] == ["pay"]
    assert not made(history.events, fork("a", repeat_effects=True)).steps["pay"].over
    if state == "done":
        assert made(history.events, fork("z")).steps["pay"].over


def test_an_operator_gives_the_result_of_a_step_in_doubt() -> None:
    history = paid(permanent(effect=EffectState.UNKNOWN)).finished()
    change = Change(
        Derivation.REPAIR, "ann", "seen on the statement", "pay", action=Action.SET_RESULT, output=7
    )
    events = derive(RUN, history.events, change, BIRTH)
    assert isinstance(events[-1], StepRepaired)
    state = fold(NEW, events)
    assert state.steps["pay"].phase is Phase.SUCCEEDED
    assert state.steps["pay"].outcome is not None
    assert state.steps["pay"].outcome.output == 7
    assert state.heard == 1


def test_another_failure_that_would_end_the_run_is_not_kept() -> None:
    history = History().started()
    history.settled("plan", ok(), Plan(steps=(step("a"), step("b"), step("c"))))
    history.settled("a", permanent()).settled("b", permanent()).settled("c", ok()).finished()
    state = made(history.events, fork("a"))
    assert not state.steps["a"].over
    assert not state.steps["b"].over
    assert state.steps["c"].over


@pytest.mark.parametrize("step_id", ["a", "e", "nobody", "plan"])
def test_params_of_what_is_kept_or_gone_cannot_be_changed(step_id: str) -> None:
    with pytest.raises(InvalidChange):
        made(chain().events, fork("b", overrides={step_id: {}}))


def test_a_death_over_an_intent_is_told_without_the_death() -> None:
    history = paid()
    history.events.pop()
    history.resumed().append(
        StepReconciled(
            at=history.now, step_id="pay", verdict="happened", source="person", output="paid",
            number=1, by="ann",
        )
    ).finished()  # fmt: skip
    events = derive(RUN, history.events, fork("z"), BIRTH)
    state = fold(NEW, events)
    assert state.steps["pay"].outcome == history.state.steps["pay"].outcome.model_copy(
        update={"skill": "do_unsafe", "version": "1.0.0"}
    )
    assert not any(isinstance(event, LIFECYCLE) for event in events)


@given(seed=st.integers(0, 10**9), program=st.booleans(), data=st.data())
@settings(max_examples=400, deadline=None)
def test_any_journal_can_be_cut_anywhere(seed: int, program: bool, data: st.DataObject) -> None:
    events = AnyLife(seed, program=program).live()
    source = fold(RUN, events)
    step_id = data.draw(st.sampled_from([*source.steps, None])) if source.steps else None
    how = data.draw(st.sampled_from(Derivation))
    action = data.draw(st.sampled_from([None, *Action])) if how is Derivation.REPAIR else None
    if action in (Action.SKIP, Action.SET_RESULT) and (
        step_id is None or source.steps[step_id].plans
    ):
        action = None
    check_cut(events, source, Change(how, "ann", step_id=step_id, action=action))


def check_cut(events: list[Event], source: RunState, change: Change) -> str:
    try:
        derived = derive(RUN, events, change, BIRTH)
    except (StepNeverRan, InvalidChange) as error:
        return type(error).__name__
    except EffectsWouldRepeat:
        change = replace(change, repeat_effects=True)
        derived = derive(RUN, events, change, BIRTH)
    assert not any(isinstance(event, LIFECYCLE) for event in derived)
    state = fold(NEW, derived)
    assert state.epoch == 0
    assert state.paused is None
    assert state.cancelling is None
    for step_id, each in state.steps.items():
        if each.over and not (step_id == change.step_id and change.action):
            same_end(source, step_id, state)
        if not each.over:
            assert not each.attempts
            assert each.phase is Phase.OPEN
    assert not state.in_flight
    started = apply(state, RunStarted(at=BIRTH.at, epoch=1))
    for command in decide(started, BIRTH.at):
        if isinstance(command, Dispatch):
            assert not state.steps[command.step.id].over
    return "cut"


def same_end(source: RunState, step_id: str, state: RunState) -> None:
    was, is_now = source.steps[step_id], state.steps[step_id]
    assert was.phase is is_now.phase
    assert was.outcome is not None
    assert is_now.outcome is not None
    assert (was.outcome.code, was.outcome.output) == (is_now.outcome.code, is_now.outcome.output)


def test_the_die_shows_everything() -> None:
    seen: Counter[str] = Counter()
    die = Random(7)  # noqa: S311 - a die
    for seed in range(150):
        events = AnyLife(seed, program=seed % 3 == 0).live()
        source = fold(RUN, events)
        seen.update(event.kind for event in events)
        for step_id in die.sample(sorted(source.steps), min(3, len(source.steps))):
            seen[check_cut(events, source, fork(step_id))] += 1
    assert seen["cut"] > 100
    assert min(seen[each] for each in ("signal_received", "decision_made", "child_ended")) > 3
    assert min(seen[each] for each in ("step_reconciled", "step_compensated", "run_parked")) > 3
    assert min(seen[each] for each in ("step_repaired", "intent_withdrawn", "run_resumed")) > 3
    assert seen["program_advanced"] > 20


def test_large_values_are_named() -> None:
    history = chain()
    history.events[2] = history.events[2].model_copy(update={"large": {"": "sha256:" + "a" * 64}})
    assert large_values(history.events) == {"sha256:" + "a" * 64}
