"""What runs in a process that serves an agent: a task of Ray's that does what it is told over a
connection until that is closed.

Quick calls are done one after the other, under the memory limit of each, as in a process of their
own. Calls that wait are done side by side in the event loop, under the limit of one, and if memory
runs out it is nobody's: the process ends, and each is called by itself. Outcomes are told together,
a few milliseconds late at most, because telling one costs more than a quick skill does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator
from functools import partial

from ...cluster.engine import SPENT
from ...cluster.memory import lift
from ...skills.call import SkillCall
from ...skills.contracts import JsonValue, StructuredOutcome
from ...skills.executor import execute
from ..runs.references import UnresolvedReference, resolve
from ..worker import (
    TO_CLEAN_UP,
    bloated,
    loop,
    registry,
    settings,
    spent,
    step_back,
    waited,
    without_memory,
)
from .wire import Chain, Link, Station, frame, ordered, read

SERVE = f"{__name__}:serve"

BOX = 0.03
"""Seconds after which nothing more of a chain is begun: whoever asked knows better by now."""

_TELL = 0.005
"""Seconds that an outcome waits for others to be told together with."""

_LOOK = 0.5
"""Seconds between two looks at whether calls that should wait keep the process from it."""

_TOO_BUSY = 0.5


def serve(payload: str) -> Generator[str, None, str | None]:
    """Report at a `Station`, given as JSON, and do what is told there. Yields once, when it has
    begun. Returns `SPENT` if nothing else should run in this process.
    """
    yield ""
    step_back()
    serving = _Serving(Station.model_validate_json(payload))
    work = loop().create_task(serving.until_closed())
    try:
        loop().run_until_complete(work)
    except KeyboardInterrupt:
        work.cancel()
        loop().run_until_complete(asyncio.wait({work}, timeout=TO_CLEAN_UP))
        return SPENT
    except MemoryError:
        lift()
        return SPENT
    return SPENT if serving.is_spent else None


class _Serving:
    """One agent's work, as long as the connection holds."""

    def __init__(self, station: Station) -> None:
        self._station = station
        self._turns = asyncio.Semaphore(station.width)
        self._works: dict[int, asyncio.Task[None]] = {}
        self._told: list[str] = []
        self._ended: list[int] = []
        self._teller: asyncio.TimerHandle | None = None
        self._looked = (time.monotonic(), waited())
        self._broken: asyncio.Future[None] = loop().create_future()
        self.is_spent = False

    @property
    def _alone(self) -> bool:
        return self._station.width == 1

    async def until_closed(self) -> None:
        """Do what is told. Raises `MemoryError` where that is not the outcome of a call."""
        station = self._station
        reader, self._writer = await asyncio.open_connection(station.host, station.port)
        self._writer.write(frame(station.token.encode()))
        listening = asyncio.ensure_future(self._listen(reader))
        try:
            await asyncio.wait({listening, self._broken}, return_when=asyncio.FIRST_COMPLETED)
            for done in (self._broken, listening):
                if done.done():
                    done.result()
        finally:
            listening.cancel()
            await self._leave()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while (body := await read(reader)) is not None:
            number, chain = ordered(body)
            if chain is not None:
                task = asyncio.create_task(self._work(number, chain))
                self._works[number] = task
                task.add_done_callback(partial(self._worked, number))
            elif (work := self._works.get(number)) is not None:
                work.cancel()

    async def _leave(self) -> None:
        if self._teller is not None:
            self._teller.cancel()
        if works := set(self._works.values()):
            self.is_spent = True  # nobody waits for them, and no one knows what they still do
            for work in works:
                work.cancel()
            await asyncio.wait(works, timeout=TO_CLEAN_UP)
        self._writer.close()

    async def _work(self, number: int, chain: Chain) -> None:
        async with self._turns:
            if not self.is_spent:
                await self._links(number, chain)

    def _worked(self, number: int, work: asyncio.Task[None]) -> None:
        # Not in the work itself: one that is stopped before its first step never runs.
        del self._works[number]
        error = None if work.cancelled() else work.exception()
        if error is not None:  # ours, or memory that ran out: the task ends of it
            if not self._broken.done():
                self._broken.set_exception(error)
            return
        self._ended.append(number)
        self._tell_soon(now=not self._works)

    async def _links(self, number: int, chain: Chain) -> None:
        """As much of a chain as there is time for. What needs something that failed is left out."""
        began, outputs = time.monotonic(), dict[str, JsonValue]()
        for index, link in enumerate(chain.links):
            if index and time.monotonic() - began > BOX:
                return
            if not all(need in outputs for need in link.follows):
                continue
            try:
                call = resolved(link, outputs)
            except UnresolvedReference as error:
                outcome = StructuredOutcome.failure("ERR_INVALID_REFERENCE", str(error))
                self._tell(number, index, outcome)
                continue
            outcome = await self._executed(call)
            self._tell(number, index, outcome)
            if self.is_spent:
                return
            if outcome.ok:
                outputs[call.step_id] = outcome.output

    async def _executed(self, call: SkillCall) -> StructuredOutcome:
        if not self._alone:
            outcome = await _outcome(call)
            if outcome.code == "ERR_OUT_OF_MEMORY":
                raise MemoryError
            # One that did not yield may still run, and what is kept grows from call to call.
            if outcome.code != "ERR_SKILL_NOT_FOUND":
                self.is_spent |= outcome.code == "ERR_TIMEOUT" or bloated(call)
            return outcome
        lift()  # what the last attempt has left behind it
        try:
            outcome = await _outcome(call)
        except MemoryError:  # as in `perform`
            lift()
            outcome = without_memory(call)
        self.is_spent |= spent(call, outcome)
        return outcome

    def _tell(self, number: int, index: int, outcome: StructuredOutcome) -> None:
        text = outcome.model_dump_json(exclude_defaults=True)
        self._told.append(f"[{number},{index},{text}]")
        self._tell_soon(now=False)

    def _tell_soon(self, *, now: bool) -> None:
        if now or self.is_spent:
            self._tell_now()
        elif self._teller is None:
            self._teller = loop().call_later(_TELL, self._tell_now)

    def _tell_now(self) -> None:
        if self._teller is not None:
            self._teller.cancel()
            self._teller = None
        told, self._told = self._told, []
        ended, self._ended = self._ended, []
        leaving, crowded = (str(each).lower() for each in (self.is_spent, self._is_crowded()))
        self._writer.write(
            frame(
                f'{{"told":[{",".join(told)}],"ended":{ended},'
                f'"leaving":{leaving},"crowded":{crowded}}}'.encode()
            )
        )

    def _is_crowded(self) -> bool:
        """Whether calls that should wait have kept this process busy."""
        (then, idle), now = self._looked, time.monotonic()
        if self._alone or now - then < _LOOK:
            return False
        self._looked = (now, waited())
        return self._looked[1] - idle < _TOO_BUSY * (now - then)


def resolved(link: Link, outputs: dict[str, JsonValue]) -> SkillCall:
    """The call with its references replaced. Raises `UnresolvedReference`."""
    if link.literal:
        return link.call
    needed = {name: outputs[name] for name in link.follows}
    params = resolve(link.call.params, {**link.known, **needed})
    return link.call.model_copy(update={"params": params if isinstance(params, dict) else {}})


async def _outcome(call: SkillCall) -> StructuredOutcome:
    async for event in execute(call, registry(), settings()):
        if isinstance(event, StructuredOutcome):
            return event
    raise RuntimeError("an execution ends in an outcome")
