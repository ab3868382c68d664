"""What is said to runs: signals, decisions, cancel, pause, priority; and what is set right."""

from __future__ import annotations

from uuid import UUID

from fastapi import APIRouter, Response

from ...actors.runs.control import (
    check_decision,
    check_repair,
    check_repair_afterwards,
    check_verdict,
)
from ...actors.runs.deriving import Change
from ...actors.runs.events import Action, Derivation, Verdict
from ...actors.runs.operators import Deed, RunOver
from ...cluster.identity import Principal
from ...skills.contracts import JsonObject
from ..client.control_models import (
    DecisionRequest,
    MessageView,
    PriorityRequest,
    ReasonRequest,
    RepairRequest,
    RepairView,
    SignalRequest,
    VerdictRequest,
)
from ..derived import make_run
from ..payloads import check_payload
from ..services import BEARER, Door, Services, Writer
from .runs import IdempotencyKey, RunId

router = APIRouter(prefix="/api/v1/runs", tags=["control"], dependencies=[BEARER])


@router.post("/{run_id}/signals", status_code=202)
async def signal(
    run_id: RunId,
    request: SignalRequest,
    door: Door,
    caller: Writer,
    response: Response,
    key: IdempotencyKey = None,
) -> MessageView:
    """Send a named signal. One that nobody waits for yet is kept for whoever will."""
    warning = check_payload(request.payload, door.settings.payload_limit, "payload")
    body: JsonObject = {"name": request.name, "payload": request.payload}
    said = await _say(door, caller, run_id, "signal", body, key, response)
    return said.model_copy(update={"warning": warning})


@router.post("/{run_id}/cancel", status_code=202)
async def cancel(
    run_id: RunId,
    door: Door,
    caller: Writer,
    response: Response,
    request: ReasonRequest | None = None,
    key: IdempotencyKey = None,
) -> MessageView:
    """End a run: its calls under way are ended first, and what is known of their effects is told
    in its journal. Children that it waits for are cancelled too.
    """
    body: JsonObject = {"reason": request.reason if request else ""}
    return await _say(door, caller, run_id, "cancel", body, key, response)


@router.post("/{run_id}/pause", status_code=202)
async def pause(
    run_id: RunId,
    door: Door,
    caller: Writer,
    response: Response,
    request: ReasonRequest | None = None,
    key: IdempotencyKey = None,
) -> MessageView:
    """Let what is under way end, and begin nothing more."""
    body: JsonObject = {"reason": request.reason if request else ""}
    return await _say(door, caller, run_id, "pause", body, key, response)


@router.post("/{run_id}/continue", status_code=202)
async def resume(
    run_id: RunId, door: Door, caller: Writer, response: Response, key: IdempotencyKey = None
) -> MessageView:
    """Let a paused run go on."""
    return await _say(door, caller, run_id, "continue", {}, key, response)


@router.post("/{run_id}/decisions", status_code=202)
async def decide(
    run_id: RunId,
    request: DecisionRequest,
    door: Door,
    caller: Writer,
    response: Response,
    key: IdempotencyKey = None,
) -> MessageView:
    """Answer the question that a step waits with."""
    warning = check_payload(request.value, door.settings.payload_limit, "value")
    if not await _repeats(door, caller, run_id, key):
        state = await door.runs.state(caller.tenant, run_id)
        if state.finished is None:
            check_decision(state, request.step_id)
    body: JsonObject = request.model_dump()
    said = await _say(door, caller, run_id, "decide", body, key, response)
    return said.model_copy(update={"warning": warning})


@router.post("/{run_id}/verdicts", status_code=202)
async def resolve(
    run_id: RunId,
    request: VerdictRequest,
    door: Door,
    caller: Writer,
    response: Response,
    key: IdempotencyKey = None,
) -> MessageView:
    """Say what is so about an effect in doubt."""
    warning = check_payload(request.output, door.settings.payload_limit, "output")
    if not await _repeats(door, caller, run_id, key):
        state = await door.runs.state(caller.tenant, run_id)
        if state.finished is None:
            check_verdict(state, request.step_id, Verdict(request.verdict))
    body: JsonObject = request.model_dump()
    said = await _say(door, caller, run_id, "verdict", body, key, response)
    return said.model_copy(update={"warning": warning})


@router.post("/{run_id}/priority", status_code=202)
async def prioritise(
    run_id: RunId, request: PriorityRequest, door: Door, caller: Writer
) -> MessageView:
    """Change an unfinished run's place in its agent's queue."""
    deed = Deed(caller.tenant, by=who(caller), action="priority", run_id=run_id)
    if await door.operators.set_priority(deed, run_id, request.priority) is None:
        raise await _over(door, caller, run_id)
    return MessageView(run_id=run_id, kind="priority")


@router.post("/{run_id}/repair", status_code=202)
async def repair(
    run_id: RunId,
    request: RepairRequest,
    door: Door,
    caller: Writer,
    response: Response,
    key: IdempotencyKey = None,
) -> RepairView:
    """Skip a step, give it a result, or have it run again. An unfinished run is told; of one that
    is over a new run is made, which keeps all outcomes that do not depend on the step.
    """
    check_payload(request.output, door.settings.payload_limit, "output")
    state = await door.runs.state(caller.tenant, run_id)
    action = Action(request.action)
    if state.finished is None:
        if not await _repeats(door, caller, run_id, key):
            check_repair(state, request.step_id, action)
        body: JsonObject = request.model_dump(exclude={"repeat_effects"})
        said = await _say(door, caller, run_id, "repair", body, key, response)
        return RepairView(run_id=run_id, number=said.number)
    check_repair_afterwards(state, request.step_id, action)
    change = Change(
        Derivation.REPAIR, who(caller), request.reason, request.step_id, action=action,
        output=request.output, repeat_effects=request.repeat_effects,
    )  # fmt: skip
    made = await make_run(door, caller, run_id, change, key, response)
    return RepairView(run_id=made, derived_from=run_id)


def who(caller: Principal) -> str:
    """Whose word it is, as journals and the record have it."""
    return f"key {caller.key_id}"


async def _say(
    door: Services,
    caller: Principal,
    run_id: UUID,
    kind: str,
    body: JsonObject,
    key: str | None,
    response: Response,
) -> MessageView:
    said = await door.inbox.say(
        caller.tenant, run_id, kind, body, by=who(caller), key=_own(key)
    )  # fmt: skip
    if said is None:
        raise await _over(door, caller, run_id)
    if said.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    door.doorbell.ring(caller.tenant, said.agent_id)
    return MessageView(run_id=run_id, kind=kind, number=said.number)


async def _repeats(door: Services, caller: Principal, run_id: UUID, key: str | None) -> bool:
    """Whether this was said before under its key: then it was judged before, too."""
    return key is not None and await door.inbox.was_said(caller.tenant, run_id, _own(key) or "")


def _own(key: str | None) -> str | None:
    """AOS itself says things under keys as well."""
    return None if key is None else f"api:{key}"


async def _over(door: Services, caller: Principal, run_id: UUID) -> RunOver:
    """Why a run hears nothing any more. Raises `RunNotFound`."""
    row = await door.runs.read(caller.tenant, run_id)
    return RunOver(f"run {run_id} is {row['status']}", why=row["status"])
