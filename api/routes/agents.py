"""Agents: register, list, show."""

from __future__ import annotations

from fastapi import APIRouter, Response

from ...skills.contracts import AgentProfile
from ...supervisors.supervisor import RequestRefused as SupervisorRefuses
from .. import pages
from ..client.models import AgentPage, AgentView
from ..present import agent_view
from ..services import BEARER, Caller, Door, Writer

router = APIRouter(prefix="/api/v1/agents", tags=["agents"], dependencies=[BEARER])


@router.post("", status_code=201)
async def create(
    profile: AgentProfile, door: Door, caller: Writer, response: Response
) -> AgentView:
    """Register an agent. Its name is its own within the tenant."""
    agent = await door.agents.register(caller.tenant, profile)
    response.headers["Location"] = f"/api/v1/agents/{agent.agent_id}"
    return agent_view(agent)


@router.get("")
async def page(
    door: Door, caller: Caller, cursor: pages.Cursor = None, limit: pages.Limit = 50
) -> AgentPage:
    """Agents, oldest first."""
    found = await door.agents.page(caller.tenant, after=pages.parse(cursor), limit=limit + 1)
    shown, last = pages.cut(found, limit)
    return AgentPage(
        items=[agent_view(agent) for agent in shown],
        next_cursor=pages.cursor_of(last.agent_id) if last else None,
    )


@router.post("/{id_or_name}/release", status_code=202)
async def release(id_or_name: str, door: Door, caller: Writer) -> AgentView:
    """End an agent's quarantine now: it is activated as soon as it has a run."""
    agent = await door.agents.find(caller.tenant, id_or_name)
    try:
        await door.doorbell.release(caller.tenant, agent.agent_id)
    except SupervisorRefuses as refusal:
        if refusal.context.get("why") == "not_found" and agent.state != "quarantined":
            # To its supervisor an agent that is passive is nobody.
            detail = f"not_quarantined: {agent.profile.name} is {agent.state}"
            raise SupervisorRefuses(detail, why="not_quarantined") from None
        raise
    return agent_view(await door.agents.find(caller.tenant, agent.agent_id))


@router.get("/{id_or_name}")
async def show(id_or_name: str, door: Door, caller: Caller) -> AgentView:
    """One agent, by its id or its name."""
    return agent_view(await door.agents.find(caller.tenant, id_or_name))
