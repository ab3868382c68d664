"""Retention: what is kept, what goes, and where it has gone."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from ...actors.retention.errors import NoRetention
from ...actors.retention.policy import Policy
from ...actors.retention.removal import Retention
from ...actors.retention.store import RetentionStore
from .. import pages
from ..auth import require_platform, sees_platform
from ..client.retention_models import ArchivePage, RetentionView
from ..present_retention import archive_view, policy_view, retention_view
from ..services import BEARER, Caller, Door, Services

router = APIRouter(prefix="/api/v1/retention", tags=["retention"], dependencies=[BEARER])

_REMOVALS_SHOWN = 10

DryRun = Annotated[bool, Query(description="Only say what would go.")]


@router.get("")
async def show(door: Door, caller: Caller) -> RetentionView:
    """The policy; and for those who see the platform what it lets go now, and what went last."""
    store = RetentionStore(door.database)
    if not sees_platform(caller):
        return policy_view(Policy.of(door.settings), await store.now())
    return await _shown(door, store)


@router.post("/run", status_code=202)
async def run(door: Door, caller: Caller, dry_run: DryRun = False) -> RetentionView:
    """Have a round begin now, and answer what it will remove. It goes on by itself; asking again is
    harmless. Partitions hold everybody's runs, so only those who see the platform may.
    """
    require_platform(caller)
    if Policy.of(door.settings).days is None:
        raise NoRetention
    found = await _shown(door, RetentionStore(door.database))
    if dry_run:
        return found
    return found.model_copy(update={"begun": await door.doorbell.retain()})


@router.get("/archives")
async def archives(
    door: Door, caller: Caller, cursor: pages.Cursor = None, limit: pages.Limit = 50
) -> ArchivePage:
    """Archives of the caller's tenant, newest first; of all, for those who see the platform."""
    everything = sees_platform(caller)
    rows = await RetentionStore(door.database).archives(
        None if everything else caller.tenant, pages.parse_number(cursor), limit + 1
    )
    shown, last = pages.cut(rows, limit)
    return ArchivePage(
        items=[archive_view(row, with_path=everything) for row in shown],
        next_cursor=pages.cursor_of_number(last["archive_id"]) if last else None,
    )


async def _shown(door: Services, store: RetentionStore) -> RetentionView:
    policy = Policy.of(door.settings)
    return retention_view(
        policy,
        await store.now(),
        await Retention(store, policy).survey(),
        await store.last_removals(_REMOVALS_SHOWN),
    )
