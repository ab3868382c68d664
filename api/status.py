"""What runs here, for `GET /api/v1/status`: each part alone, so that none hides another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast
from uuid import UUID

from ..cluster.errors import AosError
from ..cluster.identity import DEFAULT_TENANT
from ..cluster.postgres import DatabaseUnavailable, Queries
from .client.models import StatusView
from .services import Services, version

QUERIES = Queries.load(Path(__file__).with_name("status.sql"))

Part = TypeVar("Part")


async def status(door: Services, tenant: str) -> StatusView:
    """A tenant's counts, and the machinery, which is only the default tenant's to see."""
    problems: list[str] = []

    async def part(name: str, gathered: Awaitable[Part]) -> Part | None:
        try:
            return await gathered
        except AosError as error:
            problems.append(f"{name}: {error}")
            return None

    async def nothing() -> None:
        return None

    own = tenant == DEFAULT_TENANT
    server, agents, runs, tree, resources = await asyncio.gather(
        part("postgres", door.database.fetch_value(QUERIES.postgres_version)),
        part("agents", _agents(door, tenant)),
        part("runs", door.runs.counts(tenant)),
        part("tree", _tree(door) if own else nothing()),
        part("resources", door.doorbell.resources() if own else nothing()),
    )
    node = _node(door.settings.home / "node.json") if own else {}
    return StatusView(
        instance=door.settings.instance,
        version=version(),
        postgres={"ok": server is not None, "version": server},
        tree=tree,
        resources=resources,
        agents=agents,
        runs=runs,
        ray_address=node.get("ray_address"),
        dashboard_url=node.get("dashboard_url"),
        problems=problems,
    )


async def _agents(door: Services, tenant: str) -> dict[str, int]:
    rows = await door.database.fetch(QUERIES.agents_by_state, tenant)
    return {row["state"]: row["agents"] for row in rows}


async def _tree(door: Services) -> dict[str, Any]:
    """The supervision tree, agents with their names."""
    tree = await door.doorbell.tree()
    nodes = {node["id"]: node for node in _nodes(tree) if _is_id(str(node.get("id")))}
    with suppress(DatabaseUnavailable):  # a tree without names is better than none
        for row in await door.database.fetch(QUERIES.agent_names, [*map(UUID, nodes)]):
            nodes[row["id"]]["name"] = row["name"]
    return tree


def _nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield tree
    for child in tree.get("children", ()):
        yield from _nodes(child)


def _is_id(text: str) -> bool:
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


def _node(path: Path) -> dict[str, Any]:
    """What `aos up` wrote down about this machine; nothing if it did not."""
    try:
        content: Any = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}
