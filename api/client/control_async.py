"""`client.runs` and its kin: for asyncio. See `control_calls`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ...skills.contracts import JsonObject, JsonValue
from . import control_calls as calls
from .control_models import (
    DeadLetterView,
    EligibilityPage,
    EligibilityView,
    MessageView,
    ProgramList,
    ProgramView,
    RepairView,
    StopsView,
)
from .models import RunPage, RunView

if TYPE_CHECKING:
    from .asynchronous import AsyncAosClient


class AsyncRunControl:
    """What is said to runs, made of them and asked about them, for asyncio."""

    def __init__(self, client: AsyncAosClient) -> None:
        self._client = client

    async def signal(
        self, run_id: UUID | str, name: str, payload: JsonValue = None, *, key: str | None = None
    ) -> MessageView:
        """As `RunControl.signal`."""
        return await self._client.send(calls.signal(run_id, name, payload, key))

    async def cancel(
        self, run_id: UUID | str, reason: str = "", *, key: str | None = None
    ) -> MessageView:
        """As `RunControl.cancel`."""
        return await self._client.send(calls.say(run_id, "cancel", {"reason": reason}, key))

    async def pause(
        self, run_id: UUID | str, reason: str = "", *, key: str | None = None
    ) -> MessageView:
        """As `RunControl.pause`."""
        return await self._client.send(calls.say(run_id, "pause", {"reason": reason}, key))

    async def resume(self, run_id: UUID | str, *, key: str | None = None) -> MessageView:
        """As `RunControl.resume`."""
        return await self._client.send(calls.say(run_id, "continue", {}, key))

    async def decide(
        self,
        run_id: UUID | str,
        step_id: str,
        approved: bool,
        value: JsonValue = None,
        *,
        comment: str = "",
        key: str | None = None,
    ) -> MessageView:
        """As `RunControl.decide`."""
        return await self._client.send(calls.decide(run_id, step_id, approved, value, comment, key))

    async def resolve(
        self,
        run_id: UUID | str,
        step_id: str,
        verdict: str,
        output: JsonValue = None,
        *,
        reason: str = "",
        key: str | None = None,
    ) -> MessageView:
        """As `RunControl.resolve`."""
        return await self._client.send(calls.resolve(run_id, step_id, verdict, output, reason, key))

    async def set_priority(self, run_id: UUID | str, priority: int) -> MessageView:
        """As `RunControl.set_priority`."""
        return await self._client.send(calls.say(run_id, "priority", {"priority": priority}, None))

    async def repair(
        self,
        run_id: UUID | str,
        step_id: str,
        action: str,
        output: JsonValue = None,
        *,
        reason: str = "",
        repeat_effects: bool = False,
        key: str | None = None,
    ) -> RepairView:
        """As `RunControl.repair`."""
        return await self._client.send(
            calls.repair(
                run_id,
                {
                    "step_id": step_id,
                    "action": action,
                    "output": output,
                    "reason": reason,
                    "repeat_effects": repeat_effects,
                },
                key,
            )
        )

    async def fork(
        self,
        run_id: UUID | str,
        step_id: str,
        *,
        overrides: Mapping[str, JsonObject] | None = None,
        goal: str | None = None,
        reason: str = "",
        repeat_effects: bool = False,
        key: str | None = None,
    ) -> RunView:
        """As `RunControl.fork`."""
        return await self._client.send(
            calls.fork(run_id, step_id, overrides, goal, _made(reason, repeat_effects), key)
        )

    async def rerun(
        self,
        run_id: UUID | str,
        *,
        reason: str = "",
        repeat_effects: bool = False,
        key: str | None = None,
    ) -> RunView:
        """As `RunControl.rerun`."""
        return await self._client.send(calls.rerun(run_id, _made(reason, repeat_effects), key))

    async def children(
        self, run_id: UUID | str, *, cursor: str | None = None, limit: int = 50
    ) -> RunPage:
        """As `RunControl.children`."""
        return await self._client.send(calls.children(run_id, cursor, limit))

    async def why(self, run_id: UUID | str) -> EligibilityView:
        """As `RunControl.why`."""
        return await self._client.send(calls.eligibility(run_id))

    async def pending(self, *, cursor: str | None = None, limit: int = 50) -> EligibilityPage:
        """As `RunControl.pending`."""
        return await self._client.send(calls.pending(cursor, limit))


class AsyncDeadLetters:
    """Runs that were given up, for asyncio."""

    def __init__(self, client: AsyncAosClient) -> None:
        self._client = client

    async def list(self, *, cursor: str | None = None, limit: int = 50) -> RunPage:
        """As `DeadLetters.list`."""
        return await self._client.send(calls.dead_letters(cursor, limit))

    async def get(self, run_id: UUID | str) -> RunView:
        """As `DeadLetters.get`."""
        return await self._client.send(calls.dead_letter(run_id))

    async def requeue(
        self,
        run_id: UUID | str,
        *,
        reason: str = "",
        repeat_effects: bool = False,
        key: str | None = None,
    ) -> RunView:
        """As `DeadLetters.requeue`."""
        return await self._client.send(calls.requeue(run_id, _made(reason, repeat_effects), key))

    async def discard(self, run_id: UUID | str, *, reason: str = "") -> DeadLetterView:
        """As `DeadLetters.discard`."""
        return await self._client.send(calls.discard(run_id, reason))


class AsyncEmergencyStop:
    """The emergency stop, for asyncio."""

    def __init__(self, client: AsyncAosClient) -> None:
        self._client = client

    async def show(self) -> StopsView:
        """As `EmergencyStop.show`."""
        return await self._client.send(calls.stops())

    async def begin(self, reason: str, *, everyone: bool = False) -> StopsView:
        """As `EmergencyStop.begin`."""
        return await self._client.send(calls.stop(reason, everyone))

    async def lift(self, *, everyone: bool = False) -> StopsView:
        """As `EmergencyStop.lift`."""
        return await self._client.send(calls.lift(everyone))


class AsyncPrograms:
    """Durable programs, for asyncio."""

    def __init__(self, client: AsyncAosClient) -> None:
        self._client = client

    async def keep(self, name: str, entry: str, source: str) -> ProgramView:
        """As `Programs.keep`."""
        return await self._client.send(calls.keep_program(name, entry, source))

    async def list(self) -> ProgramList:
        """As `Programs.list`."""
        return await self._client.send(calls.list_programs())


def _made(reason: str, repeat_effects: bool) -> dict[str, Any]:
    return {"reason": reason, "repeat_effects": repeat_effects}
