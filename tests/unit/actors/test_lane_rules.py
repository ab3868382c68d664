"""When a process that serves an agent is given more, is relieved, and is let go."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aos.actors.lanes.rules import TERMS, Standing
from aos.actors.pace import Manner

SECONDS = st.floats(min_value=0, max_value=100)


@st.composite
def standings(draw: st.DrawFn) -> tuple[Standing, float]:
    """A process's situation, and now."""
    opened, worked, silent = draw(SECONDS), draw(SECONDS), draw(SECONDS)
    terms = TERMS[draw(st.sampled_from(Manner))]
    under_way = draw(st.integers(min_value=0, max_value=terms.depth))
    heard = opened + worked
    standing = Standing(terms, opened, heard, under_way, leaving=draw(st.booleans()))
    return standing, heard + silent


@given(standings(), st.booleans())
def test_nobody_is_let_go_with_work_and_nobody_is_given_too_much(
    situation: tuple[Standing, float], wanted: bool
) -> None:
    standing, now = situation
    if standing.is_done(now, wanted=wanted):
        assert standing.under_way == 0
    if standing.has_room(now, wanted=wanted):
        assert standing.under_way < standing.terms.depth
        assert not standing.leaving
    if standing.is_stuck(now):
        assert not standing.has_room(now, wanted=wanted)


@given(standings(), st.booleans())
def test_who_has_nothing_to_do_is_let_go_when_it_is_looked_at_next(
    situation: tuple[Standing, float], wanted: bool
) -> None:
    standing, now = situation
    standing.under_way = 0
    look = standing.next_look(now)
    assert look is not None
    assert look <= standing.terms.linger + 1e-6
    assert standing.is_done(now + look + 1e-6, wanted=wanted)


@given(standings())
def test_silence_is_noticed_when_it_is_looked_for(situation: tuple[Standing, float]) -> None:
    standing, now = situation
    look = standing.next_look(now)
    if standing.under_way and look is not None:
        assert not standing.is_stuck(now)
        assert standing.is_stuck(now + look)


@given(standings())
def test_time_alone_gives_no_room_back(situation: tuple[Standing, float]) -> None:
    standing, now = situation
    if not standing.has_room(now, wanted=False):
        assert not standing.has_room(now + 1.0, wanted=False)
