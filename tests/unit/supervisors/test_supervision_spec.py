"""What a specification says unless told otherwise, and what it may not say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.supervision import (
    DYNAMIC,
    ONE_FOR_ALL,
    ONE_FOR_ONE,
    PERMANENT,
    REST_FOR_ONE,
    TRANSIENT,
    child,
    nested,
    seconds,
    within,
)

from aos.cluster.exits import ExitReason
from aos.supervisors.spec import (
    AutoShutdown,
    Backoff,
    Budgets,
    Cause,
    ChildSpec,
    ChildType,
    InvalidSpec,
    Shutdown,
    SupervisorSpec,
    otp,
)
from aos.supervisors.tree import AGENTS, FRONT, ROOT, actor_name, agent_supervisor, root

SECOND = timedelta(seconds=1)


def test_otp_sup_start_map() -> None:
    """Defaults as OTP's: a permanent worker, five seconds to stop; for a supervisor, for ever."""
    spec = ChildSpec("a", "a.module:Class")
    assert (spec.restart, spec.type, spec.significant) == (PERMANENT, ChildType.WORKER, False)
    assert spec.patience == 5 * SECOND
    assert nested(SupervisorSpec("s")).patience is None
    assert nested(SupervisorSpec("s"), shutdown=SECOND).patience == SECOND
    assert child("a", shutdown=Shutdown.INFINITY).patience is None
    assert child("a", shutdown=Shutdown.BRUTAL_KILL).patience == timedelta(0)
    assert child("a", shutdown=2 * SECOND).patience == 2 * SECOND


def test_a_supervisors_defaults() -> None:
    spec = SupervisorSpec("s")
    assert (spec.strategy, spec.auto_shutdown) == (ONE_FOR_ONE, AutoShutdown.NEVER)
    assert str(spec.intensity) == "5 in 30 s"
    assert (spec.budgets, spec.max_children, spec.strict_start) == (None, None, False)


def test_otp_sup_flags() -> None:
    """A negative intensity and a period that is none are refused; no restarts at all are fine."""
    assert within(0, 1).restarts == 0
    with pytest.raises(InvalidSpec, match="intensity -1 is negative"):
        within(-1, 1)
    for number in (0, -1):
        with pytest.raises(InvalidSpec, match="is not positive"):
            within(1, number)


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"id": ""}, "a supervisor needs an id"),
        ({"strategy": "two_for_one"}, "unknown strategy 'two_for_one' of s"),
        ({"strategy": "one_for_one"}, "known: one_for_one, one_for_all, rest_for_one, dynamic"),
        ({"auto_shutdown": "sometimes"}, "unknown auto_shutdown 'sometimes' of s"),
        ({"quarantine": timedelta(0)}, "quarantine of s is not positive"),
        ({"spread": -SECOND}, "spread of s is negative"),
        ({"children": (child("a"), child("b")), "max_children": 1}, "1 is fewer than s has"),
        ({"max_children": -1}, "fewer"),
        ({"strategy": ONE_FOR_ALL, "budgets": Budgets()}, "only its intensity can bound them"),
        ({"strategy": REST_FOR_ONE, "budgets": Budgets()}, "restarted together"),
    ],
)
def test_otp_sup_flags_faulty(fields: dict[str, Any], complaint: str) -> None:
    """A word is refused even where it equals the member: it would pass for another one."""
    with pytest.raises(InvalidSpec, match=complaint):
        SupervisorSpec(**({"id": "s"} | fields))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"id": ""}, "a child needs an id"),
        ({"start": ""}, "child a does not say what it is started from"),
        ({"restart": "forever"}, "unknown restart 'forever' of a; known: permanent, transient"),
        ({"restart": "permanent"}, "unknown restart 'permanent' of a"),
        ({"type": "wrong"}, "unknown type 'wrong' of a; known: worker, supervisor"),
        ({"shutdown": -SECOND}, "shutdown of a is negative"),
        ({"shutdown": 5}, "unknown shutdown 5 of a"),
        ({"shutdown": "infinity"}, "unknown shutdown 'infinity' of a"),
        ({"significant": True}, "a is significant and permanent"),
    ],
)
def test_otp_child_specs_faulty(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidSpec, match=complaint):
        ChildSpec(**({"id": "a", "start": "a.module:Class"} | fields))


def test_otp_child_specs() -> None:
    """Ids are unique; an id of another supervisor's child is no concern."""
    with pytest.raises(InvalidSpec, match="supervisor s names a, b twice"):
        SupervisorSpec("s", (child("a"), child("b"), child("c"), child("b"), child("a")))
    assert SupervisorSpec("s", (child("s"),)).children[0].id == "s"


def test_otp_significant_needs_an_auto_shutdown() -> None:
    """OTP's bad_combination."""
    important = child("a", TRANSIENT, significant=True)
    with pytest.raises(InvalidSpec, match="a is significant, but s has auto_shutdown never"):
        SupervisorSpec("s", (important,))
    for auto in (AutoShutdown.ANY_SIGNIFICANT, AutoShutdown.ALL_SIGNIFICANT):
        assert SupervisorSpec("s", (important,), auto_shutdown=auto).children == (important,)


@pytest.mark.parametrize(("first", "longest"), [(2 * SECOND, SECOND), (-SECOND, SECOND)])
def test_a_backoff_goes_from_the_first_delay_to_the_longest(
    first: timedelta, longest: timedelta
) -> None:
    with pytest.raises(InvalidSpec, match="first ≤ longest"):
        Backoff(first, longest)


def test_each_cause_has_its_budget() -> None:
    given = Budgets(within(1, 1), within(2, 1), within(3, 1), within(4, 1))
    assert [given.of(cause) for cause in Cause] == [within(n, 1) for n in (1, 2, 3, 4)]
    assert [cause for cause in Cause if cause.own_fault] == [Cause.CRASH, Cause.OUT_OF_MEMORY]


def test_three_reasons_are_intended() -> None:
    intended = {reason for reason in ExitReason if reason.intended}
    assert intended == {ExitReason.NORMAL, ExitReason.SHUTDOWN, ExitReason.FENCED}


def test_otp_mode_takes_away_what_is_ours() -> None:
    ours = SupervisorSpec("s", (child("a"),), budgets=Budgets(), strategy=DYNAMIC)
    theirs = otp(ours)
    assert (theirs.budgets, theirs.strict_start, theirs.spread) == (None, True, seconds(0))
    assert theirs.backoff.delay(10, 0.999) == seconds(0)
    same = {"budgets": None, "strict_start": True, "spread": seconds(0), "backoff": theirs.backoff}
    assert theirs == replace(ours, **same)


# the tree that is shipped


def test_the_root_starts_the_front_last_and_stops_it_first() -> None:
    spec = root("aos.api.front:HttpFront")
    assert spec.id == ROOT
    ids = [each.id for each in spec.children]
    assert AGENTS in ids
    assert ids[-1] == FRONT, "nobody is let in before there is somebody to serve them"
    assert {each.restart for each in spec.children} == {PERMANENT}
    assert spec.children[-1].start == "aos.api.front:HttpFront"
    assert spec.intensity is not None, "a root that cannot keep its children must say so"


def test_agents_are_bounded_each_for_itself() -> None:
    spec = agent_supervisor(64)
    assert spec.intensity is None
    assert spec.budgets == Budgets()
    assert (spec.strategy, spec.max_children) == (DYNAMIC, 64)


def test_names_in_ray_are_our_own() -> None:
    assert actor_name(FRONT) == "aos-front"
