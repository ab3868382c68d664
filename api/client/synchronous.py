"""The client for code that waits."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Self
from uuid import UUID

import httpx

from ...skills.contracts import AgentProfile
from . import calls
from .calls import Call, Result
from .config import find_target, is_local
from .control import DeadLetters, EmergencyStop, Programs, RunControl
from .errors import ApiError, NotRunning
from .history_models import RunHistory
from .models import (
    AgentPage,
    AgentView,
    EventPage,
    RunEvent,
    RunPage,
    RunView,
    StatusView,
    SupervisionEvent,
    TreeNode,
)
from .replays import Replays
from .retention import Retention
from .sse import Decoder
from .stream import LOST, Following
from .teams import Teams


class AosClient:
    """A connection to an AOS: by default that of this machine, with its key.

    Raises `NotRunning` and `NoCredentials` when there is none to be found.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        target = find_target(url, api_key)
        self.url = target.url
        self._http = httpx.Client(
            base_url=target.url,
            headers=calls.headers(target.api_key),
            timeout=calls.TIMEOUT,
            trust_env=not is_local(target.url),
            transport=transport,
        )
        self.agents = _Agents(self)
        self.runs = _Runs(self)
        self.dead_letters = DeadLetters(self)
        self.emergency_stop = EmergencyStop(self)
        self.programs = Programs(self)
        self.teams = Teams(self)
        self.replays = Replays(self)
        self.retention = Retention(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def status(self) -> StatusView:
        """The supervision tree, agents, runs and resources at this moment."""
        return self.send(calls.get_status())

    def tree(self) -> TreeNode:
        """The living supervision tree, as far as the key may see it."""
        return self.send(calls.get_tree())

    def tree_events(
        self,
        *,
        child: UUID | str | None = None,
        kind: str | None = None,
        since: datetime | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> EventPage:
        """A page of what supervisors did and why, newest first; with `child` (an agent's name or
        id, or a part's name) also the answer in words.
        """
        return self.send(calls.list_events(child, kind, since, cursor, limit))

    def supervision_events(
        self, *, child: UUID | str | None = None, limit: int = 100
    ) -> list[SupervisionEvent]:
        """The newest things that supervisors did, newest first: of all, or of one child."""
        return self.tree_events(child=child, limit=limit).items

    def send(self, call: Call[Result]) -> Result:
        """Make a call, again after a retryable refusal. Raises `ApiError`, `NotRunning`."""
        for pause in calls.PAUSES:
            try:
                return self._send_once(call)
            except ApiError as error:
                if not error.retryable:
                    raise
                time.sleep(pause)
        return self._send_once(call)

    @contextmanager
    def open(self, following: Following) -> Generator[Iterator[bytes]]:
        """An event stream's bytes. Raises `ApiError`, `NotRunning`."""
        try:
            with self._http.stream(
                "GET", following.path, headers=following.headers, timeout=following.timeout
            ) as response:
                if not response.is_success:
                    response.read()
                    calls.check(response)
                following.connected()
                yield response.iter_bytes()
        except httpx.TransportError as error:
            raise calls.unreachable(error, self.url) from error

    def download(self, path: str) -> Iterator[bytes]:
        """A file, piece by piece. Raises `ApiError`; `NotRunning` also for one that breaks off."""
        try:
            with self._http.stream("GET", path) as response:
                if not response.is_success:
                    response.read()
                    calls.check(response)
                yield from response.iter_bytes()
        except httpx.TransportError as error:
            raise calls.unreachable(error, self.url) from error

    def _send_once(self, call: Call[Result]) -> Result:
        try:
            response = self._http.request(**call.request)
        except httpx.TransportError as error:
            raise calls.unreachable(error, self.url) from error
        return call.result.model_validate_json(calls.check(response).content)


class _Agents:
    def __init__(self, client: AosClient) -> None:
        self._client = client

    def create(self, profile: AgentProfile) -> AgentView:
        """Register an agent."""
        return self._client.send(calls.create_agent(profile))

    def get(self, id_or_name: UUID | str) -> AgentView:
        """One agent."""
        return self._client.send(calls.get_agent(id_or_name))

    def release(self, id_or_name: UUID | str) -> AgentView:
        """End an agent's quarantine now. Raises `ApiError` with AOS-4102 if there is none."""
        return self._client.send(calls.release_agent(id_or_name))

    def list(self, *, cursor: str | None = None, limit: int = 50) -> AgentPage:
        """A page of agents, oldest first."""
        return self._client.send(calls.list_agents(cursor, limit))


class _Runs(RunControl):
    def create(
        self,
        agent: UUID | str,
        goal: str,
        *,
        priority: int = 0,
        idempotency_key: str | None = None,
        program: str | None = None,
    ) -> RunView:
        """Submit a goal, for a program if one is named. Once this returns the run cannot be
        lost.
        """
        return self._client.send(calls.create_run(agent, goal, priority, idempotency_key, program))

    def get(self, run_id: UUID | str) -> RunView:
        """One run."""
        return self._client.send(calls.get_run(run_id))

    def list(
        self,
        *,
        agent: UUID | str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> RunPage:
        """A page of runs, newest first."""
        return self._client.send(calls.list_runs(agent, status, cursor, limit))

    def history(self, run_id: UUID | str) -> RunHistory:
        """Where a run's result comes from: statuses, plan, attempts, denials, restarts."""
        return self._client.send(calls.get_history(run_id))

    def export(
        self,
        run_id: UUID | str,
        format: str = "jsonl",  # noqa: A002 - the API's name
    ) -> Iterator[bytes]:
        """The same as a file, `csv` or `jsonl`, piece by piece, one record a line."""
        return self._client.download(calls.export_path(run_id, format))

    def events(
        self, run_id: UUID | str, *, after: int = 0, timeout: float | None = None
    ) -> Iterator[RunEvent]:
        """The run's events, live, to its last one; broken connections are mended.

        Raises `TimeoutError` when the run has not finished within `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        following = Following(run_id, after, deadline=deadline)
        while not following.finished:
            try:
                with self._client.open(following) as chunks:
                    decoder = Decoder()
                    for chunk in chunks:
                        yield from following.events(decoder, chunk)
                if following.finished or following.complete(self.get(run_id)):
                    return
                time.sleep(following.lost(NotRunning("the event stream ends early")))
            except LOST as error:
                time.sleep(following.lost(error))

    def wait(self, run_id: UUID | str, *, timeout: float | None = None) -> RunView:
        """The run once it is finished. Raises `TimeoutError` after `timeout` seconds."""
        for _ in self.events(run_id, timeout=timeout):
            pass
        return self.get(run_id)
