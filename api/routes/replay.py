"""Replay: verify a run's journal, take its trace, drive it again. Nothing is called or changed.

What is read is checked in a thread: a long journal takes a second, in which others shall be served.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import UUID

from fastapi import APIRouter

from ...actors.replay.dry_run import dry_run
from ...actors.replay.errors import NotReplayable
from ...actors.replay.mock import Change, Replayed, mock, what_if
from ...actors.replay.trace import write_trace
from ...actors.replay.verify import read_events, verify
from ...actors.runs.chain import Row
from ...actors.runs.deriving import large_values
from ...actors.runs.events import Event, decode
from ...actors.runs.fold import fold
from ...actors.runs.state import IllegalTransition, RunState
from ...actors.runs.store import RunNotFound
from ...actors.worker import find_skill, registry
from ...skills.contracts import JsonValue
from ..client.replay_models import ReplayRequest, ReplayView, TraceView, VerificationView
from ..present_replay import dry_run_view, replay_view, verification_view
from ..services import BEARER, Caller, Door, Services, Writer
from .runs import RunId

router = APIRouter(prefix="/api/v1/runs", tags=["replay"], dependencies=[BEARER])


@router.get("/{run_id}/verification")
async def verification(run_id: RunId, door: Door, caller: Caller) -> VerificationView:
    """Check the chain of a run's journal, its legality, and each of its decisions."""
    rows = await door.runs.links(caller.tenant, run_id)
    values = await _values(door, caller.tenant, run_id, rows)
    return verification_view(await asyncio.to_thread(verify, run_id, rows, values))


@router.get("/{run_id}/trace")
async def trace(run_id: RunId, door: Door, caller: Writer) -> TraceView:
    """The journal as a file that anybody can check, its large values with it."""
    rows = await door.runs.links(caller.tenant, run_id)
    values = await _values(door, caller.tenant, run_id, rows)
    text = await asyncio.to_thread(write_trace, run_id, caller.tenant, rows, values)
    return TraceView(run_id=run_id, events=len(rows), last_link=rows[-1].chain.hex(), trace=text)


@router.post("/{run_id}/replays")
async def replay(run_id: RunId, request: ReplayRequest, door: Door, caller: Caller) -> ReplayView:
    """Drive a recorded run again, as it was or with something changed; or say what it would call
    now.
    """
    rows = await door.runs.links(caller.tenant, run_id)
    try:
        events = await asyncio.to_thread(read_events, rows)
    except ValueError as error:
        raise NotReplayable(f"run {run_id}: {str(error)[:300]}") from None
    if request.mode == "dry_run":
        return dry_run_view(run_id, await asyncio.to_thread(_dry_run, run_id, events))
    values = await _values(door, caller.tenant, run_id, rows)
    return replay_view(await asyncio.to_thread(_drive, run_id, events, request, values))


def _drive(
    run_id: UUID, events: list[Event], request: ReplayRequest, values: dict[str, JsonValue]
) -> Replayed:
    if request.mode == "mock":
        return mock(run_id, events, values)
    change = Change(request.goal, request.params, request.limits)
    return what_if(run_id, events, change, values)


def _dry_run(run_id: UUID, events: list[Event]) -> Any:
    return dry_run(_state(run_id, events), registry().catalog(), find_skill)


def _state(run_id: UUID, events: list[Event]) -> RunState:
    try:
        return fold(run_id, events)
    except IllegalTransition as error:
        raise NotReplayable(error.detail) from error


async def _values(
    door: Services, tenant: str, run_id: UUID, rows: list[Row]
) -> dict[str, JsonValue]:
    """The run's large values. What is gone is left out: what depends on it is not checked."""
    values: dict[str, JsonValue] = {}
    for digest in sorted({digest for row in rows for digest in _digests(row)}):
        try:
            values[digest] = await door.runs.blob(tenant, run_id, digest)
        except RunNotFound:
            continue
    return values


def _digests(row: Row) -> list[str]:
    """The hashes that a row names. A row that is not one of ours names none."""
    if 'large"' not in row.body:
        return []
    try:
        return sorted(large_values([decode(row.kind, row.version, json.loads(row.body))]))
    except (ValueError, TypeError):
        return []
