"""Quick calls of all runs of an agent, many to a task: the way to a skill's process costs more than
what they do there.

What is given while every lane is busy goes together when one is free, so nothing waits for company.
Whatever goes wrong with a shared process is nobody's failure yet: what has no outcome is handed
back, to be called by itself, and then the ordinary rules for deaths and deadlines hold.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace

from ..cluster import faults
from ..cluster.engine import TaskFailure, TaskOptions, TaskStream, stream
from ..skills.contracts import SkillDescriptor, StructuredOutcome
from .caller import GRACE, TO_YIELD, close, task_options
from .fused import BOX, OVER, PERFORM_CHAINS, TOLD, Chain, Work

_TAKEN_BACK = BOX + 0.02
"""Seconds after the first word of a process when what it has not begun is asked of another."""

_CHAINS = 32
"""Chains of a task at most."""

_QUICK_MS = 20
_REMEMBERED = 4


class Pace:
    """How long the latest attempts of each skill took."""

    def __init__(self) -> None:
        self._latest: dict[str, deque[int]] = {}

    def note(self, skill: str, outcome: StructuredOutcome) -> None:
        """An attempt has ended. One that failed tells nothing good of the next."""
        took = outcome.duration_ms if outcome.ok else _QUICK_MS
        self._latest.setdefault(skill, deque(maxlen=_REMEMBERED)).append(took)

    def is_quick(self, skill: str) -> bool:
        """Whether a skill is known and mostly quick: on a busy machine any call may take long."""
        latest = sorted(self._latest.get(skill, (_QUICK_MS,)))
        return latest[len(latest) // 2] < _QUICK_MS


class HandedBack(Exception):
    """Not all of a chain was done. `suspect`: its process died or hung, perhaps because of it."""

    def __init__(self, *, suspect: bool) -> None:
        super().__init__("its process was lost" if suspect else "not begun in time")
        self.suspect = suspect


class _Ticket:
    """A chain on its way, and what came of it."""

    def __init__(self, chain: Chain, descriptors: Sequence[SkillDescriptor]) -> None:
        self.chain, self.descriptors = chain, descriptors
        self.told: asyncio.Queue[tuple[int, StructuredOutcome] | Exception | None]
        self.told = asyncio.Queue()
        self.batch: _Batch | None = None
        self.over = False
        self._known: dict[int, bool] = {}

    def hear(self, index: int, outcome: StructuredOutcome) -> None:
        """An outcome of a link; late ones are of no use to anybody."""
        if not self.over:
            self._known[index] = outcome.ok
            self.told.put_nowait((index, outcome))
            if not self._has_more():
                self.end(None)

    def end(self, why: Exception | None) -> None:
        """Nothing more comes of it."""
        if not self.over:
            self.over = True
            self.told.put_nowait(why)

    def _has_more(self) -> bool:
        """Whether a link is without an outcome that it can still have."""
        possible = {
            link.call.step_id
            for index, link in enumerate(self.chain.links)
            if self._known.get(index, False)
        }
        return any(
            index not in self._known and possible.issuperset(link.follows)
            for index, link in enumerate(self.chain.links)
        )


class Lanes:
    """Shared processes for the quick calls of one agent: as many at once as the machine has cores,
    within the agent's own `slots`.
    """

    def __init__(self, slots: asyncio.Semaphore, pace: Pace) -> None:
        self.pace = pace
        self._slots = slots
        self._queues: dict[TaskOptions, deque[_Ticket]] = {}
        self._serving: dict[TaskOptions, set[asyncio.Task[None]]] = {}
        self._width = os.cpu_count() or 1

    async def run(
        self, chain: Chain, descriptors: Sequence[SkillDescriptor]
    ) -> AsyncIterator[tuple[int, StructuredOutcome]]:
        """Outcomes of a chain's links, as they come; those that need what failed have none. Raises
        `HandedBack` when the rest has to be asked for again. Leaving it ends the chain's process.
        """
        ticket = _Ticket(chain, descriptors)
        self._enqueue(ticket)
        try:
            while (told := await ticket.told.get()) is not None:
                if isinstance(told, Exception):
                    raise told
                yield told
        finally:
            if not ticket.over:
                ticket.over = True
                if ticket.batch is not None:
                    ticket.batch.stop()

    def _enqueue(self, ticket: _Ticket) -> None:
        lane = lane_of(ticket.descriptors[0])
        self._queues.setdefault(lane, deque()).append(ticket)
        self._serving.setdefault(lane, set())
        self._open(lane)

    def _open(self, lane: TaskOptions) -> None:
        serving = self._serving[lane]
        if self._queues[lane] and len(serving) < self._width:
            task = asyncio.create_task(self._serve(lane))
            serving.add(task)
            task.add_done_callback(serving.discard)

    async def _serve(self, lane: TaskOptions) -> None:
        queue, serving, me = self._queues[lane], self._serving[lane], asyncio.current_task()

        def give_way() -> None:
            # What takes long keeps its slot, as any call does, but the quick ones go on without it.
            serving.difference_update({me})
            self._open(lane)

        while queue and me in serving:
            async with self._slots:
                waiting = [queue.popleft() for _ in range(min(_CHAINS, len(queue)))]
                if tickets := [ticket for ticket in waiting if not ticket.over]:
                    await _Batch(lane, tickets, give_way).perform()


def lane_of(descriptor: SkillDescriptor) -> TaskOptions:
    """What calls must have in common to share a process: their resources."""
    return replace(task_options(descriptor), name="")


class _Batch:
    """One task for several tickets."""

    def __init__(
        self, lane: TaskOptions, tickets: list[_Ticket], on_slow: Callable[[], None]
    ) -> None:
        self._tickets, self._on_slow = tickets, on_slow
        skills = sorted({each.ref for ticket in tickets for each in ticket.descriptors})
        more = f" and {len(skills) - 1} more" if len(skills) > 1 else ""
        self._options = replace(lane, name=f"skill:{skills[0]}{more}")
        contracts = [each.resources for ticket in tickets for each in ticket.descriptors]
        self._queue_s = min(contract.queue_timeout_s for contract in contracts)
        self._call_s = max(contract.timeout_s for contract in contracts) + GRACE
        self._stopped = False
        self._listening: asyncio.Future[None] | None = None

    def stop(self) -> None:
        """End the process: somebody does not want to wait for it any more."""
        self._stopped = True
        if self._listening is not None:
            self._listening.cancel()

    async def perform(self) -> None:
        """Run the task to its end, whatever that is. Every ticket is over afterwards."""
        why: Exception = HandedBack(suspect=False)
        try:
            await self._run()
        except (TaskFailure, TimeoutError):
            why = HandedBack(suspect=True)
        except Exception as error:  # ours: whoever waits has to hear of it
            why = error
        finally:
            for ticket in self._tickets:
                ticket.end(why)

    async def _run(self) -> None:
        if self._options.missing():
            raise TaskFailure("unschedulable", "no machine has what it needs")
        faults.point("step.dispatching")
        work = Work(chains=tuple(ticket.chain for ticket in self._tickets))
        task = stream(PERFORM_CHAINS, work.model_dump_json(exclude_defaults=True), self._options)
        faults.point("step.dispatched")
        self._listening = asyncio.ensure_future(self._listen(task))
        for ticket in self._tickets:
            ticket.batch = self
        try:
            await self._listening
        except asyncio.CancelledError:
            await task.stop(TO_YIELD)
            if not self._stopped:
                raise
        except TimeoutError:
            task.cancel()
            raise

    async def _listen(self, task: TaskStream) -> None:
        loop, alarm = asyncio.get_running_loop(), None
        items = aiter(task)
        try:
            async with asyncio.timeout(self._queue_s) as deadline:
                async for kind, text in items:
                    for chain, link, outcome in TOLD.validate_json(text):
                        self._tickets[chain].hear(link, outcome)
                    if kind == OVER:
                        return
                    deadline.reschedule(loop.time() + self._call_s)
                    alarm = alarm or loop.call_later(_TAKEN_BACK, self._take_back)
        finally:
            if alarm is not None:
                alarm.cancel()
            await close(items)

    def _take_back(self) -> None:
        """What is under way takes longer than was thought: only that is waited for."""
        for ticket in [ticket for ticket in self._tickets if not ticket.over][1:]:
            ticket.end(HandedBack(suspect=False))
        self._on_slow()
