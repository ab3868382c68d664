"""Retention on a whole AOS: asked for at the door, done under the root."""

from __future__ import annotations

from uuid import UUID

from tests.support.old_runs import insert_runs, make_week
from tests.support.retained import nothing, rows_of
from tests.support.running import RunningAos, eventually

from aos.cluster.postgres import Database

ELEVEN_YEARS = 11 * 53


async def test_what_is_asked_for_at_the_door_is_done_under_the_root(aos: RunningAos) -> None:
    """The session's AOS keeps runs for ten years."""
    async with aos.database() as database:
        old = await make_week(database, ELEVEN_YEARS)
        gone = await insert_runs(database, old.monday, 300)
        waiting = await insert_runs(database, old.monday, 2, finished=False, first=1_000)
        before = await rows_of(database, waiting)
    view = aos.client.retention.run()
    assert view.begun
    assert [(part.part, part.removable) for part in view.parts or () if part.removable] == [
        (old.name, 300)
    ]
    eventually(lambda: _state(aos, old.name) == "removed")
    async with aos.database() as database:
        assert nothing(await rows_of(database, gone))
        assert await rows_of(database, waiting) == before
        await _forget(database, waiting)
    tree = aos.client.tree()
    service = next(node for node in tree.walk() if node.id == "retention")
    assert (service.state, service.kind) == ("running", "service")
    assert (service.model_extra or {})["removed"] >= 300


def _state(aos: RunningAos, part: str) -> str:
    removals = aos.client.retention.show().removals or []
    return next((each.state for each in removals if each.part == part), "")


async def _forget(database: Database, runs: list[UUID]) -> None:
    """Later tests count unfinished runs: these are over."""
    await database.execute(
        "UPDATE runs SET status = 'completed', finished_at = now() WHERE run_id = ANY ($1)", runs
    )
