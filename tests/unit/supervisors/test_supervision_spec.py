"""What a specification says unless told otherwise, and what it may not say."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.supervision import child, within

from aos.supervisors.spec import Backoff, ChildSpec, InvalidSpec, Restart, SupervisorSpec
from aos.supervisors.tree import AGENTS, FRONT, ROOT, actor_name, agent_supervisor, root

SECOND = timedelta(seconds=1)


# OTP: sup_start_map, sup_flags, child_specs, child_specs_map


def test_sup_start_map() -> None:
    """Defaults, as OTP's: permanent, five seconds to stop."""
    spec = ChildSpec("a", "a.module:Class")
    assert (spec.restart, spec.shutdown) == (Restart.PERMANENT, timedelta(seconds=5))


def test_sup_flags() -> None:
    """A negative intensity and a period that is none are refused; no restarts at all are fine."""
    assert within(0, 1).restarts == 0
    with pytest.raises(InvalidSpec, match="intensity -1 is negative"):
        within(-1, 1)
    for seconds in (0, -1):
        with pytest.raises(InvalidSpec, match="is not positive"):
            within(1, seconds)


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one", "two_for_one"])
def test_sup_flags_strategy(strategy: str) -> None:
    """What is not decided yet is refused, and not treated as one_for_one."""
    with pytest.raises(InvalidSpec, match=strategy):
        SupervisorSpec("s", strategy=strategy)  # type: ignore[arg-type]


def test_child_specs() -> None:
    """Children without an id, with a negative shutdown, or with the id of another are refused."""
    with pytest.raises(InvalidSpec, match="needs an id"):
        child("")
    with pytest.raises(InvalidSpec, match="shutdown of a is negative"):
        child("a", shutdown=-SECOND)
    assert child("a", shutdown=timedelta(0)).shutdown == timedelta(0), "OTP's brutal_kill"
    with pytest.raises(InvalidSpec, match="supervisor s names a, b twice"):
        SupervisorSpec("s", (child("a"), child("b"), child("c"), child("b"), child("a")))


@pytest.mark.parametrize(("first", "longest"), [(2 * SECOND, SECOND), (-SECOND, SECOND)])
def test_a_backoff_goes_from_the_first_delay_to_the_longest(
    first: timedelta, longest: timedelta
) -> None:
    with pytest.raises(InvalidSpec, match="first ≤ longest"):
        Backoff(first, longest)


@given(
    st.timedeltas(timedelta(0), timedelta(hours=1)),
    st.timedeltas(timedelta(0), timedelta(hours=1)),
    st.integers(1, 10_000),
    st.floats(0, 1, exclude_max=True),
)
def test_a_delay_is_never_longer_than_the_longest(
    one: timedelta, other: timedelta, failures: int, fraction: float
) -> None:
    backoff = Backoff(min(one, other), max(one, other))
    delay = backoff.delay(failures, fraction)
    assert timedelta(0) <= delay <= backoff.longest
    assert backoff.delay(1, fraction) == timedelta(0)
    assert backoff.delay(failures + 1, fraction) >= delay


# the tree that is shipped


def test_the_root_starts_the_front_last_and_stops_it_first() -> None:
    spec = root("aos.api.front:HttpFront")
    assert spec.id == ROOT
    ids = [each.id for each in spec.children]
    assert AGENTS in ids
    assert ids[-1] == FRONT, "nobody is let in before there is somebody to serve them"
    assert {each.restart for each in spec.children} == {Restart.PERMANENT}
    assert spec.children[-1].start == "aos.api.front:HttpFront"
    assert spec.intensity is not None, "a root that cannot keep its children must say so"


def test_no_agent_can_take_the_others_down() -> None:
    spec = agent_supervisor(64)
    assert spec.intensity is None
    assert spec.child_intensity is not None


def test_names_in_ray_are_our_own() -> None:
    assert actor_name(FRONT) == "aos-front"
