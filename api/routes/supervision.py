"""What supervisors did and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from ...cluster.identity import DEFAULT_TENANT
from ...supervisors.store import recent_events
from .. import pages
from ..client.models import SupervisionEvents
from ..present import supervision_event
from ..services import BEARER, Caller, Door

router = APIRouter(tags=["system"], dependencies=[BEARER])

Child = Annotated[str | None, Query(max_length=100, description="An agent's id, or a part's name.")]


@router.get("/api/v1/supervision/events")
async def events(
    door: Door, caller: Caller, child: Child = None, limit: pages.Limit = 50
) -> SupervisionEvents:
    """The newest first: starts, ends with their reason, restarts with their delay.

    The machinery is the default tenant's to see; others ask about an agent of theirs.
    """
    if caller.tenant != DEFAULT_TENANT:
        child = str((await door.agents.find(caller.tenant, child or "")).agent_id)
    rows = await recent_events(door.database, child, limit)
    return SupervisionEvents(items=[supervision_event(row) for row in rows])
