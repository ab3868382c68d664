"""Spare processes for skills, made before a step needs one."""

from __future__ import annotations

import asyncio

from ...actors.worker import PREPARE
from ...cluster.engine import TaskOptions, stream

_HARDLY_ANY_CPU = 0.001
_HOLD_SECONDS = "0.3"


async def fill_workers(spare: int) -> None:
    """Have so many idle ones. What cannot be made now is made when a step needs it."""

    async def one() -> None:
        options = TaskOptions(name="prepare", cpus=_HARDLY_ANY_CPU)
        async for _ in stream(PREPARE, _HOLD_SECONDS, options):
            pass

    await asyncio.gather(*(one() for _ in range(spare)), return_exceptions=True)
