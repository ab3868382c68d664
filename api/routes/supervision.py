"""The living supervision tree, and what supervisors did and why."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import AwareDatetime

from ...supervisors.store import EventFilter
from .. import pages
from .. import tree as viewing
from ..auth import sees_platform
from ..client.models import EventPage, TreeNode
from ..services import BEARER, Caller, Door

router = APIRouter(prefix="/api/v1/tree", tags=["supervision"], dependencies=[BEARER])

Child = Annotated[
    str | None,
    Query(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00]*$",
        description="An agent's name or id, or a part's name, such as `front`.",
    ),
]
Kind = Annotated[str | None, Query(pattern="^[a-z_]{1,40}$", description="Only events of a kind.")]
Since = Annotated[AwareDatetime | None, Query(description="Only what happened since (RFC 3339).")]


@router.get("")
async def tree(door: Door, caller: Caller) -> TreeNode:
    """The tree at this moment: who is there, since when, and how often it was restarted."""
    return await viewing.living_tree(door, caller)


@router.get("/events")
async def events(
    door: Door,
    caller: Caller,
    child: Child = None,
    kind: Kind = None,
    since: Since = None,
    cursor: pages.Cursor = None,
    limit: pages.Limit = 50,
) -> EventPage:
    """The newest first: starts, ends with their reason, restarts with their delay. With `child`,
    the first page also answers why that one was restarted, or is not.
    """
    tenant = None if sees_platform(caller) else caller.tenant
    wanted = EventFilter(tenant, child, kind, since)
    return await viewing.recorded_events(door, caller, wanted, cursor, limit)
