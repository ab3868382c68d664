"""Says things to runs straight into their inbox: what the door's routes come down to."""

from __future__ import annotations

from uuid import UUID

from aos.actors.runs.events import Event
from aos.actors.runs.inbox import Inbox
from aos.actors.runs.store import RunStore
from aos.skills.contracts import JsonValue
from tests.support.running import RunningAos


async def signal(
    aos: RunningAos, run_id: UUID, name: str, payload: JsonValue = None, key: str | None = None
) -> None:
    """Commit a signal; the run must be unfinished."""
    async with aos.database() as database:
        body: dict[str, JsonValue] = {"name": name, "payload": payload}
        said = await Inbox(database).say("default", run_id, "signal", body, by="a test", key=key)
    assert said is not None, "the run is over"


async def journal(aos: RunningAos, run_id: UUID) -> list[Event]:
    """The events of a run, as written."""
    async with aos.database() as database:
        recorded = await RunStore(database).events("default", run_id)
    return [each.event for each in recorded]
