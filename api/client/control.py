"""`client.runs` and its kin: for code that waits. See `control_calls`."""

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
    from .synchronous import AosClient


class RunControl:
    """What is said to runs, made of them and asked about them, for code that waits."""

    def __init__(self, client: AosClient) -> None:
        self._client = client

    def signal(
        self, run_id: UUID | str, name: str, payload: JsonValue = None, *, key: str | None = None
    ) -> MessageView:
        """Send a run a named signal. With a `key`, sending it again is the same signal."""
        return self._client.send(calls.signal(run_id, name, payload, key))

    def cancel(
        self, run_id: UUID | str, reason: str = "", *, key: str | None = None
    ) -> MessageView:
        """End a run: what it has under way is stopped first."""
        return self._client.send(calls.say(run_id, "cancel", {"reason": reason}, key))

    def pause(self, run_id: UUID | str, reason: str = "", *, key: str | None = None) -> MessageView:
        """Let what is under way end, and begin nothing more until `resume`."""
        return self._client.send(calls.say(run_id, "pause", {"reason": reason}, key))

    def resume(self, run_id: UUID | str, *, key: str | None = None) -> MessageView:
        """Let a paused run go on."""
        return self._client.send(calls.say(run_id, "continue", {}, key))

    def decide(
        self,
        run_id: UUID | str,
        step_id: str,
        approved: bool,
        value: JsonValue = None,
        *,
        comment: str = "",
        key: str | None = None,
    ) -> MessageView:
        """Answer the question that a step waits with."""
        return self._client.send(calls.decide(run_id, step_id, approved, value, comment, key))

    def resolve(
        self,
        run_id: UUID | str,
        step_id: str,
        verdict: str,
        output: JsonValue = None,
        *,
        reason: str = "",
        key: str | None = None,
    ) -> MessageView:
        """Say what is so about an effect in doubt: happened, did_not_happen, retry, fail or
        compensate.
        """
        return self._client.send(calls.resolve(run_id, step_id, verdict, output, reason, key))

    def set_priority(self, run_id: UUID | str, priority: int) -> MessageView:
        """Change a run's place in its agent's queue."""
        return self._client.send(calls.say(run_id, "priority", {"priority": priority}, None))

    def repair(
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
        """Skip a step, set_result or redrive it. Of a run that is over, a new one is made."""
        return self._client.send(
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

    def fork(
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
        """A new run from a step on, with other params or another goal."""
        return self._client.send(
            calls.fork(run_id, step_id, overrides, goal, _made(reason, repeat_effects), key)
        )

    def rerun(
        self,
        run_id: UUID | str,
        *,
        reason: str = "",
        repeat_effects: bool = False,
        key: str | None = None,
    ) -> RunView:
        """The same goal once more, from the start."""
        return self._client.send(calls.rerun(run_id, _made(reason, repeat_effects), key))

    def children(
        self, run_id: UUID | str, *, cursor: str | None = None, limit: int = 50
    ) -> RunPage:
        """The runs that a run has made, oldest first."""
        return self._client.send(calls.children(run_id, cursor, limit))

    def why(self, run_id: UUID | str) -> EligibilityView:
        """Why a run gets a process, or does not."""
        return self._client.send(calls.eligibility(run_id))

    def pending(self, *, cursor: str | None = None, limit: int = 50) -> EligibilityPage:
        """The same of all unfinished runs, oldest first."""
        return self._client.send(calls.pending(cursor, limit))


class DeadLetters:
    """Runs that were given up, for code that waits."""

    def __init__(self, client: AosClient) -> None:
        self._client = client

    def list(self, *, cursor: str | None = None, limit: int = 50) -> RunPage:
        """Runs that were given up and not dealt with, newest first."""
        return self._client.send(calls.dead_letters(cursor, limit))

    def get(self, run_id: UUID | str) -> RunView:
        """One of them. Raises `ApiError` with AOS-3015 for any other run."""
        return self._client.send(calls.dead_letter(run_id))

    def requeue(
        self,
        run_id: UUID | str,
        *,
        reason: str = "",
        repeat_effects: bool = False,
        key: str | None = None,
    ) -> RunView:
        """Give it another chance: a new run that keeps what had succeeded."""
        return self._client.send(calls.requeue(run_id, _made(reason, repeat_effects), key))

    def discard(self, run_id: UUID | str, *, reason: str = "") -> DeadLetterView:
        """Have it off the list. Its journal stays."""
        return self._client.send(calls.discard(run_id, reason))


class EmergencyStop:
    """The emergency stop, for code that waits."""

    def __init__(self, client: AosClient) -> None:
        self._client = client

    def show(self) -> StopsView:
        """What holds effects up now."""
        return self._client.send(calls.stops())

    def begin(self, reason: str, *, everyone: bool = False) -> StopsView:
        """No new effects from now on, of this tenant or of everyone."""
        return self._client.send(calls.stop(reason, everyone))

    def lift(self, *, everyone: bool = False) -> StopsView:
        """Let effects happen again."""
        return self._client.send(calls.lift(everyone))


class Programs:
    """Durable programs, for code that waits."""

    def __init__(self, client: AosClient) -> None:
        self._client = client

    def keep(self, name: str, entry: str, source: str) -> ProgramView:
        """Upload a program. The same again changes nothing."""
        return self._client.send(calls.keep_program(name, entry, source))

    def list(self) -> ProgramList:
        """What each name stands for now."""
        return self._client.send(calls.list_programs())


def _made(reason: str, repeat_effects: bool) -> dict[str, Any]:
    return {"reason": reason, "repeat_effects": repeat_effects}
