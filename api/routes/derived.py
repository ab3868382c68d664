"""Runs made of other runs, and the list of those that AOS gave up."""

from __future__ import annotations

from fastapi import APIRouter, Response

from ...actors.runs.deriving import Change
from ...actors.runs.events import Derivation
from ...actors.runs.operators import Deed, NotADeadLetter
from .. import pages
from ..client.control_models import DeadLetterView, ForkRequest, ReasonRequest, RerunRequest
from ..client.models import RunPage, RunView
from ..derived import make_run
from ..present import run_page
from ..services import BEARER, Caller, Door, Writer
from .control import who
from .runs import IdempotencyKey, RunId

router = APIRouter(prefix="/api/v1", tags=["derived runs"], dependencies=[BEARER])


@router.post("/runs/{run_id}/fork", status_code=202)
async def fork(
    run_id: RunId,
    request: ForkRequest,
    door: Door,
    caller: Writer,
    response: Response,
    key: IdempotencyKey = None,
) -> RunView:
    """A new run that keeps all that does not depend on a step, and runs that one again: with other
    params, or another goal for what is planned from there on.
    """
    change = Change(
        Derivation.FORK, who(caller), request.reason, request.step_id, goal=request.goal,
        overrides=request.overrides, repeat_effects=request.repeat_effects,
    )  # fmt: skip
    made = await make_run(door, caller, run_id, change, key, response)
    return await door.run_view(caller.tenant, made)


@router.post("/runs/{run_id}/rerun", status_code=202)
async def rerun(
    run_id: RunId,
    door: Door,
    caller: Writer,
    response: Response,
    request: RerunRequest | None = None,
    key: IdempotencyKey = None,
) -> RunView:
    """A new run of the same agent with the same goal, from the start."""
    asked = request or RerunRequest()
    change = Change(
        Derivation.RERUN, who(caller), asked.reason, repeat_effects=asked.repeat_effects
    )
    made = await make_run(door, caller, run_id, change, key, response)
    return await door.run_view(caller.tenant, made)


@router.get("/runs/{run_id}/children")
async def children(
    run_id: RunId, door: Door, caller: Caller, cursor: pages.Cursor = None, limit: pages.Limit = 50
) -> RunPage:
    """The runs that a run has made, oldest first."""
    await door.runs.read(caller.tenant, run_id)
    found = await door.operators.children(
        caller.tenant, run_id, after=pages.parse(cursor), limit=limit + 1
    )
    return run_page(*pages.cut(found, limit))


@router.get("/dead-letters")
async def dead_letters(
    door: Door, caller: Caller, cursor: pages.Cursor = None, limit: pages.Limit = 50
) -> RunPage:
    """Runs that AOS gave up and nobody has dealt with yet, newest first."""
    found = await door.operators.dead_letters(
        caller.tenant, before=pages.parse(cursor), limit=limit + 1
    )
    return run_page(*pages.cut(found, limit))


@router.get("/dead-letters/{run_id}")
async def dead_letter(run_id: RunId, door: Door, caller: Caller) -> RunView:
    """One of them, with its steps. 409 (AOS-3015) for any other run."""
    view = await door.run_view(caller.tenant, run_id)
    if view.status != "quarantined":
        raise NotADeadLetter(f"run {run_id} is {view.status}")
    return view


@router.post("/dead-letters/{run_id}/requeue", status_code=202)
async def requeue(
    run_id: RunId,
    door: Door,
    caller: Writer,
    response: Response,
    request: RerunRequest | None = None,
    key: IdempotencyKey = None,
) -> RunView:
    """Give it another chance, once: a new run that keeps what had succeeded."""
    asked = request or RerunRequest()
    change = Change(
        Derivation.REQUEUE, who(caller), asked.reason, repeat_effects=asked.repeat_effects
    )
    made = await make_run(door, caller, run_id, change, key, response)
    return await door.run_view(caller.tenant, made)


@router.post("/dead-letters/{run_id}/discard")
async def discard(
    run_id: RunId, door: Door, caller: Writer, request: ReasonRequest | None = None
) -> DeadLetterView:
    """Have it off the list. Its journal stays."""
    reason = request.reason if request else ""
    deed = Deed(caller.tenant, who(caller), "discard", reason, run_id)
    await door.operators.discard(deed, run_id)
    return DeadLetterView(run_id=run_id, action="discard", by=deed.by, reason=reason)
