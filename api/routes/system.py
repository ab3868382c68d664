"""The process itself: health, readiness, version, metrics, status."""

from __future__ import annotations

import asyncio
import platform

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from ...cluster.errors import AosError
from .. import status as gathering
from ..client.models import StatusView
from ..errors import NotReady
from ..services import BEARER, Caller, Door, version

router = APIRouter(tags=["system"])


@router.get("/health")
async def health() -> dict[str, str]:
    """The process is alive; whether what it needs is, `/ready` says."""
    return {"status": "alive"}


@router.get("/ready")
async def ready(door: Door) -> dict[str, str]:
    """The database and the supervisors answer; a 503 problem otherwise."""
    checks = {
        "database": door.database.fetch_value("SELECT 1"),
        "supervisors": door.doorbell.tree(),
    }
    results = await asyncio.gather(*checks.values(), return_exceptions=True)
    failed = [
        f"{name}: {result.detail}"
        for name, result in zip(checks, results, strict=True)
        if isinstance(result, AosError)
    ]
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, AosError):
            raise result
    if failed:
        raise NotReady("; ".join(failed))
    return {"status": "ready"}


@router.get("/version")
async def show_version() -> dict[str, str]:
    """The version of the program and of its API."""
    return {"name": "aos", "version": version(), "api": "v1", "python": platform.python_version()}


@router.get("/metrics", dependencies=[BEARER])
async def metrics(door: Door, caller: Caller) -> Response:
    """Counters and gauges in Prometheus's text format."""
    return Response(await door.scrape.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/api/v1/status", dependencies=[BEARER])
async def status(door: Door, caller: Caller) -> StatusView:
    """The supervision tree, agents, runs and resources at this moment."""
    return await gathering.status(door, caller)
