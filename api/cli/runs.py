"""`aos run` and `aos runs …`."""

from __future__ import annotations

import sys
from typing import Annotated

from cyclopts import Parameter

from ..client import AosClient
from . import render
from .exits import FAILED, INTERRUPTED, OK
from .output import Json, console, emit
from .output import show as show_value
from .programs import order

Flag = Annotated[bool, Parameter(negative=())]


def run(
    goal: str | None = None,
    /,
    *,
    agent: str | None = None,
    program: str | None = None,
    watch: Flag = False,
    idempotency_key: str | None = None,
    priority: int = 0,
    json: Json = False,
) -> int:
    """Give an agent a goal. Once this has printed an id, the run cannot be lost.

    Parameters
    ----------
    goal
        What to achieve, in words. A program may do without.
    agent
        The agent's name or id. Without it a program has an agent of its own name.
    program
        A durable program, FILE.py:FUNCTION: it is uploaded and run. A name without a file is that
        of one that was uploaded.
    watch
        Follow the run until it is finished; the exit code is 1 if it did not complete.
    idempotency_key
        Repeating the command with the same key shows the same run instead of starting another.
    priority
        Between -100 and 100; higher goes first among the agent's runs.
    json
        Print JSON.
    """
    with AosClient() as aos:
        asked = order(aos, goal, agent, program)
        accepted = aos.runs.create(
            asked.agent, asked.goal, priority=priority, idempotency_key=idempotency_key,
            program=asked.program,
        )  # fmt: skip
        if watch:
            if not json:
                console().print(render.accepted_line(accepted))
            return _follow(aos, str(accepted.id), json=json)
    show_value(accepted, render.render_accepted(accepted), json=json)
    return OK


def ls(
    *,
    agent: str | None = None,
    status: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
    json: Json = False,
) -> int:
    """List runs, newest first.

    Parameters
    ----------
    agent
        Only this agent's, by name or id.
    status
        Only those with this status: pending, running, completed, failed, …
    limit
        How many at most.
    cursor
        Go on where the page before has ended.
    json
        Print JSON.
    """
    with AosClient() as aos:
        page = aos.runs.list(agent=agent, status=status, limit=limit, cursor=cursor)
    show_value(page, render.render_runs(page), json=json)
    return OK


def show(run_id: str, /, *, json: Json = False) -> int:
    """Show one run: answer, steps, cost.

    Parameters
    ----------
    run_id
        The run's id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.runs.get(run_id)
    show_value(found, render.render_run(found), json=json)
    return OK


def watch(run_id: str, /, *, json: Json = False) -> int:
    """Follow a run until it is finished; from its beginning, also if it already is.

    Parameters
    ----------
    run_id
        The run's id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        return _follow(aos, run_id, json=json)


def _follow(aos: AosClient, run_id: str, *, json: bool) -> int:
    """Print each event, then the report. With JSON: a line per event, and the run as the last."""
    out = console()
    try:
        for event in aos.runs.events(run_id):
            if json:
                emit(event)
            else:
                out.print(render.event_line(event), soft_wrap=True)
        finished = aos.runs.get(run_id)
    except KeyboardInterrupt:
        print(f"\ndetached: the run goes on. Watch again: aos runs watch {run_id}", file=sys.stderr)
        return INTERRUPTED
    show_value(finished, render.render_run(finished), json=json)
    return OK if finished.status == "completed" else FAILED
