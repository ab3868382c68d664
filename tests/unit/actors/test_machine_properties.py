"""Any run, under any weather: whatever is planned, fails, is lost or crashes, these things hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.support.run_life import RunLife
from tests.support.runs import RUN

from aos.actors.runs.events import RunResumed, RunStatus
from aos.actors.runs.fold import apply, fold
from aos.actors.runs.machine import decide
from aos.actors.runs.state import IllegalTransition
from aos.skills.contracts import InDoubtPolicy

NEVER, SOON = 10.0**7, 15.0


def check_between_turns(run: RunLife) -> None:
    told = fold(RUN, run.journal + run.buffer)
    assert replace(told, in_flight=frozenset()) == replace(run.state, in_flight=frozenset())
    assert run.state.in_flight == run.flying.keys()
    if not run.running:
        check_the_end_is_the_end(run)


def check_the_end_is_the_end(run: RunLife) -> None:
    assert run.state.status.final
    assert decide(run.state, run.now + timedelta(days=1)) == ()
    for event in (RunResumed(at=run.now, epoch=99), run.journal[-1]):
        with pytest.raises(IllegalTransition):
            apply(run.state, event)


WITHOUT_HOOKS = (InDoubtPolicy.QUARANTINE, InDoubtPolicy.FAIL, InDoubtPolicy.RETRY)


class AnyRun(RuleBasedStateMachine):
    """Hypothesis decides what happens, and finds the shortest life in which something breaks."""

    @initialize(
        policy=st.sampled_from(WITHOUT_HOOKS),
        rounds=st.integers(1, 3),
        timeout=st.sampled_from([NEVER, NEVER, NEVER, SOON]),
    )
    def submit(self, policy: InDoubtPolicy, rounds: int, timeout: float) -> None:
        self.run = RunLife(policy, rounds, timeout)

    @precondition(lambda self: self.run.running)
    @rule()
    def ask(self) -> None:
        self.run.ask()

    @precondition(lambda self: self.run.running and self.run.flying)
    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        def choose(options: Sequence[Any]) -> Any:
            return data.draw(st.sampled_from(options))

        self.run.hear(choose(sorted(self.run.flying)), choose)

    @precondition(lambda self: self.run.running)
    @rule()
    def crash(self) -> None:
        self.run.crash()

    @rule()
    def commit(self) -> None:
        self.run.commit()

    @rule(seconds=st.sampled_from([0.05, 0.5, 3.0]))
    def wait(self, seconds: float) -> None:
        self.run.later(seconds)

    @invariant()
    def it_holds_together(self) -> None:
        check_between_turns(self.run)

    def teardown(self) -> None:
        if hasattr(self, "run"):
            self.run.end_well()


def test_the_life_of_any_run() -> None:
    run_state_machine_as_test(AnyRun, settings=settings(max_examples=120, stateful_step_count=30))


def live(seed: int) -> RunLife:
    """A long life, decided by a die: far more happens in it than hypothesis likes to try."""
    die = Random(seed)  # noqa: S311 - a die, not a secret
    run = RunLife(
        die.choice(list(WITHOUT_HOOKS)), die.choice([1, 2, 3]), die.choice([NEVER, NEVER, SOON])
    )
    dangerous = die.choice([0.02, 0.02, 0.3])
    while run.running:
        run.ask()
        for step_id in sorted(run.flying):
            if die.random() < 0.7:
                run.hear(step_id, die.choice)
        if run.running and die.random() < dangerous:
            run.crash()
        if die.random() < 0.3:
            run.commit()
        run.later(die.choice([0, 0.05, 1, 6]))
        check_between_turns(run)
    return run


def test_many_long_lives() -> None:
    endings: Counter[tuple[RunStatus, str]] = Counter()
    attempts = 0
    for seed in range(300):
        run = live(seed)
        assert run.state.finished is not None
        endings[run.state.finished.status, run.state.finished.code] += 1
        attempts += run.state.totals.attempts
    assert attempts > 1_000
    seen = {ending for ending, count in endings.items() if count >= 3}
    assert seen >= {
        (RunStatus.COMPLETED, "OK"),
        (RunStatus.PARTIAL, "OK"),
        (RunStatus.FAILED, "ERR_HTTP_404"),
        (RunStatus.FAILED, "ERR_HTTP_503"),
        (RunStatus.FAILED, "ERR_IN_DOUBT"),
        (RunStatus.QUARANTINED, "ERR_IN_DOUBT"),
        (RunStatus.FAILED, "ERR_TOO_MANY_ROUNDS"),
        (RunStatus.FAILED, "ERR_RUN_TIMEOUT"),
        (RunStatus.QUARANTINED, "ERR_POISON_RUN"),
    }, f"the die shows too little: {endings}"
