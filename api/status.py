"""What runs here, for `GET /api/v1/status`: each part alone, so that none hides another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar, cast

from ..cluster.errors import AosError
from ..cluster.identity import Principal
from ..cluster.postgres import Queries
from .auth import sees_platform
from .client.models import StatusView
from .services import Services, version
from .tree import living_tree

QUERIES = Queries.load(Path(__file__).with_name("status.sql"))

Part = TypeVar("Part")


async def status(door: Services, caller: Principal) -> StatusView:
    """A tenant's counts, the tree as far as the caller may see it, and for those who may see the
    platform its resources and addresses.
    """
    tenant = caller.tenant
    problems: list[str] = []

    async def part(name: str, gathered: Awaitable[Part]) -> Part | None:
        try:
            return await gathered
        except AosError as error:
            problems.append(f"{name}: {error}")
            return None

    async def nothing() -> None:
        return None

    own = sees_platform(caller)
    server, agents, runs, tree, resources, stops = await asyncio.gather(
        part("postgres", door.database.fetch_value(QUERIES.postgres_version)),
        part("agents", _agents(door, tenant)),
        part("runs", door.runs.counts(tenant)),
        part("tree", living_tree(door, caller)),
        part("resources", door.doorbell.resources() if own else nothing()),
        part("stops", door.operators.stops(tenant)),
    )
    node = _node(door.settings.home / "node.json") if own else {}
    return StatusView(
        instance=door.settings.instance,
        version=version(),
        postgres={"ok": server is not None, "version": server},
        tree=tree.model_dump(mode="json", exclude_none=True) if tree else None,
        resources=resources,
        agents=agents,
        runs=runs,
        ray_address=node.get("ray_address"),
        dashboard_url=node.get("dashboard_url"),
        problems=problems,
        stops=[stop.reason for stop in stops or ()],
    )


async def _agents(door: Services, tenant: str) -> dict[str, int]:
    rows = await door.database.fetch(QUERIES.agents_by_state, tenant)
    return {row["state"]: row["agents"] for row in rows}


def _node(path: Path) -> dict[str, Any]:
    """What `aos up` wrote down about this machine; nothing if it did not."""
    try:
        content: Any = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}
