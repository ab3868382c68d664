"""Any program, in any world: what it did is what it does again, from wherever it is cut."""

from __future__ import annotations

import gc
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.programs import Tree, execution, live, program_from, trees

from aos.actors.programs import ProgramDiverged, Turn

worlds = st.integers(0, 2**32).map(Random)


@settings(max_examples=200)
@given(trees, worlds)
def test_re_execution_from_any_cut_asks_for_the_same(tree: Tree, world: Random) -> None:
    program = program_from(tree)
    life = live(program, world)
    for cut in range(len(life.turns) + 1):
        with execution(program, life.turns[:cut]) as again:
            for turn in life.turns[cut:]:
                assert again.advance(turn.deliveries, turn.at) == turn.advanced
            assert again.pending == life.execution.pending
            assert again.finished == life.execution.finished
    life.execution.close()


@settings(max_examples=100)
@given(trees, worlds)
def test_every_request_is_asked_once_and_ends_once(tree: Tree, world: Random) -> None:
    life = live(program_from(tree), world)
    asked = [request.id for turn in life.turns for request in turn.advanced.requests]
    abandoned = [each for turn in life.turns for each in turn.advanced.abandoned]
    delivered = [delivery.id for turn in life.turns for delivery in turn.deliveries]
    assert len(set(asked)) == len(asked)
    assert len(set(abandoned)) == len(abandoned)
    assert set(abandoned) | set(delivered) | set(life.execution.pending) == set(asked)
    assert not set(life.execution.pending) & (set(abandoned) | set(delivered))
    assert life.turns[-1].advanced.finished == (not life.execution.pending)
    life.execution.close()


@settings(max_examples=100)
@given(trees, worlds, st.data())
def test_a_changed_record_is_found_at_its_turn(
    tree: Tree, world: Random, data: st.DataObject
) -> None:
    program = program_from(tree)
    life = live(program, world)
    life.execution.close()
    places = [
        (number, position)
        for number, turn in enumerate(life.turns)
        for position in range(len(turn.advanced.requests))
    ]
    if not places:
        return
    number, position = data.draw(st.sampled_from(places))
    history = list(life.turns)
    history[number] = with_other_params(history[number], position)
    with pytest.raises(ProgramDiverged) as caught:
        execution(program, history)
    assert caught.value.context["turn"] == number + 1


@settings(max_examples=30)
@given(trees, worlds)
def test_a_program_that_is_closed_anywhere_says_nothing(tree: Tree, world: Random) -> None:
    """Warnings are errors here: an unfinished task that complains would fail the test."""
    said: list[str] = []
    program = program_from(tree)
    life = live(program, world)
    life.execution.close()
    for cut in range(len(life.turns) + 1):
        execution(program, life.turns[:cut], on_log=said.append).close()
    gc.collect()
    assert said == []


def with_other_params(turn: Turn, position: int) -> Turn:
    requests = list(turn.advanced.requests)
    requests[position] = requests[position].model_copy(update={"params": {"other": 1}})
    return replace(turn, advanced=turn.advanced.model_copy(update={"requests": tuple(requests)}))
