"""Who goes to which process: as many for each lane as the machine has cores, within the agent's
slots. What is given while all are busy waits for the first that has room; nothing waits for
company.

Whatever goes wrong with a shared process is nobody's failure yet: what has no outcome is handed
back, to be called by itself, and then the ordinary rules for deaths and deadlines hold.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from ...skills.contracts import SkillDescriptor, StructuredOutcome
from ..caller import task_options
from ..pace import Manner, Pace
from ..slots import Slots
from .conversation import Work
from .line import Line
from .rules import TERMS, Lane
from .ticket import Ticket
from .wire import Chain


def lane_of(descriptor: SkillDescriptor, manner: Manner) -> Lane:
    """Where a skill's calls go."""
    return Lane(replace(task_options(descriptor), name=""), manner)


class Lanes:
    """The shared processes of one agent."""

    def __init__(self, slots: Slots, pace: Pace, width: int | None = None) -> None:
        self.pace = pace
        self._slots = slots
        self._width = width or os.cpu_count() or 1
        self._queues: dict[Lane, deque[Ticket]] = {}
        self._lines: dict[Lane, set[Line]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(
        self, lane: Lane, chain: Chain, descriptors: Sequence[SkillDescriptor]
    ) -> AsyncIterator[tuple[int, StructuredOutcome]]:
        """Outcomes of a chain's links, as they come; those that need what failed have none, nor
        those for which there was no time. Raises `HandedBack` when the rest has to be asked for
        again. Leaving it ends what is under way, and if need be its process.
        """
        ticket = Ticket(chain, descriptors)
        self._queues.setdefault(lane, deque()).append(ticket)
        self._lines.setdefault(lane, set())
        self._place(lane)
        outcomes = ticket.outcomes()
        try:
            async for told in outcomes:
                yield told
        finally:
            await outcomes.aclose()

    def _place(self, lane: Lane) -> None:
        """See to it that somebody does what is queued."""
        lines = self._lines[lane]
        for line in [line for line in lines if line.is_over or line.is_stuck]:
            # One that takes long keeps its slot, as any call does; the quick ones go on without it.
            lines.remove(line)
        if not self._queues[lane]:
            return
        free = min(
            (line for line in lines if line.has_room), key=lambda each: each.under_way, default=None
        )
        if free is not None:
            free.stir()
        is_crowded = free is None or free.under_way >= TERMS[lane.manner].crowd
        if is_crowded and len(lines) < self._width:
            self._open(lane)

    def _open(self, lane: Lane) -> None:
        first = self._next(lane)
        if first is None:
            return
        work = Work(
            slots=self._slots,
            next=lambda: self._next(lane),
            changed=lambda: self._place(lane),
            crowded=self._crowded,
        )
        line = Line(lane, work)
        self._lines[lane].add(line)
        task = asyncio.create_task(line.serve(first))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _next(self, lane: Lane) -> Ticket | None:
        queue = self._queues[lane]
        while queue:
            ticket = queue.popleft()
            if not ticket.over:
                return ticket
        return None

    def _crowded(self, tickets: list[Ticket]) -> None:
        for ticket in tickets:
            for descriptor in ticket.descriptors:
                self.pace.forget(descriptor.name)
