"""The judge of chaos runs sees whatever could be wrong: a proof that cannot fail proves nothing."""

from __future__ import annotations

from uuid import UUID, uuid4

import pytest
from tests.support.effect_ledger import Effect
from tests.support.noting import Work, after_signal, chain, with_children
from tests.support.verdicts import End, judge

from aos.actors.planning.protocol import PlanProposal

RUN = uuid4()
SAFE, HOPELESS = chain("x", 1, "idempotent", "reconciled"), chain("x", 1, "idempotent", "unsafe")
RIGHT = End("completed", "OK", 3)


def effect(step: str, key: str = "", run: UUID = RUN) -> Effect:
    return Effect("done", key or f"{run}/{step}/1", str(run), step, 1, "")


SEEN = [effect("idempotent-0"), effect("reconciled-1")]


def broken(work: Work, end: End | None, effects: list[Effect]) -> list[str]:
    tally = judge({RUN: work}, {} if end is None else {RUN: end}, effects)
    assert list(tally.lines())
    return list(tally.broken)


def test_what_is_right_is_right() -> None:
    assert broken(SAFE, RIGHT, SEEN) == []
    assert broken(SAFE, RIGHT, [*SEEN, SEEN[0]]) == [], "an idempotent effect may be repeated"
    doubt = End("quarantined", "ERR_IN_DOUBT")
    assert broken(HOPELESS, doubt, [effect("idempotent-0"), effect("unsafe-1")]) == []
    assert broken(SAFE, End("quarantined", "ERR_POISON_RUN"), []) == []


@pytest.mark.parametrize(
    ("end", "effects", "name"),
    [
        (None, SEEN, "lost runs"),
        (End("running"), SEEN, "lost runs"),
        (End("waiting"), SEEN, "lost runs"),
        (End("failed", "ERR_TIMEOUT"), SEEN, "wrong ends"),
        (End("quarantined", "ERR_IN_DOUBT"), SEEN, "wrong ends"),
        (End("completed", "OK", 4), SEEN, "wrong answers"),
        (RIGHT, [*SEEN, SEEN[1]], "repeated unsafe effects"),
        (RIGHT, [*SEEN, effect("idempotent-0", "other")], "repeats under another key"),
        (RIGHT, SEEN[:1], "outcomes without an effect"),
        (End("completed", "OK", 3, broken_at=2), SEEN, "journals that do not hold"),
        (End("completed", "OK", 3, twice=("a",)), SEEN, "journals that do not hold"),
    ],
)
def test_what_is_wrong_is_seen(end: End | None, effects: list[Effect], name: str) -> None:
    assert broken(SAFE, end, effects) == [name]


def test_effects_of_children_are_judged_too() -> None:
    child = uuid4()
    twice = [effect("unsafe-0", run=child), effect("unsafe-0", run=child)]
    assert broken(SAFE, RIGHT, [*SEEN, *twice]) == ["repeated unsafe effects"]


def test_plans_of_parents_do_not_resolve_what_is_their_childrens() -> None:
    work = with_children("x", 0, 2, "other")
    proposal = PlanProposal.model_validate_json(work.goal)
    child = PlanProposal.model_validate_json(str(proposal.steps[0].params["goal"]))
    assert child.answer == "{{reconciled-1.value}}"
    assert "{{" not in str(proposal.steps[0].params)


def test_what_a_signal_says_comes_back() -> None:
    work = after_signal("x", 10, payload=4)
    assert (work.answer, work.awaits, work.says) == ([11, 5], "go", 4)
    assert work.writes == ("idempotent-0", "reconciled-1")
