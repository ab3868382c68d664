"""Teams: declare, list, show, start, stop, remove, and administer their children."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from ...cluster.identity import Principal
from ...supervisors.teams.declaration import Declaration, placed
from ...supervisors.teams.errors import Problem, UnreadableText, UnusableService, refusal
from ...supervisors.teams.rules import declared, members
from ...supervisors.teams.store import StoredTeam
from ...supervisors.teams.text import Text, place_name
from .. import pages
from ..client.team_models import TeamPage, TeamView
from ..errors import NotReady
from ..present_teams import team_summary, team_view
from ..services import BEARER, Caller, Door, Services, Writer

router = APIRouter(prefix="/api/v1/teams", tags=["teams"], dependencies=[BEARER])

_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The declaration of the team.",
        "content": {
            kind: {"schema": {"type": "object"}}
            for kind in ("application/yaml", "application/json")
        },
    }
}


@router.post("", status_code=201, openapi_extra=_BODY)
async def create(request: Request, door: Door, caller: Writer, response: Response) -> TeamView:
    """Make a team of a declaration, YAML or JSON, and have it run. The same declaration again
    changes nothing.
    """
    # Reading 64 KiB of YAML takes a tenth of a second, in which others shall be served.
    declaration, text = await asyncio.to_thread(declared, await _text(request))
    await _check_services(door, declaration, text)
    made = await door.teams.create(caller.tenant, declaration, text, door.settings)
    door.doorbell.ring_teams()
    response.headers["Location"] = f"/api/v1/teams/{made.team.team_id}"
    if made.replayed:
        response.status_code = 200
        response.headers["Idempotent-Replayed"] = "true"
    return await _shown(door, made.team)


@router.get("")
async def page(
    door: Door, caller: Caller, cursor: pages.Cursor = None, limit: pages.Limit = 50
) -> TeamPage:
    """Teams, oldest first."""
    found = await door.teams.page(caller.tenant, after=pages.parse(cursor), limit=limit + 1)
    shown, last = pages.cut(found, limit)
    return TeamPage(
        items=[team_summary(team) for team in shown],
        next_cursor=pages.cursor_of(last.team_id) if last else None,
    )


@router.get("/{id_or_name}")
async def show(id_or_name: str, door: Door, caller: Caller) -> TeamView:
    """One team, by its id or its name, with how its children stand."""
    return await _shown(door, await door.teams.find(caller.tenant, id_or_name))


@router.delete("/{id_or_name}")
async def delete(id_or_name: str, door: Door, caller: Writer) -> TeamView:
    """Stop and forget a team, and answer what it was. Its agents and their runs stay."""
    team = await door.teams.find(caller.tenant, id_or_name)
    was = await _shown(door, team)
    await door.teams.delete(caller.tenant, team.team_id)
    door.doorbell.ring_teams()
    return was


@router.post("/{id_or_name}/start")
async def start(id_or_name: str, door: Door, caller: Writer) -> TeamView:
    """Have a team run; of one that is quarantined, end that. Once it runs, this changes nothing."""
    team = await door.teams.find(caller.tenant, id_or_name)
    await door.teams.start(caller.tenant, team.team_id)
    return await _turned(door, caller, team)


@router.post("/{id_or_name}/stop")
async def stop(id_or_name: str, door: Door, caller: Writer) -> TeamView:
    """Have a team not run. Its agents are then served like any other."""
    team = await door.teams.find(caller.tenant, id_or_name)
    await door.teams.stop(caller.tenant, team.team_id)
    return await _turned(door, caller, team)


@router.post("/{id_or_name}/children/{child:path}/{verb}")
async def administer(
    id_or_name: str,
    child: str,
    verb: Literal["terminate", "restart", "release"],
    door: Door,
    caller: Writer,
) -> TeamView:
    """Stop a child and keep it stopped, start one that is stopped, or end a quarantine. A child of
    an inner team is `desk/scribe`. What the supervisor refuses is a 409, with its word as `why`.
    """
    team = await door.teams.find(caller.tenant, id_or_name)
    await door.doorbell.administer(team.team_id, child, verb)
    return await _shown(door, team)


async def _text(request: Request) -> str:
    try:
        return (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise UnreadableText(f"the text is not UTF-8: {error.reason}") from None


async def _check_services(door: Services, declaration: Declaration, text: Text) -> None:
    """Raises `UnusableService`, naming each place."""
    problems: list[Problem] = []
    for member in members(declaration):
        service = member.child.service
        if service is None:
            continue
        if why := await door.doorbell.unusable(service, member.child.args):
            place = place_name((*member.place, "service"))
            problems.append(Problem(place, why, UnusableService))
    if problems:
        raise refusal(placed(problems, text))


async def _turned(door: Services, caller: Principal, team: StoredTeam) -> TeamView:
    door.doorbell.ring_teams()
    return await _shown(door, await door.teams.find(caller.tenant, team.team_id))


async def _shown(door: Services, team: StoredTeam) -> TeamView:
    rows = await door.teams.members(team.tenant, team.team_id)
    try:
        return team_view(team, rows, await door.doorbell.team(team.team_id))
    except NotReady as error:
        return team_view(team, rows, None, error.detail)
