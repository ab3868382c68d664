"""`aos runs signal|cancel|pause|continue|decide|resolve|priority|why|pending`."""

from __future__ import annotations

from typing import Annotated, Literal

from cyclopts import Parameter

from ..client import AosClient, MessageView
from . import render_control as render
from .exits import OK
from .output import Json, value_of
from .output import show as show_value


def signal(
    run_id: str,
    name: str,
    payload: str | None = None,
    /,
    *,
    idempotency_key: str | None = None,
    json: Json = False,
) -> int:
    """Send a run a named signal. One that nobody waits for yet is kept for whoever will.

    Parameters
    ----------
    run_id
        The run's id.
    name
        The signal's name.
    payload
        JSON; what is not JSON is text.
    idempotency_key
        Repeating the command with the same key is the same signal.
    json
        Print JSON.
    """
    with AosClient() as aos:
        said = aos.runs.signal(run_id, name, value_of(payload), key=idempotency_key)
    return _said(said, json=json)


def cancel(run_id: str, reason: str = "", /, *, json: Json = False) -> int:
    """End a run. What it has under way is stopped first.

    Parameters
    ----------
    run_id
        The run's id.
    reason
        Why.
    json
        Print JSON.
    """
    with AosClient() as aos:
        said = aos.runs.cancel(run_id, reason)
    return _said(said, json=json)


def pause(run_id: str, reason: str = "", /, *, json: Json = False) -> int:
    """Let what is under way end, and begin nothing more.

    Parameters
    ----------
    run_id
        The run's id.
    reason
        Why.
    json
        Print JSON.
    """
    with AosClient() as aos:
        said = aos.runs.pause(run_id, reason)
    return _said(said, json=json)


def resume(run_id: str, /, *, json: Json = False) -> int:
    """Let a paused run go on.

    Parameters
    ----------
    run_id
        The run's id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        said = aos.runs.resume(run_id)
    return _said(said, json=json)


def decide(
    run_id: str,
    step: str,
    answer: Literal["yes", "no"],
    /,
    *,
    value: str | None = None,
    comment: str = "",
    json: Json = False,
) -> int:
    """Answer the question that a step waits with.

    Parameters
    ----------
    run_id
        The run's id.
    step
        The step's id.
    answer
        yes or no.
    value
        The step's result: JSON; what is not JSON is text.
    comment
        What else there is to say.
    json
        Print JSON.
    """
    with AosClient() as aos:
        said = aos.runs.decide(run_id, step, answer == "yes", value_of(value), comment=comment)
    return _said(said, json=json)


def resolve(
    run_id: str,
    step: str,
    verdict: Literal["happened", "did-not-happen", "retry", "fail", "compensate"],
    /,
    *,
    output: str | None = None,
    reason: str = "",
    json: Json = False,
) -> int:
    """Say what is so about an effect that may have happened.

    Parameters
    ----------
    run_id
        The run's id.
    step
        The step's id.
    verdict
        happened, did-not-happen, retry (again under the same key), fail or compensate.
    output
        What it returned, if it happened: JSON; what is not JSON is text.
    reason
        How it was found out.
    json
        Print JSON.
    """
    word = verdict.replace("-", "_")
    with AosClient() as aos:
        said = aos.runs.resolve(run_id, step, word, value_of(output), reason=reason)
    return _said(said, json=json)


def priority(
    run_id: str,
    number: Annotated[int, Parameter(allow_leading_hyphen=True)],
    /,
    *,
    json: Json = False,
) -> int:
    """Change a run's place in its agent's queue.

    Parameters
    ----------
    run_id
        The run's id.
    number
        Between -100 and 100; higher goes first.
    json
        Print JSON.
    """
    with AosClient() as aos:
        said = aos.runs.set_priority(run_id, number)
    return _said(said, json=json)


def why(run_id: str, /, *, json: Json = False) -> int:
    """Say why a run gets a process now, or does not.

    Parameters
    ----------
    run_id
        The run's id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        found = aos.runs.why(run_id)
    show_value(found, render.render_eligibility(found), json=json)
    return OK


def pending(*, limit: int = 50, cursor: str | None = None, json: Json = False) -> int:
    """List unfinished runs, oldest first, and why each gets a process or does not.

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
        page = aos.runs.pending(cursor=cursor, limit=limit)
    show_value(page, render.render_pending(page), json=json)
    return OK


def _said(said: MessageView, *, json: bool) -> int:
    show_value(said, render.render_said(said), json=json)
    return OK
