"""Waiting for a process's end, whichever way it comes: death, silence, or losing touch with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from ..cluster.engine import ActorGone, ActorRef
from ..cluster.errors import AosError
from ..cluster.exits import Exit, ExitReason
from ..cluster.settings import Settings
from .liveness import Patience, Pulse, felt, next_beat

_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 5.0
"""Seconds. The first is short: of some deaths Ray first says that it has lost touch, and a few
milliseconds later that it was a death.
"""

Ask = Callable[[], Awaitable[dict[str, Any]]]
"""Asks a process for a sign of life; `lag_s` in its answer is how long its loop stood still."""


def patience(settings: Settings) -> Patience:
    """The configured patience."""
    every = timedelta(seconds=settings.heartbeat_interval)
    return Patience(
        every=every,
        answer_within=min(every, Patience().answer_within),
        longest_lag=timedelta(seconds=settings.hang_seconds),
        misses=settings.heartbeat_misses,
    )


async def until_ended(
    ref: ActorRef, ask: Ask, patience: Patience, heard: Callable[[dict[str, Any]], None]
) -> Exit:
    """Return when the process has ended, or was ended here because it hangs. `heard` is given each
    answer.
    """
    watching = asyncio.create_task(until_dead(ref, ask, patience))
    beating = asyncio.create_task(_until_hung(ref, ask, patience, heard))
    try:
        await asyncio.wait({watching, beating}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            return watching.result()
        ref.kill()
        return Exit(ExitReason.CRASH, f"it hangs: {beating.result()}")
    finally:
        watching.cancel()
        beating.cancel()


async def until_dead(ref: ActorRef, ask: Ask, patience: Patience) -> Exit:
    """Return when the process has ended. Losing touch is suspicion: it is asked, with growing
    pauses, before it is believed lost; then it is ended, lest it live on unseen.
    """
    while True:
        exit_ = await ref.watch()
        if exit_.reason is not ExitReason.SUSPECT:
            return exit_
        if not await _answers(ask, patience):
            ref.kill()
            return Exit(ExitReason.NODE_LOST, exit_.detail)


async def _answers(ask: Ask, patience: Patience) -> bool:
    """Whether a process that we lost touch with can be reached again."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (patience.answer_within * patience.misses).total_seconds()
    pause = _FIRST_PAUSE
    while True:
        try:
            await ask()
        except ActorGone:
            return True  # then the next watch tells of what
        except AosError:
            if loop.time() + pause > deadline:
                return False
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        else:
            return True


async def _until_hung(
    ref: ActorRef, ask: Ask, patience: Patience, heard: Callable[[dict[str, Any]], None]
) -> str:
    pulse, count = Pulse(), 0
    while not pulse.hangs(patience):
        await asyncio.sleep(next_beat(ref.name, count, pulse, patience).total_seconds())
        count += 1
        try:
            answer = await ask()
        except ActorGone:
            pulse = Pulse()  # whoever watches is told in this instant
            continue
        except AosError:
            pulse = felt(pulse, None, patience)
            continue
        pulse = felt(pulse, timedelta(seconds=answer.get("lag_s", 0.0)), patience)
        heard(answer)
    return pulse.reason
