"""`aos agent …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import ValidationError

from ...cluster.errors import InputError
from ...skills.contracts import AgentProfile
from ..client import AosClient
from . import render
from .output import Json
from .output import show as show_value


class InvalidProfile(InputError):
    """What was given does not make a profile."""

    code = "AOS-1109"
    title = "This is not the profile of an agent."
    next_action = "Correct the fields named above; `aos agent show NAME --json` shows a whole one."


def create(
    name: str,
    /,
    *,
    description: str = "",
    planner: str | None = None,
    model: str | None = None,
    skill: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    file: Path | None = None,
    json: Json = False,
) -> int:
    """Register an agent.

    Parameters
    ----------
    name
        Lower-case letters, digits, - and _.
    description
        What the agent is for.
    planner
        auto, rules or claude; auto takes claude if an API key is configured.
    model
        The language model that it uses.
    skill
        A skill that it may call; may be given several times. Default: all of them.
    file
        A JSON file with the whole profile; what is given beside it wins.
    json
        Print JSON.
    """
    chosen = {key: value for key, value in (("name", planner), ("model", model)) if value}
    fields = {"description": description, "planner": chosen, "skills": list(skill)}
    given = {"name": name, **{key: value for key, value in fields.items() if value}}
    profile = _profile(file, given)
    with AosClient() as aos:
        agent = aos.agents.create(profile)
    show_value(agent, render.render_agent(agent), json=json)
    return 0


def ls(*, limit: int = 50, cursor: str | None = None, json: Json = False) -> int:
    """List agents, oldest first.

    Parameters
    ----------
    limit
        How many at most.
    cursor
        Go on where the page before has ended.
    json
        Print JSON.
    """
    with AosClient() as aos:
        page = aos.agents.list(cursor=cursor, limit=limit)
    show_value(page, render.render_agents(page), json=json)
    return 0


def show(agent: str, /, *, json: Json = False) -> int:
    """Show one agent.

    Parameters
    ----------
    agent
        Its name or its id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.agents.get(agent)
    show_value(found, render.render_agent(found), json=json)
    return 0


def release(agent: str, /, *, json: Json = False) -> int:
    """End an agent's quarantine by hand: it is tried again as soon as it has a run.

    Parameters
    ----------
    agent
        Its name or its id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.agents.release(agent)
    show_value(found, render.render_released(found), json=json)
    return 0


def _profile(file: Path | None, given: dict[str, Any]) -> AgentProfile:
    try:
        if file is None:
            return AgentProfile.model_validate(given)
        stored = AgentProfile.model_validate_json(_read(file))
        return AgentProfile.model_validate({**stored.model_dump(mode="json"), **given})
    except ValidationError as error:
        found = "; ".join(
            f"{'.'.join(map(str, issue['loc'])) or 'profile'}: {issue['msg']}"
            for issue in error.errors()
        )
        raise InvalidProfile(found) from None


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InvalidProfile(f"{file}: {error.strerror}") from None
