"""`client.replays`, for both clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ...skills.contracts import JsonObject, JsonValue
from .calls import Call
from .replay_models import Mode, ReplayView, TraceView, VerificationView

if TYPE_CHECKING:
    from .asynchronous import AsyncAosClient
    from .synchronous import AosClient

Params = Mapping[str, JsonObject]
Limits = Mapping[str, JsonValue]


def _verify(run_id: UUID | str) -> Call[VerificationView]:
    return Call(VerificationView, "GET", f"/api/v1/runs/{run_id}/verification")


def _trace(run_id: UUID | str) -> Call[TraceView]:
    return Call(TraceView, "GET", f"/api/v1/runs/{run_id}/trace")


def _replay(run_id: UUID | str, mode: Mode, **changed: Any) -> Call[ReplayView]:
    given = {name: value for name, value in changed.items() if value}
    return Call(ReplayView, "POST", f"/api/v1/runs/{run_id}/replays", body={"mode": mode, **given})


class Replays:
    """Replays, for code that waits. Nothing of this calls a skill or changes a run."""

    def __init__(self, client: AosClient) -> None:
        self._client = client

    def verify(self, run_id: UUID | str) -> VerificationView:
        """Check a run's journal: its chain, its legality, each of its decisions."""
        return self._client.send(_verify(run_id))

    def trace(self, run_id: UUID | str) -> TraceView:
        """A run's journal as a file that anybody can check."""
        return self._client.send(_trace(run_id))

    def mock(self, run_id: UUID | str) -> ReplayView:
        """Drive a recorded run again: outcomes from the recording, decisions made anew."""
        return self._client.send(_replay(run_id, "mock"))

    def dry_run(self, run_id: UUID | str) -> ReplayView:
        """What a run's plans would call now, whether they could, and for how much."""
        return self._client.send(_replay(run_id, "dry_run"))

    def what_if(
        self,
        run_id: UUID | str,
        *,
        goal: str | None = None,
        params: Params | None = None,
        limits: Limits | None = None,
    ) -> ReplayView:
        """Drive a recorded run with something changed, as far as the recording can answer."""
        return self._client.send(
            _replay(run_id, "what_if", goal=goal, params=params, limits=limits)
        )


class AsyncReplays:
    """Replays, for asyncio."""

    def __init__(self, client: AsyncAosClient) -> None:
        self._client = client

    async def verify(self, run_id: UUID | str) -> VerificationView:
        """As `Replays.verify`."""
        return await self._client.send(_verify(run_id))

    async def trace(self, run_id: UUID | str) -> TraceView:
        """As `Replays.trace`."""
        return await self._client.send(_trace(run_id))

    async def mock(self, run_id: UUID | str) -> ReplayView:
        """As `Replays.mock`."""
        return await self._client.send(_replay(run_id, "mock"))

    async def dry_run(self, run_id: UUID | str) -> ReplayView:
        """As `Replays.dry_run`."""
        return await self._client.send(_replay(run_id, "dry_run"))

    async def what_if(
        self,
        run_id: UUID | str,
        *,
        goal: str | None = None,
        params: Params | None = None,
        limits: Limits | None = None,
    ) -> ReplayView:
        """As `Replays.what_if`."""
        return await self._client.send(
            _replay(run_id, "what_if", goal=goal, params=params, limits=limits)
        )
