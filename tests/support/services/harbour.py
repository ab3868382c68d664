"""Services as users write them. In a folder of its own: it is put on the path of a running AOS."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path


class Clock:
    """Writes a line per tick, with its process, and one when it is asked to stop."""

    def __init__(self, log: str, tick_s: float = 0.05) -> None:
        self._log, self._tick_s = Path(log), tick_s
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        while not self._stopping.is_set():
            self._say("tick")
            await asyncio.sleep(self._tick_s)
        self._say("stopped")

    async def stop(self) -> None:
        self._stopping.set()

    def _say(self, what: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{os.getpid()} {time.time()} {what}\n")


class Leaky:
    """Crashes at once."""

    async def run(self) -> None:
        raise RuntimeError("water in the engine room")


class Quitter:
    """Ends its process instead of returning."""

    async def run(self) -> None:
        os._exit(3)


class Ferry:
    """Its work is done soon."""

    async def run(self) -> None:
        await asyncio.sleep(0.2)


class Sleeper:
    """Keeps its event loop to itself."""

    def __init__(self, seconds: float = 3_600.0) -> None:
        self._seconds = seconds

    async def run(self) -> None:
        time.sleep(self._seconds)  # noqa: ASYNC251 - the point of it


class Moored:
    """Does nothing, for ever, and has no `stop`."""

    async def run(self) -> None:
        await asyncio.Event().wait()


class Wreck:
    """Cannot be made."""

    def __init__(self) -> None:
        raise ValueError("it sank at its launch")

    async def run(self) -> None:
        pass


class Buoy:
    """No service: nothing to run."""


class Hoarder:
    """Takes all the memory that it can have."""

    async def run(self) -> None:
        hold: list[bytearray] = []
        while True:
            hold.append(bytearray(2**24))
