"""What the door itself refuses or cannot do.

InputError                          EngineError
├── ValidationFailed    AOS-1101    ├── InternalError  AOS-6000
├── MalformedJson       AOS-1102    ├── PortTaken      AOS-6101
├── BodyTooLarge        AOS-1103    └── NotReady       AOS-6103
├── InvalidCursor       AOS-1104
├── RouteNotFound       AOS-1105    AOS-2001 … 2003 are in `auth.py`,
├── MethodNotAllowed    AOS-1106    AOS-6102 is in `client/errors.py`.
├── TooManyStreams      AOS-1107
├── RequestRefused      AOS-1108
├── ChildNotFound       AOS-1110    AOS-1109 is in `cli/agents.py`.
├── NotARunId           AOS-1111
└── PayloadTooLarge     AOS-1120
"""

from __future__ import annotations

from ..cluster.errors import Blame, EngineError, InputError


class ValidationFailed(InputError):
    """Fields of the request are missing or have values that are not accepted."""

    code = "AOS-1101"
    title = "The request has fields that cannot be accepted."
    next_action = "Correct the fields named in `errors` and send the request again."


class MalformedJson(InputError):
    """The body is not JSON."""

    code = "AOS-1102"
    title = "The request body is not JSON."
    next_action = "Send a JSON object with `Content-Type: application/json`."


class BodyTooLarge(InputError):
    """The body is over the limit of `http_body_limit`."""

    code = "AOS-1103"
    title = "The request body is too large."
    next_action = "Send less, or raise AOS_HTTP_BODY_LIMIT and restart AOS."


class InvalidCursor(InputError):
    """The page cursor is none that we handed out."""

    code = "AOS-1104"
    title = "The cursor is not one that a page was answered with."
    next_action = "Leave the cursor out to begin at the first page."


class RouteNotFound(InputError):
    """There is nothing at this path."""

    code = "AOS-1105"
    title = "There is nothing at this path."
    next_action = "See the paths that exist in /api/v1/openapi.json."


class MethodNotAllowed(InputError):
    """The path exists, not with this method."""

    code = "AOS-1106"
    title = "This path does not have this method."
    next_action = "See the methods of each path in /api/v1/openapi.json."


class TooManyStreams(InputError):
    """As many runs are followed as one front may follow."""

    code = "AOS-1107"
    title = "Too many event streams are open."
    next_action = "Close streams that nobody reads, or try again in a moment."
    retryable = True


class RequestRefused(InputError):
    """The HTTP machinery refused the request for a reason that has no code of its own."""

    code = "AOS-1108"
    title = "The request cannot be answered as it was sent."
    next_action = "Correct what the detail names and send the request again."


class ChildNotFound(InputError):
    """No agent of the caller's, and no part of the platform, is called so."""

    code = "AOS-1110"
    title = "There is no agent, no team and no part of the tree with this name."
    next_action = "See who there is with `aos tree --all`; agents that are passive: `aos agent ls`."


class NotARunId(InputError):
    """What stands where a run's id belongs is none."""

    code = "AOS-1111"
    title = "This is not the id of a run."
    next_action = "List the runs with their ids: `aos runs ls`."


class PayloadTooLarge(InputError):
    """A value is over the limit of `payload_limit`, or a program over its own."""

    code = "AOS-1120"
    title = "This value is too large."
    next_action = (
        "Store it elsewhere and send where it is; or raise AOS_PAYLOAD_LIMIT and restart AOS."
    )


class InternalError(EngineError):
    """Something nobody expected: a bug."""

    code = "AOS-6000"
    title = "AOS failed to answer this request."
    next_action = "Look up the request id in $AOS_HOME/logs and report what it says."
    blame = Blame.PLATFORM


class PortTaken(EngineError):
    """Another process listens where the HTTP front should."""

    code = "AOS-6101"
    title = "The port of the HTTP front is taken."
    next_action = (
        "Stop the process that listens there, or choose another port with AOS_HTTP_PORT "
        "(0 takes any free one)."
    )


class NotReady(EngineError):
    """The front is up, and something that it needs is not."""

    code = "AOS-6103"
    title = "AOS is not ready yet."
    next_action = "Wait a moment; if it stays so, run `aos doctor`."
    retryable = True
    blame = Blame.PLATFORM
