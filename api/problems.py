"""Errors as HTTP: the one place that knows which error is which status (RFC 9457).

A problem carries our stable `code` and the next action beside the standard members. At 500 it says
nothing of the inside: the detail is logged under the request id that the caller is given.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from ..actors.programs.errors import InvalidProgram
from ..actors.programs.store import ProgramNotFound
from ..actors.replay.errors import ImpossibleReplay, NotReplayable
from ..actors.retention.errors import NoRetention
from ..actors.roster import AgentExists, AgentNotFound
from ..actors.runs.control import StepNotReady
from ..actors.runs.cutting import EffectsWouldRepeat, InvalidChange, StepNeverRan
from ..actors.runs.derivations import RunNotOver
from ..actors.runs.inbox import KeyConflict
from ..actors.runs.operators import NoStop, NotADeadLetter, RunOver
from ..actors.runs.store import RunNotFound
from ..actors.runs.submission import IdempotencyConflict
from ..cluster.errors import AccessError, AosError, InputError
from ..cluster.postgres import DatabaseUnavailable
from ..cluster.telemetry import logger
from ..supervisors.supervisor import RequestRefused as SupervisorRefused
from ..supervisors.teams.errors import (
    AgentTaken,
    InvalidDeclaration,
    TeamExists,
    TeamNotFound,
    TeamNotRunning,
)
from ..supervisors.teams.errors import ChildNotFound as TeamChildNotFound
from .auth import KeyInvalid, KeyMissing
from .errors import (
    BodyTooLarge,
    ChildNotFound,
    InternalError,
    MalformedJson,
    MethodNotAllowed,
    NotARunId,
    NotReady,
    PayloadTooLarge,
    RequestRefused,
    RouteNotFound,
    TooManyStreams,
    ValidationFailed,
)

log = logger(__name__)

STATUS: dict[type[AosError], int] = {
    InputError: 400,
    ValidationFailed: 422,
    BodyTooLarge: 413,
    RouteNotFound: 404,
    ChildNotFound: 404,
    NotARunId: 404,
    MethodNotAllowed: 405,
    TooManyStreams: 503,
    AgentNotFound: 404,
    AgentExists: 409,
    RunNotFound: 404,
    IdempotencyConflict: 409,
    KeyConflict: 409,
    RunOver: 409,
    RunNotOver: 409,
    StepNotReady: 409,
    StepNeverRan: 409,
    EffectsWouldRepeat: 409,
    InvalidChange: 422,
    NotADeadLetter: 409,
    NoStop: 409,
    PayloadTooLarge: 413,
    ProgramNotFound: 404,
    InvalidProgram: 422,
    ImpossibleReplay: 422,
    NotReplayable: 409,
    InvalidDeclaration: 422,
    AgentTaken: 409,
    TeamExists: 409,
    TeamNotFound: 404,
    TeamChildNotFound: 404,
    TeamNotRunning: 409,
    SupervisorRefused: 409,
    AccessError: 403,
    KeyMissing: 401,
    KeyInvalid: 401,
    DatabaseUnavailable: 503,
    NoRetention: 409,
    NotReady: 503,
    AosError: 500,
}
"""The status of an error is that of its nearest ancestor in this table."""

HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": 'Bearer realm="aos"'},
    503: {"Retry-After": "1"},
}

_HTTP_ERRORS: dict[int, type[AosError]] = {
    404: RouteNotFound,
    405: MethodNotAllowed,
    413: BodyTooLarge,
    400: MalformedJson,
}


class ProblemResponse(Response):
    """`application/problem+json`."""

    media_type = "application/problem+json"

    def __init__(self, error: AosError, request_id: str, headers: Mapping[str, str]) -> None:
        status = status_of(error)
        body = problem(error, status, request_id)
        super().__init__(
            json.dumps(body, ensure_ascii=False).encode(),
            status_code=status,
            headers={**HEADERS.get(status, {}), **headers},
        )


def status_of(error: AosError) -> int:
    """The HTTP status that an error is answered with."""
    return next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)


def problem(error: AosError, status: int, request_id: str) -> dict[str, Any]:
    """The members of a problem, in the order in which people read them."""
    body: dict[str, Any] = {
        "type": f"urn:aos:problem:{error.code or InternalError.code}",
        "title": error.title or InternalError.title,
        "status": status,
        "detail": error.title if status == 500 else error.detail,
        "code": error.code or InternalError.code,
        "next_action": error.next_action or InternalError.next_action,
        "retryable": error.retryable,
        "request_id": request_id,
    }
    for member in ("errors", "why"):
        if found := error.context.get(member):
            body[member] = found
    return body


def answer(
    scope: Scope, error: Exception, headers: Mapping[str, str] | None = None
) -> ProblemResponse:
    """The response for an error, logged if it is ours or unexpected."""
    known = error if isinstance(error, AosError) else InternalError()
    response = ProblemResponse(known, request_id_of(scope), headers or {})
    if response.status_code == 500:
        log.error("request failed", code=known.code, detail=str(error), exc_info=error)
    return response


def request_id_of(scope: Scope) -> str:
    """The id that the outermost middleware gave this request."""
    return str(scope.get("state", {}).get("request_id", ""))


def install(app: FastAPI) -> None:
    """Have the application answer every error as a problem."""
    app.add_exception_handler(AosError, _aos_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


async def _aos_error(request: Request, error: Exception) -> Response:
    return answer(request.scope, error)


async def _validation_error(request: Request, error: Exception) -> Response:
    issues = cast("Sequence[dict[str, Any]]", cast(RequestValidationError, error).errors())
    for issue in issues:
        if issue["type"] == "json_invalid":
            reason = issue.get("ctx", {}).get("error", "not JSON")
            detail = f"the body is not JSON: {reason}, at character {issue['loc'][-1]}"
            return answer(request.scope, MalformedJson(detail))
    return answer(request.scope, validation_failed(issues))


def validation_failed(issues: Iterable[Mapping[str, Any]]) -> ValidationFailed:
    """Pydantic's findings as one error that names each field and repeats no value."""
    fields = [
        {"field": ".".join(map(str, _field(issue["loc"]))), "message": issue["msg"]}
        for issue in issues
    ]
    detail = "; ".join(f"{field['field']}: {field['message']}" for field in fields)
    return ValidationFailed(detail[:2_000], errors=fields)


def _field(location: Sequence[Any]) -> Sequence[Any]:
    """Without the part of the request, unless the whole part is what is wrong."""
    return location[1:] if len(location) > 1 else location


async def _http_error(request: Request, error: Exception) -> Response:
    refused = cast(HTTPException, error)
    cls = _HTTP_ERRORS.get(refused.status_code, RequestRefused)
    method, path = request.scope["method"], request.scope["path"]
    details: dict[type[AosError], str] = {
        RouteNotFound: f"there is nothing at {path}",
        MethodNotAllowed: f"{path} does not have {method}",
    }
    return answer(request.scope, cls(details.get(cls, str(refused.detail))), refused.headers)
