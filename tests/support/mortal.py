"""Actors that end in every way there is."""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
import time

import ray

from aos.actors.farewell import Farewell
from aos.cluster.engine import ActorOptions, Exit, ExitReason, spawn

MORTAL = f"{__name__}:Mortal"
TALKER = f"{__name__}:Talker"

_PATIENCE = 10.0
"""Seconds, so that a busy machine makes no last word unheard."""


class Mortal:
    """`fate`: what `__init__` does."""

    def __init__(self, fate: str = "") -> None:
        if fate == "raise":
            raise ValueError("no luck in __init__")
        if fate == "os_exit":
            os._exit(3)
        self._farewell = Farewell(_PATIENCE)

    async def pid(self) -> int:
        return os.getpid()

    async def watch(self, heard: bool = False) -> dict[str, str]:
        return await self._farewell.watch(heard)

    async def exit_actor(self) -> None:
        ray.actor.exit_actor()

    async def sys_exit(self) -> None:
        sys.exit(1)

    async def os_exit(self, code: int) -> None:
        os._exit(code)

    async def overrun(self) -> None:
        ctypes.string_at(0)

    async def leave(self, reason: str, detail: str, code: int) -> None:
        await self._farewell.leave(Exit(ExitReason(reason), detail), code, ())

    async def leave_stuck(self) -> None:
        """Leave, with something under way that holds up the loop when it is cancelled."""

        async def stubborn() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                time.sleep(600)  # noqa: ASYNC251 - that is the fault which is provoked

        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        await Farewell().leave(Exit(ExitReason.FENCED, "never said"), 70, [task])

    async def bear(self, name: str) -> None:
        """Make a child that ends with this process."""
        self._child = spawn(MORTAL, options=ActorOptions(name=name, detached=False))
        await self._child.call("pid", timeout=30)


class Talker:
    """Says that it leaves, and stays."""

    async def pid(self) -> int:
        return os.getpid()

    async def watch(self) -> dict[str, str]:
        return Exit(ExitReason.NORMAL, "done").last_word()
