"""What one run's driver knows and has not yet committed: the state, and events on their way.

`state` is ahead of the journal by what is buffered. `urgent` says that what is buffered has to be
on disk before anything is done because of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..skills.contracts import StructuredOutcome
from .environment import Environment
from .runs.chain import chained
from .runs.events import Event, Plan
from .runs.fold import apply
from .runs.journal import Append
from .runs.mailbox import Message, hear, value_field
from .runs.state import RunState, dispatched

_FULL = 64
"""Events that are buffered at most."""


class Recording:
    """The state of a run, and the way from an event to the journal."""

    def __init__(self, state: RunState, chain: bytes, environment: Environment) -> None:
        self.state = state
        self.urgent = False
        self._env = environment
        self._chain = chain
        self._buffer: list[Event] = []
        self._blobs: dict[str, bytes] = {}

    @property
    def is_pending(self) -> bool:
        """Whether anything is not committed."""
        return bool(self._buffer)

    def add(self, event: Event, *, urgent: bool = False) -> None:
        """Something is so. It is not on disk yet."""
        self.state = apply(self.state, event)
        self._buffer.append(event)
        self.urgent = self.urgent or urgent or len(self._buffer) >= _FULL

    def keep(self, contents: Mapping[str, bytes]) -> None:
        """Large values that the next events refer to."""
        self._blobs |= contents

    def dispatched(self, step_id: str) -> None:
        """A call is under way: known to this process alone."""
        self.state = dispatched(self.state, step_id)

    def released(self, step_ids: frozenset[str]) -> None:
        """Calls are not under way any more, and nothing came of them."""
        self.state = replace(self.state, in_flight=self.state.in_flight - step_ids)

    async def hear(self, message: Message) -> None:
        """Somebody said something. Committed before it is acted on: who said it may look."""
        body, large = dict(message.body), dict[str, str]()
        if message.kind == "child":
            body["answer"] = await self._env.children.answer(str(body.get("child_run_id")))
        field = value_field(message.kind)
        if field is not None and field in body:
            packed, large, contents = self._env.outputs.pack_value(
                body[field], self._env.blob_threshold
            )
            body[field] = packed
            self.keep(contents)
        now = self._env.clock.now()
        self.add(hear(self.state, replace(message, body=body), now, large=large), urgent=True)

    def pack(self, outcome: StructuredOutcome) -> tuple[StructuredOutcome, dict[str, str]]:
        """An outcome fit for an event, and the names of what is stored beside it."""
        packed, large, contents = self._env.outputs.pack(outcome, self._env.blob_threshold)
        self.keep(contents)
        return packed, large

    def pack_plan(self, plan: Plan) -> Plan:
        """A plan fit for an event."""
        packed, contents = self._env.outputs.pack_plan(plan, self._env.blob_threshold)
        self.keep(contents)
        return packed

    async def commit(self) -> None:
        """Have everything on disk. Raises `LeaseLost`."""
        self.urgent = False
        if not self._buffer:
            return
        events, blobs = tuple(self._buffer), self._blobs
        self._buffer, self._blobs = [], {}
        rows = chained(self._chain, self.state.seq - len(events) + 1, events)
        self._chain = rows[-1].chain
        await self._env.journal.append(Append(self.state, rows, blobs))
