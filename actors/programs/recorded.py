"""Between what a program asks for and what the journal has: requests become pinned steps, and back.

Pure. What an agent may not call is recorded all the same, and closed at once: its program is told
as of any other failure, and is told the same when it is executed again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from ...skills.contracts import (
    Effects,
    JsonObject,
    JsonValue,
    SkillDescriptor,
    StructuredOutcome,
    effects_of,
)
from ..planning.admission import allowed
from ..runs.events import OnError, PlannedStep, ProgramAdvanced, StepClosed
from ..runs.state import RunState
from .protocol import Advanced, Request, kind_of

_NO_VERSION = "0.0.0"

REFUSED = frozenset({"ERR_LIMIT_EXCEEDED", "ERR_FORBIDDEN_SKILL", "ERR_SKILL_NOT_FOUND"})
"""What steps end with that a program may not have."""


def admit_requests(
    state: RunState,
    requests: tuple[Request, ...],
    catalog: Mapping[str, SkillDescriptor],
    now: datetime,
) -> tuple[tuple[PlannedStep, ...], list[StepClosed]]:
    """The steps that requests become, and the ends of those that may not be."""
    usable = allowed(catalog, state.origin.profile)
    room = state.origin.profile.limits.max_steps - len(state.steps)
    steps: list[PlannedStep] = []
    refused: list[StepClosed] = []
    for place, request in enumerate(requests):
        name, _, version = request.skill.partition("@")
        descriptor = usable.get(name)
        refusal = _refusal(name, version, descriptor, name in catalog, place < room)
        if refusal is None and descriptor is not None:
            steps.append(_pinned(request, descriptor))
            continue
        steps.append(
            PlannedStep(
                id=request.id, skill=name, version=version or _NO_VERSION, effects=Effects.PURE,
                params=request.params, on_error=OnError.CONTINUE, literal=True, line=request.line,
            )
        )  # fmt: skip
        outcome = StructuredOutcome.failure(*(refusal or ("ERR_INTERNAL", "")), skill=name)
        refused.append(StepClosed(at=now, step_id=request.id, outcome=outcome))
    return tuple(steps), refused


def advanced_of(
    event: ProgramAdvanced, answer: JsonValue, params: Iterable[JsonObject]
) -> Advanced:
    """A recorded turn in the program's words; `answer` and the requests' `params` are the recorded
    ones, whole.
    """
    error = event.error
    return Advanced(
        requests=tuple(map(_request, event.requests, params)),
        finished=event.finished,
        answer=answer,
        error=error and (error.code, error.message, error.line),
        patches=event.patches,
        abandoned=event.abandoned,
    )


def _refusal(
    name: str, version: str, descriptor: SkillDescriptor | None, known: bool, room: bool
) -> tuple[str, str] | None:
    if not room:
        return "ERR_LIMIT_EXCEEDED", "the program asks for more steps than limits.max_steps"
    if descriptor is None:
        if known:
            return "ERR_FORBIDDEN_SKILL", f"this agent may not use {name}"
        return "ERR_SKILL_NOT_FOUND", f"there is no skill {name!r}"
    if version and version != descriptor.version:
        return "ERR_SKILL_NOT_FOUND", f"{name}@{version} is not the installed {descriptor.ref}"
    return None


def _pinned(request: Request, descriptor: SkillDescriptor) -> PlannedStep:
    return PlannedStep(
        id=request.id,
        skill=descriptor.name,
        version=descriptor.version,
        effects=effects_of(descriptor, request.params),
        params=request.params,
        on_error=OnError.CONTINUE,
        retry=request.retry or descriptor.retry,
        literal=True,
        reconciles=descriptor.reconciles,
        compensates=descriptor.compensates,
        line=request.line,
    )


def _request(step: PlannedStep, params: JsonObject) -> Request:
    return Request(
        id=step.id, kind=kind_of(step.skill), skill=step.skill, params=params, line=step.line
    )
