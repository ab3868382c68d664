"""The supervision tree and its record, as far as one caller may see them.

An admin of the default tenant sees the platform: everything. Everybody else sees the agents of the
own tenant, and of what stands above them only that it is there and how it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from ..actors.roster import AgentNotFound, RegisteredAgent
from ..cluster.errors import AosError
from ..cluster.identity import Principal
from ..cluster.postgres import DatabaseUnavailable, Queries
from ..supervisors.store import EventFilter, events_page
from ..supervisors.teams.errors import TeamNotFound
from . import pages
from .auth import sees_platform
from .client.models import EventPage, SupervisionEvent, TreeNode
from .errors import ChildNotFound
from .present import agent_view, supervision_event
from .services import Services
from .why import EVENTS_READ, Subject, why

QUERIES = Queries.load(Path(__file__).with_name("tree.sql"))

TEAM_PREFIX = "team:"
"""Before a team's id in the name of its supervisor."""

_ABOVE = ("id", "type", "kind", "state")
"""What everybody may know of the supervisors above an agent."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose an agent or a team is, and what it is called."""

    tenant: str
    name: str


async def living_tree(door: Services, caller: Principal) -> TreeNode:
    """The tree at this moment. Raises an `AosError` if the root does not answer."""
    raw = await door.doorbell.tree()
    everything = sees_platform(caller)
    owners: dict[str, Owner] = {}
    try:
        owners = await _owners(door, raw)
    except DatabaseUnavailable:
        if not everything:  # then nobody knows which agents this caller may see
            raise
    return scoped(raw, owners, None if everything else caller.tenant)


def scoped(root: Mapping[str, Any], owners: Mapping[str, Owner], tenant: str | None) -> TreeNode:
    """A tree of raw reports, with names, reduced to what a tenant may see; None sees all."""
    shown = _shown(root, owners, tenant, None)
    above = {name: root[name] for name in _ABOVE if name in root}
    return TreeNode.model_validate(shown or above)


def _shown(
    raw: Mapping[str, Any], owners: Mapping[str, Owner], tenant: str | None, above: str | None
) -> dict[str, Any] | None:
    """`above`: whose the parent is, and so all of its children."""
    owner = owners.get(_called(raw))
    whose = owner.tenant if owner else raw.get("tenant") or above
    children = [_shown(child, owners, tenant, whose) for child in raw.get("children", ())]
    visible = {"children": [child for child in children if child is not None]}
    if tenant is None or whose == tenant:
        named = {"name": owner.name} if owner else {}
        return {**raw, **named, "tenant": whose, **visible}
    if not visible["children"]:
        return None
    return {**{name: raw[name] for name in _ABOVE if name in raw}, **visible}


async def _owners(door: Services, raw: Mapping[str, Any]) -> dict[str, Owner]:
    ids = {_called(node): _uuid_in(_called(node)) for node in _nodes(raw)}
    wanted = [found for found in ids.values() if found is not None]
    rows = await door.database.fetch(QUERIES.owners, wanted) if wanted else []
    known = {row["id"]: Owner(row["tenant_id"], row["name"]) for row in rows}
    return {called: known[found] for called, found in ids.items() if found in known}


def _nodes(raw: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield raw
    for child in raw.get("children", ()):
        yield from _nodes(child)


def _called(node: Mapping[str, Any]) -> str:
    """An agent's id, wherever it stands; else the node's own."""
    return str(node.get("agent_id") or node.get("id"))


def _uuid_in(called: str) -> UUID | None:
    with suppress(ValueError):
        return UUID(called.removeprefix(TEAM_PREFIX))
    return None


async def recorded_events(
    door: Services, caller: Principal, wanted: EventFilter, cursor: str | None, limit: int
) -> EventPage:
    """A page of what supervisors did; on the first page of one child's also why it is as it is.
    `wanted.child` is what the caller calls it. Raises `ChildNotFound`.
    """
    wanted = replace(wanted, before=pages.parse_number(cursor))
    answer: str | None = None
    if wanted.child is not None:
        subject = await _find(door, caller, wanted.child)
        wanted = replace(wanted, child=subject.child)
        answer = await _explained(door, caller, subject) if cursor is None else None
    rows = await events_page(door.database, wanted, limit + 1)
    shown, last = pages.cut(rows, limit)
    return EventPage(
        items=[supervision_event(row) for row in shown],
        next_cursor=pages.cursor_of_number(last["event_id"]) if last else None,
        why=answer,
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """`child`: what supervisors call it. `node`: where it stands in the tree, if it does."""

    child: str
    name: str
    node: TreeNode | None
    agent: RegisteredAgent | None = None
    release: str = ""


async def _find(door: Services, caller: Principal, called: str) -> _Found:
    """An agent by name or id, else a team, else a part of the platform or of a team: an agent may
    be called `front`, and who calls it so must be able to ask for it.
    """
    root = await _tree(door, caller)
    nodes = list(root.walk()) if root else []

    def node_of(child: str) -> TreeNode | None:
        return next((node for node in nodes if child in (node.id, node.agent_id)), None)

    with suppress(AgentNotFound):
        agent = await door.agents.find(caller.tenant, called)
        child, name = str(agent.agent_id), agent.profile.name
        return _Found(child, name, node_of(child), agent, f"aos agent release {name}")
    with suppress(TeamNotFound):
        team = await door.teams.find(caller.tenant, called.removeprefix(TEAM_PREFIX))
        child = f"{TEAM_PREFIX}{team.team_id}"
        return _Found(child, team.name, node_of(child), release=f"aos team start {team.name}")
    node = node_of(called)
    theirs = node is not None and node.tenant == caller.tenant
    if theirs or (
        sees_platform(caller) and (node is not None or await _events_of(door, None, called, 1))
    ):
        return _Found(called, node.title if node else called, node)
    raise ChildNotFound(f"no agent, no team and no part of the tree {called!r}")


async def _tree(door: Services, caller: Principal) -> TreeNode | None:
    with suppress(AosError):  # the record tells more than nothing
        return await living_tree(door, caller)
    return None


async def _events_of(
    door: Services, tenant: str | None, child: str, limit: int
) -> list[SupervisionEvent]:
    rows = await events_page(door.database, EventFilter(tenant, child), limit)
    return [supervision_event(row) for row in rows]


async def _explained(door: Services, caller: Principal, found: _Found) -> str:
    tenant = None if sees_platform(caller) else caller.tenant
    events = await _events_of(door, tenant, found.child, EVENTS_READ)
    agent = agent_view(found.agent) if found.agent else None
    subject = Subject(found.name, found.node, agent, events, found.release)
    return why(subject, datetime.now(UTC))
