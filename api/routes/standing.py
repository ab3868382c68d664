"""Why runs get a process, or do not; and the emergency stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query

from ...actors.runs.eligibility import Facts, judge
from ...actors.runs.operators import Deed
from ...actors.runs.state import IllegalTransition
from ...cluster.identity import Principal
from .. import pages
from ..auth import RoleTooNarrow, sees_platform
from ..client.control_models import (
    EligibilityPage,
    EligibilityView,
    StopRequest,
    StopsView,
    StopView,
)
from ..services import BEARER, Admin, Caller, Door, Services
from .control import who
from .runs import RunId

router = APIRouter(prefix="/api/v1", tags=["standing"], dependencies=[BEARER])

Everyone = Annotated[bool, Query(description="Everybody's stop, not the tenant's own.")]


@router.get("/runs/{run_id}/eligibility")
async def eligibility(run_id: RunId, door: Door, caller: Caller) -> EligibilityView:
    """Why a run gets a process now, or does not."""
    facts = await door.standings.of(caller.tenant, run_id)
    try:
        state = await door.runs.state(caller.tenant, run_id)
        facts = replace(facts, crashes=state.crashes)
    except (IllegalTransition, ValueError) as error:
        facts = replace(facts, unreadable=str(error)[:500])
    return _view(facts)


@router.get("/eligibility")
async def pending(
    door: Door, caller: Caller, cursor: pages.Cursor = None, limit: pages.Limit = 50
) -> EligibilityPage:
    """The same of all unfinished runs, oldest first. Journals are not read for it."""
    found = await door.standings.page(caller.tenant, after=pages.parse(cursor), limit=limit + 1)
    shown, last = pages.cut(found, limit)
    return EligibilityPage(
        items=[_view(facts) for facts in shown],
        next_cursor=pages.cursor_of(last.run_id) if last else None,
    )


@router.get("/stop")
async def stops(door: Door, caller: Caller) -> StopsView:
    """What holds this tenant's effects up now."""
    return await _stops(door, caller)


@router.post("/stop")
async def stop(request: StopRequest, door: Door, caller: Admin) -> StopsView:
    """No new effects from now on: calls that are under way end, no other call is made. A stop that
    is in force stays as it is.
    """
    _check_reach(caller, request.everyone)
    deed = Deed(caller.tenant, who(caller), "stop", request.reason)
    await door.operators.stop(deed, everyone=request.everyone)
    return await _stops(door, caller)


@router.delete("/stop")
async def lift(door: Door, caller: Admin, everyone: Everyone = False) -> StopsView:
    """Let effects happen again. Runs that were held up go on at once."""
    _check_reach(caller, everyone)
    deed = Deed(caller.tenant, who(caller), "lift")
    woken = await door.operators.lift(deed, everyone=everyone)
    return (await _stops(door, caller)).model_copy(update={"woken": woken})


def _check_reach(caller: Principal, everyone: bool) -> None:
    if everyone and not sees_platform(caller):
        raise RoleTooNarrow("only an admin of the tenant default stops everyone")


async def _stops(door: Services, caller: Principal) -> StopsView:
    found = await door.operators.stops(caller.tenant)
    return StopsView(
        stops=[
            StopView(reason=each.reason, everyone=each.tenant is None, by=each.by, since=each.since)
            for each in found
        ]
    )


def _view(facts: Facts) -> EligibilityView:
    judgement = judge(facts)
    return EligibilityView(
        run_id=facts.run_id,
        agent=facts.agent,
        status=facts.status,
        standing=judgement.standing.value,
        eligible=judgement.eligible,
        why=judgement.why,
        until=judgement.until,
        position=judgement.position,
        next_action=judgement.next_action,
    )
