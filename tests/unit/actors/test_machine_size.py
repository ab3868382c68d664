"""Plans as large as a profile allows are decided upon in little time: agents share one loop."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import pytest
from tests.support.runs import History, ok, step

from aos.actors.runs.events import PlannedStep
from aos.actors.runs.fold import apply
from aos.actors.runs.machine import decide
from aos.actors.runs.state import RunState, Step


class Counting(Mapping[str, Step]):
    """The steps of a run, and how often they were looked at."""

    def __init__(self, steps: Mapping[str, Step]) -> None:
        self.steps, self.looks = steps, 0

    def __getitem__(self, step_id: str) -> Step:
        self.looks += 1
        return self.steps[step_id]

    def __iter__(self) -> Iterator[str]:
        self.looks += len(self.steps)
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


def ladder(rungs: int) -> tuple[PlannedStep, ...]:
    """Pairs of steps, each of which needs both of the pair before."""
    return tuple(
        step(f"{side}{rung}", needs=[f"a{rung - 1}", f"b{rung - 1}"] if rung else [])
        for rung in range(rungs)
        for side in "ab"
    )


def chain(length: int) -> tuple[PlannedStep, ...]:
    """Steps that each need the one before."""
    return tuple(step(f"s{n}", needs=[f"s{n - 1}"] if n else []) for n in range(length))


def counted(run: History) -> tuple[RunState, Counting]:
    state = run.state
    steps = Counting(state.steps)
    return replace(state, steps=steps), steps


@pytest.mark.parametrize("rungs", [3, 12])
def test_deciding_takes_time_in_proportion_to_the_plan_and_not_to_its_paths(rungs: int) -> None:
    state, steps = counted(History().started().planned(*ladder(rungs)))
    decide(state, state.origin.at)
    assert steps.looks <= 4 * len(steps) ** 2


def test_so_does_taking_an_outcome() -> None:
    run = History().started().planned(*reversed(ladder(12)))
    state, steps = counted(run)
    apply(state, run.settled("a0", ok()).events[-1])
    assert steps.looks <= 4 * len(steps) ** 2


@pytest.mark.parametrize("length", [50, 1_000])
def test_a_chain_may_be_as_long_as_a_plan(length: int) -> None:
    run = History(max_steps=length).started().planned(*chain(length))
    assert run.dispatches == ["s0"]
    assert run.succeeded("s0").dispatches == ["s1"]
