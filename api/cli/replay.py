"""`aos runs verify` and `aos replay …`."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from ...actors.replay.errors import ImpossibleReplay
from ...actors.replay.trace import read_trace, verify_trace
from ...skills.contracts import JsonObject, JsonValue
from ..client import AosClient
from ..client.replay_models import ReplayView, VerificationView
from ..present_replay import verification_view
from .certifying import certify_directory, certify_runs
from .exits import FAILED, OK
from .output import Json, console, emit
from .output import show as show_value
from .render_replay import render_certificate, render_replay, render_verification
from .traces import program_of


def verify(run_id: str, /, *more: str, program: str | None = None, json: Json = False) -> int:
    """Check runs: the chain of the journal, its legality, and each decision made again. The exit
    code is 1 if anything is not as it must be.

    Parameters
    ----------
    run_id
        The run's id.
    more
        More of them.
    program
        FILE:FUNCTION of the durable program, to execute it again here. Your code runs.
    json
        Print JSON, a line for each run.
    """
    worst = OK
    with AosClient() as aos:
        for each in (run_id, *more):
            found = _verified(aos, each, program)
            worst = worst if found.holds else FAILED
            if json:
                emit(found)
            else:
                console().print(render_verification(found, each))
    return worst


def mock(run_id: str, /, *, json: Json = False) -> int:
    """Drive a recorded run again: outcomes from the recording, all decisions made anew. Nothing is
    called. The exit code is 1 if it does not behave alike.

    Parameters
    ----------
    run_id
        The run's id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        return _show(aos.replays.mock(run_id), json=json)


def dry_run(run_id: str, /, *, json: Json = False) -> int:
    """What a run's plans would call now, against what is installed, and for how much. Nothing is
    called. The exit code is 1 if it could not run so.

    Parameters
    ----------
    run_id
        The run's id.
    json
        Print JSON.
    """
    with AosClient() as aos:
        return _show(aos.replays.dry_run(run_id), json=json)


def what_if(
    run_id: str,
    /,
    *,
    assign: Annotated[tuple[str, ...], Parameter(name="--set", negative=())] = (),
    limit: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    goal: str | None = None,
    json: Json = False,
) -> int:
    """Drive a recorded run with something changed. What the recording cannot answer is named, and
    not called. The exit code is 0 whatever comes of it.

    Parameters
    ----------
    run_id
        The run's id.
    assign
        STEP.PARAMETER=VALUE, in JSON or as text; may be given more than once.
    limit
        NAME=VALUE: max_steps, max_rounds, run_timeout_s, concurrent_runs, on_in_doubt.
    goal
        Another goal.
    json
        Print JSON.
    """
    params: dict[str, JsonObject] = {}
    for assignment in assign:
        name, value = _assigned(assignment)
        step_id, dot, parameter = name.partition(".")
        if not dot:
            raise ImpossibleReplay(f"{assignment!r} is not STEP.PARAMETER=VALUE")
        params.setdefault(step_id, {})[parameter] = value
    limits = dict(map(_assigned, limit))
    with AosClient() as aos:
        found = aos.replays.what_if(run_id, goal=goal, params=params, limits=limits)
    show_value(found, render_replay(found), json=json)
    return OK


def certify(
    directory: Path | None = None,
    /,
    *,
    last: int = 20,
    key: Path | None = None,
    report: Path | None = None,
    json: Json = False,
) -> int:
    """Verify and replay many recorded runs: the exit code is 0 if all are the same, 1 if any is
    not.

    Parameters
    ----------
    directory
        A directory of traces. Without it: runs of the AOS that runs here.
    last
        How many of its newest finished runs.
    key
        A file of trusted public keys: every trace must be signed with one of them.
    report
        Write the report here as JSON.
    json
        Print JSON.
    """
    if directory is not None:
        found = certify_directory(directory, key)
    else:
        with AosClient() as aos:
            found = certify_runs(aos, last)
    if report is not None:
        report.write_text(found.model_dump_json(indent=2) + "\n")
    show_value(found, render_certificate(found), json=json)
    return FAILED if found.differ else OK


def _verified(aos: AosClient, run_id: str, program: str | None) -> VerificationView:
    if program is None:
        return aos.replays.verify(run_id)
    trace = read_trace(aos.replays.trace(run_id).trace)
    return verification_view(verify_trace(trace, program_of(program, trace.values)))


def _show(found: ReplayView, *, json: bool) -> int:
    show_value(found, render_replay(found), json=json)
    return FAILED if found.same is False or found.problems else OK


def _assigned(text: str) -> tuple[str, JsonValue]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ImpossibleReplay(f"{text!r} is not NAME=VALUE")
    try:
        parsed: Any = json_format.loads(value)
    except ValueError:
        parsed = value
    return name, parsed
