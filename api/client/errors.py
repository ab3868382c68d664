"""What a client can meet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...cluster.errors import AccessError, Blame, EngineError


class ApiError(Exception):
    """The door refused or failed: its problem, as an exception.

    `code` never changes its meaning. `errors` names fields that are not accepted; `why` is the
    word of a supervisor that refuses, such as `running`.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.code = str(problem.get("code", "AOS-6000"))
        self.title = str(problem.get("title", f"HTTP status {status}"))
        self.detail = str(problem.get("detail", self.title))
        self.next_action = str(problem.get("next_action", ""))
        self.retryable = bool(problem.get("retryable", False))
        self.request_id = str(problem.get("request_id", ""))
        self.why = str(problem.get("why", ""))
        self.errors: Sequence[Mapping[str, str]] = problem.get("errors") or ()
        super().__init__(f"{self.code}: {self.detail}")


class NotRunning(EngineError):
    """There is no AOS where one was looked for, or it does not answer."""

    code = "AOS-6102"
    title = "No AOS answers."
    next_action = "Start it with `aos up`, or name a running one with AOS_URL."
    retryable = True


class NoCredentials(AccessError):
    """There is an AOS, and no key for it."""

    code = "AOS-2004"
    title = "There is no API key for this AOS."
    next_action = "Set AOS_API_KEY, or use the account that has run `aos up`: its key file is 0600."
    blame = Blame.CALLER
