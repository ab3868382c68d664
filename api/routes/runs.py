"""Runs: submit, list, show, follow."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Response
from fastapi import Path as PathParameter

from ...actors.roster import RegisteredAgent, planner_of
from ...actors.runs.events import RunStatus
from ...actors.runs.store import Recorded
from ...actors.runs.submission import Submission
from ...cluster.canonical import content_hash
from ...cluster.identity import Principal
from ...cluster.settings import Settings
from ...skills.contracts import JsonValue
from .. import pages
from ..client.models import RunPage, RunRequest, RunView
from ..errors import NotARunId
from ..event_stream import EventStream
from ..follow import Watch
from ..present import run_page, run_view
from ..services import BEARER, Caller, Door, Writer

router = APIRouter(prefix="/api/v1/runs", tags=["runs"], dependencies=[BEARER])

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="Repeating a request with its key answers with the run of the first one.",
    ),
]
LastEventId = Annotated[
    int, Header(alias="Last-Event-ID", ge=0, description="Go on after this sequence number.")
]


async def _run_id(
    run_id: Annotated[str, PathParameter(json_schema_extra={"format": "uuid"})],
) -> UUID:
    """The id in the path. Raises `NotARunId`."""
    try:
        return UUID(run_id)
    except ValueError:
        raise NotARunId(f"{run_id[:100]!r} is not the id of a run") from None


RunId = Annotated[UUID, Depends(_run_id)]
"""Which run a path is about."""


@router.post("", status_code=202)
async def submit(
    request: RunRequest,
    door: Door,
    caller: Writer,
    response: Response,
    key: IdempotencyKey = None,
) -> RunView:
    """Accept a goal. From this answer on the run cannot be lost."""
    agent = await door.agents.find(caller.tenant, request.agent)
    submission = _submission(request, caller, agent, door.settings, key)
    if request.program is not None:
        program = await door.programs.find(caller.tenant, request.program)
        agreed = {"request": submission.request_hash, "program": program.model_dump()}
        submission = replace(submission, program=program, request_hash=content_hash(agreed))
    accepted = await door.runs.submit(submission)
    response.headers["Location"] = f"/api/v1/runs/{accepted.run_id}"
    if accepted.replayed:
        response.headers["Idempotent-Replayed"] = "true"
    if accepted.row is not None and accepted.first is not None:  # nobody has to look for it
        row = {**accepted.row, "agent_name": agent.profile.name}
        return run_view(row, [Recorded(1, 0, accepted.first)])
    return await door.run_view(caller.tenant, accepted.run_id)


@router.get("")
async def page(
    door: Door,
    caller: Caller,
    status: RunStatus | None = None,
    agent: str | None = None,
    cursor: pages.Cursor = None,
    limit: pages.Limit = 50,
) -> RunPage:
    """Runs, newest first."""
    of_agent = await door.agents.find(caller.tenant, agent) if agent else None
    found = await door.runs.page(
        caller.tenant,
        before=pages.parse(cursor),
        status=status,
        agent_id=of_agent.agent_id if of_agent else None,
        limit=limit + 1,
    )
    return run_page(*pages.cut(found, limit))


@router.get("/{run_id}")
async def show(run_id: RunId, door: Door, caller: Caller) -> RunView:
    """One run with its steps and, once it is there, its answer."""
    return await door.run_view(caller.tenant, run_id)


@router.get("/{run_id}/values/{digest}")
async def value(run_id: RunId, digest: str, door: Door, caller: Caller) -> JsonValue:
    """A value that was too large for its event, by the content hash that the event gives."""
    return await door.runs.blob(caller.tenant, run_id, digest)


async def _watch(run_id: RunId, door: Door) -> AsyncGenerator[Watch]:
    with door.follower.slot(run_id) as watch:
        yield watch


async def _place(
    run_id: RunId, door: Door, caller: Caller, last_event_id: LastEventId = 0
) -> tuple[int, bool]:
    """After which event to go on, and whether there is anything to come. Raises `RunNotFound`."""
    row = await door.runs.read(caller.tenant, run_id)
    after = min(last_event_id, row["last_seq"])
    return after, row["finished_at"] is None or after < row["last_seq"]


@router.get("/{run_id}/events", response_class=EventStream, status_code=200)
async def events(
    run_id: RunId,
    door: Door,
    caller: Caller,
    place: Annotated[tuple[int, bool], Depends(_place)],
    watch: Annotated[Watch, Depends(_watch)],
) -> EventStream:
    """The run's journal as server-sent events, live, to its last event."""
    after, more = place
    return EventStream(door.follower.pages(watch, caller.tenant, run_id, after) if more else None)


def _submission(
    request: RunRequest,
    caller: Principal,
    agent: RegisteredAgent,
    settings: Settings,
    key: str | None,
) -> Submission:
    agreed = {"agent": str(agent.agent_id), "goal": request.goal, "priority": request.priority}
    return Submission(
        tenant=caller.tenant,
        agent_id=agent.agent_id,
        profile=agent.profile,
        goal=request.goal,
        planner=planner_of(agent.profile, settings),
        request_hash=content_hash(agreed),
        key=key,
        priority=request.priority,
    )
