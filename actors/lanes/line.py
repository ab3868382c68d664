"""One process that serves an agent: asked of Ray, met, and ended."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from ...cluster.engine import TaskFailure, TaskStream, own_address, stream
from ..caller import TO_YIELD
from .conversation import Conversation, DoesNotYield, Work
from .rules import TERMS, Lane
from .serving import SERVE
from .ticket import HandedBack, Ticket
from .wire import Station, frame

_TO_LEAVE = 5.0
"""Seconds that a process may take to end its task when nothing is left to do."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Line:
    """A process from the wish for it to its end."""

    def __init__(self, lane: Lane, work: Work) -> None:
        self.is_over = False
        self._lane, self._work = lane, work
        self._terms = TERMS[lane.manner]
        self._conversation: Conversation | None = None

    @property
    def has_room(self) -> bool:
        """Whether it takes a ticket now, or will when it is there."""
        open_ = self._conversation
        return not self.is_over if open_ is None else open_.has_room

    @property
    def is_stuck(self) -> bool:
        """Whether what it has been given takes longer than was thought."""
        return self._conversation is not None and self._conversation.is_stuck

    @property
    def under_way(self) -> int:
        """How many tickets it has; before it is met, the one that it was wished for."""
        return 1 if self._conversation is None else len(self._conversation.under_way)

    def stir(self) -> None:
        """Something has changed: look what is to be done."""
        if self._conversation is not None:
            self._conversation.stirred.set()

    def _give_way(self) -> None:
        if self._conversation is not None:
            self._conversation.give_way()

    async def serve(self, first: Ticket) -> None:
        """From the first ticket until it is let go or lost. Each of its tickets is over then."""
        why: Exception = HandedBack(suspect=False)
        undo = self._work.slots.tell(self._give_way)
        try:
            async with self._work.slots:
                if not first.over:
                    await self._serve(first)
        except DoesNotYield:
            pass
        except (TaskFailure, TimeoutError):
            why = HandedBack(suspect=True)
        except Exception as error:  # ours: whoever waits has to hear of it
            why = error
        finally:
            undo()
            self.is_over = True
            first.end(why)
            if self._conversation is not None:
                for ticket in self._conversation.under_way.values():
                    ticket.end(why)
            self._work.changed()

    async def _serve(self, first: Ticket) -> None:
        options = replace(self._lane.options, name=f"skill:{first.descriptors[0].ref}")
        if options.missing():
            raise TaskFailure("unschedulable", "no machine has what it needs")
        async with _reporting(self._terms.side_by_side) as (station, reported):
            task = stream(SERVE, station.model_dump_json(), options)
            ending = asyncio.ensure_future(_until_ended(task))
            try:
                queue_s = min(each.resources.queue_timeout_s for each in first.descriptors)
                reader, writer = await _met(reported, ending, queue_s)
                try:
                    await self._converse(first, reader, writer)
                finally:
                    writer.close()
                await asyncio.wait_for(asyncio.shield(ending), _TO_LEAVE)
            except asyncio.CancelledError:
                await task.stop(TO_YIELD)
                raise
            except (TimeoutError, TaskFailure, DoesNotYield):
                task.cancel()
                raise
            finally:
                ending.cancel()

    async def _converse(
        self, first: Ticket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._conversation = Conversation(self._terms, self._work, writer)
        if not await self._conversation.hold(first, reader):
            raise TaskFailure("worker_died", "it closed the connection")


@asynccontextmanager
async def _reporting(
    side_by_side: int,
) -> AsyncGenerator[tuple[Station, asyncio.Future[Connection]]]:
    """Where a process can report for work, once, and its connection. Others do not know the token,
    are read no further, and are turned away.
    """
    token, host = secrets.token_hex(16), own_address()
    expected = frame(token.encode())
    reported: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        said = b""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            said = await reader.readexactly(len(expected))
        if reported.done() or not hmac.compare_digest(said, expected):
            writer.close()
            return
        reported.set_result((reader, writer))
        server.close()

    server = await asyncio.start_server(meet, host, 0)
    try:
        port: int = server.sockets[0].getsockname()[1]
        yield Station(host=host, port=port, token=token, width=side_by_side), reported
    finally:
        server.close()


async def _met(
    reported: asyncio.Future[Connection], ending: asyncio.Future[None], seconds: float
) -> Connection:
    """The connection. Raises `TimeoutError`, or what the task ended of."""
    await asyncio.wait({reported, ending}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    if reported.done():
        return reported.result()
    if ending.done():
        ending.result()
        raise TaskFailure("raised", "the task ended without a word")
    raise TimeoutError


async def _until_ended(task: TaskStream) -> None:
    async for _ in task:
        pass
