"""A process is killed at each commit and each dispatch, for each effect class. Whatever dies:
nothing is lost, nothing that must not happen twice does, and what may is repeated under its key.

The outside ledger (`tests/support/effect_ledger.py`) says what happened to the world. Each run
waits for a signal when its fault is armed, so passages are counted from one known place on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest

from aos.actors.runs.fold import fold
from aos.actors.runs.state import Phase
from aos.actors.runs.waiting import SIGNAL
from aos.cluster import faults
from tests.support.effect_ledger import Effect, EffectLedger
from tests.support.noting import CLASSES, note, plan
from tests.support.running import RunningAos, eventually
from tests.support.saying import journal, signal

# What is committed after the signal: that it was heard; the intent of what must not happen twice;
# the outcome together with the end.
INTENT, OUTCOME = {"unsafe": 2, "reconciled": 2}, {"unsafe": 3, "reconciled": 3}
DISPATCH = ("step.dispatching", "step.dispatched", "step.outcome")
WITHIN = ("skill.started", "skill.finished")


def cases() -> Iterator[tuple[str, str, int]]:
    for effects in CLASSES:
        for passage in range(1, OUTCOME.get(effects, 2) + 1):
            yield effects, "journal.appending", passage
            yield effects, "journal.appended", passage
        for point in (*DISPATCH, *WITHIN):
            yield effects, point, 1


def in_doubt(effects: str, point: str, passage: int) -> bool:
    """Whether the death fell between the intent's commit and the outcome's, so that nobody knows,
    and there is nobody to ask.
    """
    if effects != "unsafe":
        return False
    if point == "journal.appended":
        return passage == INTENT[effects]
    if point == "journal.appending":
        return passage == OUTCOME[effects]
    return True


@pytest.mark.parametrize(("effects", "point", "passage"), list(cases()))
async def test_a_process_dies_at(
    aos: RunningAos,
    literal_agent: str,
    effect_ledger: EffectLedger,
    effects: str,
    point: str,
    passage: int,
) -> None:
    run_id = waiting_run(aos, literal_agent, effect_ledger, effects)
    faults.arm(aos.faults, point, f"kill@{passage}")
    try:
        await signal(aos, run_id, "go")
        ended = aos.client.runs.wait(run_id, timeout=60)
        eventually(lambda: faults.fired(aos.faults, point), 10)
    finally:
        disarm(aos.faults, point)
    happened = effect_ledger.done(str(run_id))
    doubted = in_doubt(effects, point, passage)
    if doubted:
        assert (ended.status, ended.code) == ("quarantined", "ERR_IN_DOUBT"), ended.message
    else:
        assert (ended.status, ended.answer) == ("completed", 8), (ended.code, ended.message)
    assert_allowed(happened, effects, known=not doubted)
    await assert_explained(aos, run_id, ended.status == "completed")


@pytest.mark.parametrize("before_ms", [50, 200, 500, 1_500])
async def test_the_orphan_of_a_dead_agent_does_nothing_after_it_was_asked_about(
    aos: RunningAos, literal_agent: str, effect_ledger: EffectLedger, before_ms: int
) -> None:
    """The agent dies, its call is still on its way to its effect, and the next activation asks
    whether it happened. What then says no must be right for ever.
    """
    run_id = waiting_run(aos, literal_agent, effect_ledger, "reconciled", before_ms=before_ms)
    faults.arm(aos.faults, "step.dispatched", "kill")
    try:
        await signal(aos, run_id, "go")
        ended = aos.client.runs.wait(run_id, timeout=60)
        eventually(lambda: faults.fired(aos.faults, "step.dispatched"), 10)
    finally:
        disarm(aos.faults, "step.dispatched")
    assert (ended.status, ended.answer) == ("completed", 8), (ended.code, ended.message)
    eventually(lambda: not calls_of(aos, "note_reconciled"))
    assert len(effect_ledger.done(str(run_id))) == 1


def calls_of(aos: RunningAos, skill: str) -> list[int]:
    """The processes that execute a skill now."""
    found: list[int] = []
    for process in psutil.Process(aos.info["pid"]).children(recursive=True):
        with suppress(psutil.Error):
            if any(skill in part for part in process.cmdline()):
                found.append(process.pid)
    return found


def waiting_run(
    aos: RunningAos, agent: str, ledger: EffectLedger, effects: str, **params: Any
) -> UUID:
    steps = (
        {"id": "gate", "skill": SIGNAL, "params": {"name": "go"}},
        note(ledger.url, effects, 0, 7, needs=["gate"], **params),
    )
    run = aos.client.runs.create(agent, plan(*steps, answer=f"{{{{{effects}-0.value}}}}"))
    eventually(lambda: aos.client.runs.get(run.id).status == "waiting", 60)
    return run.id


def disarm(directory: Path, point: str) -> None:
    (directory / point).unlink(missing_ok=True)
    (directory / f"{point}.fired").unlink(missing_ok=True)


def assert_allowed(happened: list[Effect], effects: str, known: bool) -> None:
    """What the world may have seen of one step."""
    assert len({entry.key for entry in happened}) <= 1, "repeats carry the same key"
    if effects in ("unsafe", "reconciled"):
        assert len(happened) <= 1, "it did not happen twice"
    if known:
        assert happened, "what the journal says was done has been done"


async def assert_explained(aos: RunningAos, run_id: UUID, completed: bool) -> None:
    """The journal tells one story: each step settled successfully once at the most."""
    events = await journal(aos, run_id)
    state = fold(run_id, events)
    successes = Counter(e.step_id for e in events if e.kind == "step_settled" and e.outcome.ok)
    assert set(successes.values()) <= {1}
    if completed:
        assert {step.phase for step in state.steps.values()} == {Phase.SUCCEEDED}
