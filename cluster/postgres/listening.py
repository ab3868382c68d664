"""Notifications: hints that something was committed. They may be lost: nothing may need them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import asyncpg

from .translate import DRIVER_ERRORS

_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_STILL_THERE_SECONDS = 30.0


async def listen(dsn: str, channel: str, hear: Callable[[str], None]) -> None:
    """Call `hear` with each notification's payload, for ever, on a connection of its own. While the
    server is away nothing is heard, and it is tried again and again.
    """
    pause = _FIRST_PAUSE
    while True:
        try:
            await _listen_once(dsn, channel, hear)
            pause = _FIRST_PAUSE
        except (*DRIVER_ERRORS, TimeoutError):
            pause = min(2 * pause, _LONGEST_PAUSE)
        await asyncio.sleep(pause)


async def _listen_once(dsn: str, channel: str, hear: Callable[[str], None]) -> None:
    connection = await asyncpg.connect(
        dsn, timeout=10, server_settings={"application_name": "aos-listen"}
    )
    over = asyncio.Event()

    def ended(_: object) -> None:
        over.set()

    def told(_: object, pid: int, channel: str, payload: object) -> None:
        del pid, channel
        hear(str(payload))

    try:
        connection.add_termination_listener(ended)
        await connection.add_listener(channel, told)
        while not over.is_set():
            try:
                async with asyncio.timeout(_STILL_THERE_SECONDS):
                    await over.wait()
            except TimeoutError:
                # A machine that vanished says no goodbye.
                await connection.execute("SELECT 1", timeout=_STILL_THERE_SECONDS)
    finally:
        connection.terminate()
