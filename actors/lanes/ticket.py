"""A chain on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from ...skills.contracts import SkillDescriptor, StructuredOutcome
from .wire import Chain


class HandedBack(Exception):
    """Not all of a chain was done. `suspect`: its process died or hung, perhaps because of it."""

    def __init__(self, *, suspect: bool) -> None:
        super().__init__("its process was lost" if suspect else "not begun in time")
        self.suspect = suspect


class Ticket:
    """A chain, and what comes of it. `heard_at`: when it was last heard of, by the loop's clock."""

    def __init__(self, chain: Chain, descriptors: Sequence[SkillDescriptor]) -> None:
        self.chain, self.descriptors = chain, descriptors
        self.over = False
        self.heard_at = 0.0
        self.on_left: Callable[[], None] | None = None
        """Called when nobody wants to hear of it any more, although it is not over."""
        self._told: asyncio.Queue[tuple[int, StructuredOutcome] | Exception | None]
        self._told = asyncio.Queue()

    @property
    def longest(self) -> float:
        """Seconds that one of its calls may take."""
        return max(each.resources.timeout_s for each in self.descriptors)

    def hear(self, index: int, outcome: StructuredOutcome) -> None:
        """An outcome of a link; late ones are of no use to anybody."""
        if not self.over:
            self._told.put_nowait((index, outcome))

    def end(self, why: Exception | None = None) -> None:
        """Nothing more comes of it: what it waits for has failed, or `why`."""
        if not self.over:
            self.over = True
            self._told.put_nowait(why)

    async def outcomes(self) -> AsyncGenerator[tuple[int, StructuredOutcome]]:
        """By index of the link, as they come. Leaving it early leaves the ticket."""
        try:
            while (told := await self._told.get()) is not None:
                if isinstance(told, Exception):
                    raise told
                yield told
        finally:
            if not self.over:
                self.over = True
                if self.on_left is not None:
                    self.on_left()
