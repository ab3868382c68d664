"""What an agent says to one process that serves it, and hears from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ...cluster import faults
from ..caller import GRACE, TO_YIELD
from ..slots import Slots
from .rules import Standing, Terms
from .ticket import HandedBack, Ticket
from .wire import Said, order, read


class DoesNotYield(Exception):
    """A call that nobody waits for goes on, so its process has to end."""


@dataclass(frozen=True, slots=True)
class Work:
    """Where a process's work comes from. `next` gives what is to be done next, or None; `changed`
    is told when there may be room or need for another process; `crowded` whose calls do not belong
    side by side.
    """

    slots: Slots
    next: Callable[[], Ticket | None]
    changed: Callable[[], None]
    crowded: Callable[[list[Ticket]], None]


class Conversation:
    """From the connection to its end. `stirred`: set it when there may be something to do."""

    def __init__(self, terms: Terms, work: Work, writer: asyncio.StreamWriter) -> None:
        self.stirred = asyncio.Event()
        self.under_way: dict[int, Ticket] = {}
        self._terms, self._work, self._writer = terms, work, writer
        self._standing = Standing(terms, opened_at=_now(), heard_at=_now())
        self._stopping: dict[int, float] = {}
        self._sent = 0

    @property
    def has_room(self) -> bool:
        """Whether its process is given more."""
        return self._standing.has_room(_now(), wanted=self._work.slots.wanted)

    @property
    def is_stuck(self) -> bool:
        """Whether what its process does takes longer than was thought."""
        return self._standing.is_stuck(_now())

    def give_way(self) -> None:
        """Somebody else needs a process: an idle one is let go now."""
        if not self.under_way:
            self._standing.leaving = True
        self.stirred.set()

    async def hold(self, first: Ticket, reader: asyncio.StreamReader) -> bool:
        """Until the process is let go, or (False) has closed the connection. Raises `TimeoutError`
        when it hangs, `DoesNotYield`.
        """
        listening = asyncio.ensure_future(self._listen(reader))
        listening.add_done_callback(lambda _: self.stirred.set())
        try:
            if not first.over:
                self._send(first)
            while not listening.done():
                self._feed()
                self._end_what_is_late()
                if self._standing.is_done(_now(), wanted=self._work.slots.wanted):
                    return True
                await self._until_stirred()
            await listening
            return False
        finally:
            listening.cancel()

    def _feed(self) -> None:
        """Ask others for what waits behind something slow; hand out what there is room for."""
        if self.is_stuck:
            for number in list(self.under_way)[1:]:
                self._forget(number).end(HandedBack(suspect=False))
        while self.has_room and (ticket := self._work.next()) is not None:
            self._send(ticket)
        self._work.changed()

    def _end_what_is_late(self) -> None:
        now = _now()
        for rank, (number, ticket) in enumerate(list(self.under_way.items())):
            if now > ticket.heard_at + ticket.longest + GRACE:
                raise TimeoutError
            if ticket.over and rank >= self._terms.side_by_side:
                self._forget(number)  # it has not begun
            elif ticket.over and number not in self._stopping:
                self._writer.write(order(number, None))
                self._stopping[number] = now + TO_YIELD
        if self._stopping and now > min(self._stopping.values()):
            raise DoesNotYield

    def _send(self, ticket: Ticket) -> None:
        faults.point("step.dispatching")
        self._sent += 1
        ticket.heard_at, ticket.on_left = _now(), self.stirred.set
        if not self.under_way:
            self._standing.heard_at = ticket.heard_at
        self.under_way[self._sent] = ticket
        self._standing.under_way = len(self.under_way)
        self._writer.write(order(self._sent, ticket.chain))
        faults.point("step.dispatched")

    def _forget(self, number: int) -> Ticket:
        """Take back what is not worked on yet. If it is begun all the same, nobody listens."""
        self._writer.write(order(number, None))
        ticket = self.under_way.pop(number)
        self._standing.under_way = len(self.under_way)
        return ticket

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (body := await read(reader)) is not None:
            self._hear(Said.model_validate_json(body))
            self.stirred.set()

    def _hear(self, said: Said) -> None:
        self._standing.heard_at = now = _now()
        self._standing.leaving |= said.leaving or said.crowded
        if said.crowded:
            self._work.crowded(list(self.under_way.values()))
        for number, index, outcome in said.told:
            if (ticket := self.under_way.get(number)) is not None:
                ticket.heard_at = now
                ticket.hear(index, outcome)
        for number in said.ended:
            self._stopping.pop(number, None)
            if (ticket := self.under_way.pop(number, None)) is not None:
                ticket.end()
        self._standing.under_way = len(self.under_way)

    async def _until_stirred(self) -> None:
        now = _now()
        looks = [self._standing.next_look(now)]
        looks += [end - now for end in self._stopping.values()]
        looks += [each.heard_at + each.longest + GRACE - now for each in self.under_way.values()]
        with suppress(TimeoutError):
            async with asyncio.timeout(min(look for look in looks if look is not None)):
                await self.stirred.wait()
        self.stirred.clear()


def _now() -> float:
    return asyncio.get_running_loop().time()
