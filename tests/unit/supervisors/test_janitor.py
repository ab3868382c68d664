"""The janitor acts on nothing that it has seen only once."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from aos.supervisors.janitor import Sightings, twice

NAMES = st.frozensets(st.sampled_from("abcdef"))
STALE = st.frozensets(
    st.tuples(st.sampled_from([UUID(int=1), UUID(int=2)]), st.integers(1, 3)), max_size=4
)
SIGHTINGS = st.builds(Sightings, NAMES, NAMES, STALE)


def test_what_was_seen_once_is_left_alone() -> None:
    assert twice(Sightings(), Sightings(leaked=frozenset("a"))) == Sightings()


def test_what_was_seen_twice_is_cleared_away() -> None:
    seen = Sightings(frozenset("ab"), frozenset("c"), frozenset({(UUID(int=1), 4)}))
    assert twice(seen, Sightings(frozenset("b"), frozenset("c"), seen.stale)) == Sightings(
        frozenset("b"), frozenset("c"), seen.stale
    )


def test_an_agent_that_was_activated_meanwhile_is_not_the_one_that_was_seen() -> None:
    before = Sightings(stale=frozenset({(UUID(int=1), 4)}))
    assert twice(before, Sightings(stale=frozenset({(UUID(int=1), 5)}))) == Sightings()


@given(SIGHTINGS, SIGHTINGS)
def test_it_is_always_part_of_both(before: Sightings, now: Sightings) -> None:
    doomed = twice(before, now)
    for kind in ("leaked", "expired", "stale"):
        assert getattr(doomed, kind) <= getattr(before, kind) & getattr(now, kind)
