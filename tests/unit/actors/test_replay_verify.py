"""Whatever the machine writes verifies and replays alike; whatever is edited is found and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.support.lives import derived_life, life
from tests.support.runs import RUN

from aos.actors.replay.mock import mock
from aos.actors.replay.verify import Chain, Verification, verify
from aos.actors.runs.chain import Row, chained, genesis
from aos.actors.runs.events import (
    ChildSpawned,
    Event,
    RunFinished,
    RunParked,
    RunStatus,
    Source,
    StepClosed,
    StepIntended,
    StepReconciled,
    StepSettled,
    Verdict,
    WaitBegan,
)

LIVES = range(36)


def checked(events: list[Event]) -> Verification:
    return verify(RUN, chained(genesis(RUN), 1, events))


@pytest.mark.parametrize("seed", LIVES)
async def test_any_life_verifies_and_replays_alike(seed: int) -> None:
    world = await life(seed)
    found = verify(RUN, world.rows)
    assert found.divergence is None, (found.divergence, [e.kind for e in world.events])
    assert found.chain is Chain.INTACT
    assert not found.unchecked
    again = mock(RUN, world.events)
    assert again.same, again.difference
    assert again.recorded == found.signature
    assert (again.status == found.status) or world.state.finished is None


@pytest.mark.parametrize("seed", range(12))
async def test_a_fork_of_any_life_verifies_and_replays_alike(seed: int) -> None:
    world = await derived_life(seed, await life(seed))
    if world is None:
        return
    assert verify(RUN, world.rows).divergence is None
    assert mock(RUN, world.events).same


async def test_the_lives_show_enough() -> None:
    kinds: Counter[str] = Counter()
    for seed in LIVES:
        kinds.update(event.kind for event in (await life(seed)).events)
    rare = {"message_ignored", "step_reconciled", "step_repaired", "child_spawned", "run_paused"}
    assert rare <= kinds.keys()
    assert min(kinds[kind] for kind in ("wait_began", "run_parked", "run_resumed")) > 5


def edits(event: Event) -> Iterator[dict[str, Any]]:
    """What could be made of a decision that it was not."""
    match event:
        case StepIntended():
            yield {"attempt": event.attempt + 1}
            yield {"idempotency_key": "another"}
            yield {"skill": "another@1.0.0"}
        case WaitBegan():
            yield {"until": (event.until or event.at) + timedelta(seconds=1)}
            yield {"signal": "another"}
            yield {"question": "Another?"}
            yield {"child_run_id": str(RUN)}
        case StepClosed():
            yield {"outcome": event.outcome.model_copy(update={"code": "ERR_INTERNAL"})}
            yield {"outcome": event.outcome.model_copy(update={"cost_microusd": 5})}
        case RunParked():
            yield {"until": (event.until or event.at) + timedelta(days=1)}
            yield {"reason": "because"}
        case ChildSpawned():
            yield {"child_run_id": str(RUN)}
        case StepReconciled(source=Source.POLICY):
            yield {"verdict": Verdict.HAPPENED}
        case StepSettled():
            yield {"attempt": event.attempt + 1}
            yield {"idempotency_key": "another"}
        case RunFinished():
            other = {RunStatus.COMPLETED: RunStatus.PARTIAL}
            yield {"status": other.get(event.status, RunStatus.COMPLETED)}
            yield {"code": "ERR_INTERNAL" if event.code != "ERR_INTERNAL" else "OK"}
            yield {"message": "something else"}
            yield {"answer": "another"}
        case _:
            pass


@pytest.mark.parametrize("seed", range(0, 36, 4))
async def test_any_edited_decision_is_found_and_named(seed: int) -> None:
    world = await life(seed)
    for place, event in enumerate(world.events):
        for edit in edits(event):
            edited = [*world.events]
            edited[place] = event.model_copy(update=edit)
            found = checked(edited).divergence
            assert found is not None, (event, edit)
            assert found.seq == place + 1, (event, edit, found)
            assert found.recorded
            assert found.attempted
            assert found.cause


@pytest.mark.parametrize("seed", range(1, 36, 7))
async def test_any_changed_row_is_named_by_its_number(seed: int) -> None:
    world = await life(seed)
    rows = list(world.rows)
    for place, row in enumerate(rows):
        for tampered in tamperings(row):
            found = verify(RUN, [*rows[:place], tampered, *rows[place + 1 :]])
            assert found.divergence is not None
            assert found.divergence.seq == place + 1
            assert found.chain is Chain.BROKEN
        if place + 1 < len(rows):
            without = verify(RUN, [*rows[:place], *rows[place + 1 :]])
            assert without.divergence is not None
            assert without.divergence.seq == place + 1
            swapped = verify(RUN, [*rows[:place], rows[place + 1], row, *rows[place + 2 :]])
            assert swapped.divergence is not None
            assert swapped.divergence.seq == place + 1


def tamperings(row: Row) -> Iterator[Row]:
    yield replace(row, body=row.body.replace("2026", "2027", 1))
    yield replace(row, kind="run_woken" if row.kind != "run_woken" else "run_resumed")
    yield replace(row, version=row.version + 1)
    yield replace(row, chain=bytes([row.chain[0] ^ 1]) + row.chain[1:])


async def test_rows_from_before_there_were_links_are_said_to_be_unchecked() -> None:
    world = await life(3)
    bare = [replace(row, chain=b"") for row in world.rows]
    found = verify(RUN, bare)
    assert (found.divergence, found.chain) == (None, Chain.ABSENT)
    assert found.unchecked
    later = chained(genesis(RUN), 4, world.events[3:])
    assert verify(RUN, [*bare[:3], *later]).chain is Chain.PARTIAL
    stripped = [*later[:1], *bare[4:]]
    broken = verify(RUN, [*bare[:3], *stripped]).divergence
    assert broken is not None
    assert broken.seq == 5


async def test_a_column_that_contradicts_its_body_is_named() -> None:
    world = await life(5)
    row = world.rows[2]
    moved = replace(row, at=row.at + timedelta(seconds=1))
    found = verify(RUN, [*world.rows[:2], moved, *world.rows[3:]]).divergence
    assert found is not None
    assert found.seq == 3
    assert "column" in found.cause
