"""The client for asyncio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from typing import Self
from uuid import UUID

import httpx

from ...skills.contracts import AgentProfile
from . import calls
from .calls import Call, Result
from .config import find_target, is_local
from .control_async import AsyncDeadLetters, AsyncEmergencyStop, AsyncPrograms, AsyncRunControl
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
from .replays import AsyncReplays
from .retention import AsyncRetention
from .sse import Decoder
from .stream import LOST, Following
from .teams import AsyncTeams


class AsyncAosClient:
    """A connection to an AOS: by default that of this machine, with its key.

    Raises `NotRunning` and `NoCredentials` when there is none to be found.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        target = find_target(url, api_key)
        self.url = target.url
        self._http = httpx.AsyncClient(
            base_url=target.url,
            headers=calls.headers(target.api_key),
            timeout=calls.TIMEOUT,
            trust_env=not is_local(target.url),
            transport=transport,
        )
        self.agents = _Agents(self)
        self.runs = _Runs(self)
        self.dead_letters = AsyncDeadLetters(self)
        self.emergency_stop = AsyncEmergencyStop(self)
        self.programs = AsyncPrograms(self)
        self.teams = AsyncTeams(self)
        self.replays = AsyncReplays(self)
        self.retention = AsyncRetention(self)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def status(self) -> StatusView:
        """The supervision tree, agents, runs and resources at this moment."""
        return await self.send(calls.get_status())

    async def tree(self) -> TreeNode:
        """The living supervision tree, as far as the key may see it."""
        return await self.send(calls.get_tree())

    async def tree_events(
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
        return await self.send(calls.list_events(child, kind, since, cursor, limit))

    async def supervision_events(
        self, *, child: UUID | str | None = None, limit: int = 100
    ) -> list[SupervisionEvent]:
        """The newest things that supervisors did, newest first: of all, or of one child."""
        return (await self.tree_events(child=child, limit=limit)).items

    async def send(self, call: Call[Result]) -> Result:
        """Make a call, again after a retryable refusal. Raises `ApiError`, `NotRunning`."""
        for pause in calls.PAUSES:
            try:
                return await self._send_once(call)
            except ApiError as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(pause)
        return await self._send_once(call)

    @asynccontextmanager
    async def open(self, following: Following) -> AsyncGenerator[AsyncIterator[bytes]]:
        """An event stream's bytes. Raises `ApiError`, `NotRunning`."""
        try:
            async with self._http.stream(
                "GET", following.path, headers=following.headers, timeout=following.timeout
            ) as response:
                if not response.is_success:
                    await response.aread()
                    calls.check(response)
                following.connected()
                yield response.aiter_bytes()
        except httpx.TransportError as error:
            raise calls.unreachable(error, self.url) from error

    async def download(self, path: str) -> AsyncGenerator[bytes]:
        """A file, piece by piece. Raises `ApiError`; `NotRunning` also for one that breaks off."""
        try:
            async with self._http.stream("GET", path) as response:
                if not response.is_success:
                    await response.aread()
                    calls.check(response)
                async for piece in response.aiter_bytes():
                    yield piece
        except httpx.TransportError as error:
            raise calls.unreachable(error, self.url) from error

    async def _send_once(self, call: Call[Result]) -> Result:
        try:
            response = await self._http.request(**call.request)
        except httpx.TransportError as error:
            raise calls.unreachable(error, self.url) from error
        return call.result.model_validate_json(calls.check(response).content)


class _Agents:
    def __init__(self, client: AsyncAosClient) -> None:
        self._client = client

    async def create(self, profile: AgentProfile) -> AgentView:
        """Register an agent."""
        return await self._client.send(calls.create_agent(profile))

    async def get(self, id_or_name: UUID | str) -> AgentView:
        """One agent."""
        return await self._client.send(calls.get_agent(id_or_name))

    async def release(self, id_or_name: UUID | str) -> AgentView:
        """End an agent's quarantine now. Raises `ApiError` with AOS-4102 if there is none."""
        return await self._client.send(calls.release_agent(id_or_name))

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> AgentPage:
        """A page of agents, oldest first."""
        return await self._client.send(calls.list_agents(cursor, limit))


class _Runs(AsyncRunControl):
    async def create(
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
        return await self._client.send(
            calls.create_run(agent, goal, priority, idempotency_key, program)
        )

    async def get(self, run_id: UUID | str) -> RunView:
        """One run."""
        return await self._client.send(calls.get_run(run_id))

    async def list(
        self,
        *,
        agent: UUID | str | None = None,
        status: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> RunPage:
        """A page of runs, newest first."""
        return await self._client.send(calls.list_runs(agent, status, cursor, limit))

    async def history(self, run_id: UUID | str) -> RunHistory:
        """Where a run's result comes from: statuses, plan, attempts, denials, restarts."""
        return await self._client.send(calls.get_history(run_id))

    def export(
        self,
        run_id: UUID | str,
        format: str = "jsonl",  # noqa: A002 - the API's name
    ) -> AsyncGenerator[bytes]:
        """The same as a file, `csv` or `jsonl`, piece by piece, one record a line."""
        return self._client.download(calls.export_path(run_id, format))

    async def events(
        self, run_id: UUID | str, *, after: int = 0, timeout: float | None = None
    ) -> AsyncGenerator[RunEvent]:
        """The run's events, live, to its last one; broken connections are mended.

        Raises `TimeoutError` when the run has not finished within `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        following = Following(run_id, after, deadline=deadline)
        while not following.finished:
            try:
                async with self._client.open(following) as chunks:
                    decoder = Decoder()
                    async for chunk in chunks:
                        for event in following.events(decoder, chunk):
                            yield event
                if following.finished or following.complete(await self.get(run_id)):
                    return
                await asyncio.sleep(following.lost(NotRunning("the event stream ends early")))
            except LOST as error:
                await asyncio.sleep(following.lost(error))

    async def wait(self, run_id: UUID | str, *, timeout: float | None = None) -> RunView:
        """The run once it is finished. Raises `TimeoutError` after `timeout` seconds."""
        async with aclosing(self.events(run_id, timeout=timeout)) as events:
            async for _ in events:
                pass
        return await self.get(run_id)
