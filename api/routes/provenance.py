"""Where a run's result comes from: its history, and exports of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from starlette.responses import StreamingResponse

from ...actors.runs.export import csv_head, csv_line, json_line
from ...actors.runs.history import HistoryStore
from ...actors.runs.provenance_records import Record
from ..client.history_models import RunHistory
from ..present_retention import history_view
from ..services import BEARER, Caller, Door
from .runs import RunId

router = APIRouter(prefix="/api/v1/runs", tags=["runs"], dependencies=[BEARER])

Format = Annotated[
    Literal["csv", "jsonl"], Query(description="A table for spreadsheets, or JSON lines.")
]
_MEDIA = {"csv": "text/csv; charset=utf-8; header=present", "jsonl": "application/jsonl"}


@router.get("/{run_id}/history")
async def history(run_id: RunId, door: Door, caller: Caller) -> RunHistory:
    """The run's statuses, plan, attempts, denials and restarts, as its journal says now."""
    found = await HistoryStore(door.database).records(caller.tenant, run_id)
    return history_view(run_id, [record async for record in found])


@router.get("/{run_id}/export", response_class=StreamingResponse)
async def export(
    run_id: RunId,
    door: Door,
    caller: Caller,
    format: Format = "jsonl",  # noqa: A002 - the parameter's name
) -> StreamingResponse:
    """The same, one record a line, as a file. It is streamed: a history may be long."""
    found = await HistoryStore(door.database).records(caller.tenant, run_id)
    return StreamingResponse(
        _lines(run_id, found, format),
        media_type=_MEDIA[format],
        headers={"Content-Disposition": f'attachment; filename="run-{run_id}.{format}"'},
    )


async def _lines(run_id: UUID, found: AsyncIterator[Record], form: str) -> AsyncIterator[str]:
    if form == "csv":
        yield csv_head()
    line = csv_line if form == "csv" else json_line
    async for record in found:
        yield line(str(run_id), record)
