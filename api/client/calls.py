"""The API as data: each call once, for both clients; and what an answer means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar, cast
from uuid import UUID, uuid4

import httpx
from pydantic import BaseModel

from ...skills.contracts import AgentProfile
from .errors import ApiError, NotRunning
from .history_models import RunHistory
from .models import AgentPage, AgentView, EventPage, RunPage, RunView, StatusView, TreeNode

Result = TypeVar("Result", bound=BaseModel)

TIMEOUT = httpx.Timeout(10.0, connect=3.0)
PAUSES = (0.1, 0.3, 1.0)
"""Seconds before a call is made again that was answered with a retryable refusal."""

STREAM_TIMEOUT = httpx.Timeout(10.0, connect=3.0, read=45.0)
"""The server speaks at least every 15 seconds."""

PATIENCE = 60.0
"""Seconds for which a broken stream is opened again before the caller is told."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """One request and the type of its answer. All of them are harmless to repeat. `text` is a body
    that is sent as it stands, `body` one that is made JSON of.
    """

    result: type[Result]
    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    text: str | None = None

    @property
    def request(self) -> dict[str, Any]:
        """The arguments of `httpx.Client.request`."""
        params = {name: value for name, value in self.params.items() if value is not None}
        request = {"method": self.method, "url": self.path, "params": params}
        if self.text is None:
            return {**request, "json": self.body, "headers": self.headers}
        headers = {"Content-Type": "application/yaml", **self.headers}
        return {**request, "content": self.text.encode(), "headers": headers}


def create_agent(profile: AgentProfile) -> Call[AgentView]:
    """Register an agent. Repeated, it is refused with AOS-3102."""
    return Call(AgentView, "POST", "/api/v1/agents", body=profile.model_dump(mode="json"))


def get_agent(id_or_name: UUID | str) -> Call[AgentView]:
    """One agent."""
    return Call(AgentView, "GET", f"/api/v1/agents/{id_or_name}")


def list_agents(cursor: str | None, limit: int) -> Call[AgentPage]:
    """A page of agents."""
    return Call(AgentPage, "GET", "/api/v1/agents", {"cursor": cursor, "limit": limit})


def release_agent(id_or_name: UUID | str) -> Call[AgentView]:
    """End an agent's quarantine. Repeated, it is refused with AOS-4102: there is none any more."""
    return Call(AgentView, "POST", f"/api/v1/agents/{id_or_name}/release")


def create_run(
    agent: UUID | str, goal: str, priority: int, key: str | None, program: str | None = None
) -> Call[RunView]:
    """Submit a goal; without a key of the caller's it gets one of its own."""
    body: dict[str, Any] = {"agent": str(agent), "goal": goal, "priority": priority}
    return Call(
        RunView,
        "POST",
        "/api/v1/runs",
        body=body if program is None else {**body, "program": program},
        headers={"Idempotency-Key": key or f"sdk-{uuid4()}"},
    )


def get_run(run_id: UUID | str) -> Call[RunView]:
    """One run."""
    return Call(RunView, "GET", f"/api/v1/runs/{run_id}")


def get_history(run_id: UUID | str) -> Call[RunHistory]:
    """A run's statuses, plan, attempts, denials and restarts."""
    return Call(RunHistory, "GET", f"/api/v1/runs/{run_id}/history")


def export_path(run_id: UUID | str, form: str) -> str:
    """Where a run's history is as a file."""
    return f"/api/v1/runs/{run_id}/export?format={form}"


def list_runs(
    agent: UUID | str | None, status: str | None, cursor: str | None, limit: int
) -> Call[RunPage]:
    """A page of runs."""
    params = {
        "agent": str(agent) if agent else None,
        "status": status,
        "cursor": cursor,
        "limit": limit,
    }
    return Call(RunPage, "GET", "/api/v1/runs", params)


def get_status() -> Call[StatusView]:
    """What runs there."""
    return Call(StatusView, "GET", "/api/v1/status")


def get_tree() -> Call[TreeNode]:
    """The living supervision tree."""
    return Call(TreeNode, "GET", "/api/v1/tree")


def list_events(
    child: UUID | str | None = None,
    kind: str | None = None,
    since: datetime | None = None,
    cursor: str | None = None,
    limit: int = 50,
) -> Call[EventPage]:
    """What supervisors did."""
    params = {
        "child": str(child) if child else None,
        "kind": kind,
        "since": since.isoformat() if since else None,
        "cursor": cursor,
        "limit": limit,
    }
    return Call(EventPage, "GET", "/api/v1/tree/events", params)


def check(response: httpx.Response) -> httpx.Response:
    """The response, if it is a success. Raises `ApiError`; the body has been read."""
    if response.is_success:
        return response
    try:
        problem: Any = response.json()
    except ValueError:
        problem = {"detail": f"HTTP status {response.status_code}, and no word of AOS why"}
    known = cast("dict[str, Any]", problem) if isinstance(problem, dict) else {}
    raise ApiError(response.status_code, known)


def unreachable(error: httpx.TransportError, url: str) -> NotRunning:
    """What a broken connection means to a caller."""
    if isinstance(error, httpx.ConnectError):
        return NotRunning(f"nothing listens at {url}")
    if isinstance(error, httpx.TimeoutException):
        return NotRunning(f"{url} does not answer")
    return NotRunning(f"the connection to {url} broke: {type(error).__name__}")


def headers(api_key: str) -> dict[str, str]:
    """The headers of every request."""
    return {"Authorization": f"Bearer {api_key}", "User-Agent": "aos-client"}
