"""`aos runs fork|rerun|repair|children` and `aos dead …`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from ...cluster.errors import InputError
from ...skills.contracts import JsonObject
from ..client import AosClient, RunView
from . import render, render_control
from .exits import OK
from .output import Json, value_of
from .output import show as show_value

Flag = Annotated[bool, Parameter(negative=())]


class NotParams(InputError):
    """What was given as a step's params is no JSON object."""

    code = "AOS-1121"
    title = "Params are a JSON object."
    next_action = 'Give all of the step\'s params, such as `--params \'{"url": "…"}\'`.'


def fork(
    run_id: str,
    step: str,
    /,
    *,
    params: str | None = None,
    goal: str | None = None,
    reason: str = "",
    repeat_effects: Flag = False,
    json: Json = False,
) -> int:
    """Make a run that goes on from a step of another one, and keeps what does not depend on it.

    Parameters
    ----------
    run_id
        The run's id.
    step
        The step to run again, by its id.
    params
        All of its params, as a JSON object, instead of those that it had.
    goal
        Another goal, for what is planned from there on.
    reason
        Why, for the record.
    repeat_effects
        Do again what must not happen twice.
    json
        Print JSON.
    """
    overrides = None if params is None else {step: _params(params)}
    with AosClient() as aos:
        made = aos.runs.fork(
            run_id, step, overrides=overrides, goal=goal, reason=reason,
            repeat_effects=repeat_effects,
        )  # fmt: skip
    return _made(made, json=json)


def rerun(
    run_id: str, /, *, reason: str = "", repeat_effects: Flag = False, json: Json = False
) -> int:
    """Give the same agent the same goal once more.

    Parameters
    ----------
    run_id
        The run's id. It must be over.
    reason
        Why, for the record.
    repeat_effects
        Do again what must not happen twice.
    json
        Print JSON.
    """
    with AosClient() as aos:
        made = aos.runs.rerun(run_id, reason=reason, repeat_effects=repeat_effects)
    return _made(made, json=json)


def repair(
    run_id: str,
    step: str,
    action: Literal["skip", "set-result", "redrive"],
    /,
    *,
    output: str | None = None,
    reason: str = "",
    repeat_effects: Flag = False,
    json: Json = False,
) -> int:
    """Set a step right by hand. Of a run that is over, a new one is made.

    Parameters
    ----------
    run_id
        The run's id.
    step
        The step's id.
    action
        skip it, set its result (set-result), or have it run again (redrive).
    output
        Its result: JSON; what is not JSON is text.
    reason
        Why, for the record.
    repeat_effects
        Do again what must not happen twice.
    json
        Print JSON.
    """
    with AosClient() as aos:
        done = aos.runs.repair(
            run_id, step, action.replace("-", "_"), value_of(output), reason=reason,
            repeat_effects=repeat_effects,
        )  # fmt: skip
    show_value(done, render_control.render_repaired(done), json=json)
    return OK


def children(
    run_id: str, /, *, limit: int = 50, cursor: str | None = None, json: Json = False
) -> int:
    """List the runs that a run has made, oldest first.

    Parameters
    ----------
    run_id
        The run's id.
    limit
        How many at most.
    cursor
        Go on where the page before has ended.
    json
        Print JSON.
    """
    with AosClient() as aos:
        page = aos.runs.children(run_id, cursor=cursor, limit=limit)
    show_value(page, render.render_runs(page), json=json)
    return OK


def dead_ls(*, limit: int = 50, cursor: str | None = None, json: Json = False) -> int:
    """List runs that AOS gave up and nobody has dealt with, newest first.

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
        page = aos.dead_letters.list(cursor=cursor, limit=limit)
    show_value(page, render_control.render_dead(page), json=json)
    return OK


def dead_show(run_id: str, /, *, json: Json = False) -> int:
    """Show one of them: why it was given up, its steps.

    Parameters
    ----------
    run_id
        The run's id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.dead_letters.get(run_id)
    show_value(found, render.render_run(found), json=json)
    return OK


def dead_requeue(
    run_id: str, /, *, reason: str = "", repeat_effects: Flag = False, json: Json = False
) -> int:
    """Give one another chance: a new run, which keeps what had succeeded.

    Parameters
    ----------
    run_id
        The run's id.
    reason
        Why, for the record.
    repeat_effects
        Do again what must not happen twice.
    json
        Print JSON.
    """
    with AosClient() as aos:
        made = aos.dead_letters.requeue(run_id, reason=reason, repeat_effects=repeat_effects)
    return _made(made, json=json)


def dead_discard(run_id: str, /, *, reason: str = "", json: Json = False) -> int:
    """Have one off the list. Its journal stays.

    Parameters
    ----------
    run_id
        The run's id.
    reason
        Why, for the record.
    json
        Print JSON.
    """
    with AosClient() as aos:
        done = aos.dead_letters.discard(run_id, reason=reason)
    show_value(done, render_control.render_discarded(done), json=json)
    return OK


def _params(text: str) -> JsonObject:
    given = value_of(text)
    if not isinstance(given, dict):
        raise NotParams(f"{text[:100]!r} is not a JSON object")
    return given


def _made(made: RunView, *, json: bool) -> int:
    show_value(made, render_control.render_made(made), json=json)
    return OK
