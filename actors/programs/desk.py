"""Where the awaits of a program become requests, and what came of them comes back.

A request is pending from when its coroutine first runs until it is delivered or abandoned; each of
these happens once. `turn` is what the current turn has come to so far.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ...skills.contracts import JsonObject, JsonValue, RetryPolicy
from .errors import SkillFailed
from .identity import name_of, request_path
from .loop import ProgramLoop
from .protocol import Delivery, Request, RequestKind
from .tasks import ProgramTask
from .values import fresh


@dataclass(slots=True)
class TurnSoFar:
    """What the program did since it was last asked. Both dicts are ordered sets."""

    requests: dict[str, Request] = field(default_factory=dict[str, Request])
    abandoned: dict[str, None] = field(default_factory=dict[str, None])


class Desk:
    """The requests of one execution."""

    def __init__(self, loop: ProgramLoop) -> None:
        self._loop = loop
        self._pending: dict[str, asyncio.Future[Delivery]] = {}
        self._abandoned: set[str] = set()
        self.turn = TurnSoFar()

    @property
    def pending(self) -> tuple[str, ...]:
        """What the program waits for, in the order in which it was asked for."""
        return tuple(self._pending)

    def expects(self, request_id: str) -> bool:
        """Whether a delivery makes sense; nobody may wait for it any more."""
        return request_id in self._pending or request_id in self._abandoned

    async def ask(
        self,
        kind: RequestKind,
        skill: str,
        params: JsonObject,
        retry: RetryPolicy | None,
        line: str,
    ) -> JsonValue:
        """Make a request and wait for what comes of it. Raises `SkillFailed`."""
        request_id = self._next_id(skill)
        future: asyncio.Future[Delivery] = self._loop.create_future()
        self._pending[request_id] = future
        self.turn.requests[request_id] = Request(
            id=request_id, kind=kind, skill=skill, params=params, retry=retry, line=line
        )
        try:
            delivery = await future
        except asyncio.CancelledError:
            self._abandon(request_id)
            raise
        if delivery.failure is not None:
            raise SkillFailed(*delivery.failure)
        return fresh(delivery.value)

    def deliver(self, delivery: Delivery) -> None:
        """Tell the program. What was abandoned is nobody's: it is dropped, and if it was abandoned
        in this very turn, its end has come first and there is nothing to call off.
        """
        future = self._pending.pop(delivery.id, None)
        if future is None:
            self._abandoned.discard(delivery.id)
            self.turn.abandoned.pop(delivery.id, None)
        elif not future.done():
            future.set_result(delivery)

    def abandon_all(self) -> None:
        """The program is over: nobody waits any more."""
        for request_id in self.pending:
            self._abandon(request_id)

    def take_turn(self) -> TurnSoFar:
        """What the turn came to; the next one begins empty."""
        done, self.turn = self.turn, TurnSoFar()
        return done

    def _abandon(self, request_id: str) -> None:
        # A delivery and a cancellation may meet: then the request was delivered.
        if self._pending.pop(request_id, None) is None:
            return
        if self.turn.requests.pop(request_id, None) is None:
            self._abandoned.add(request_id)
            self.turn.abandoned[request_id] = None

    def _next_id(self, skill: str) -> str:
        if self._loop.is_closed():  # code on its way out goes on going
            raise GeneratorExit
        task = asyncio.current_task(self._loop)
        if asyncio.get_running_loop() is not self._loop or not isinstance(task, ProgramTask):
            self._loop.refuse(f"{skill} awaited elsewhere", "a task of the program")
        return name_of(request_path(task.path, task.next_slot()))
