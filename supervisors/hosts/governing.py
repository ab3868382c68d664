"""The service that keeps a machine's memory within its budget: looks, asks, and passes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from ...cluster.telemetry import logger
from ..governor import Kill, Passivate, decide
from ..survey import survey

_ROUND_SECONDS = 1.0

Act = Callable[[int, str], None]
"""What is done about a process, by pid, and why."""

log = logger(__name__)


async def govern(
    idle: Callable[[], Mapping[int, float]], passivate: Act, kill: Act, budget_mb: int | None
) -> None:
    """Once a second, for ever. `idle`: for how many seconds agents have been without work, by pid.
    A round that fails, because a process ended while it was looked at, is tried again.
    """
    while True:
        await asyncio.sleep(_ROUND_SECONDS)
        try:
            seen = await asyncio.to_thread(survey, idle(), budget_mb)
        except OSError as error:
            log.warning("cannot look at this machine's memory", error=repr(error))
            continue
        for action in decide(seen.processes, seen.used, seen.budget):
            match action:
                case Passivate(pid, why):
                    passivate(pid, why)
                case Kill(pid, why):
                    log.warning("ending a process for its memory", pid=pid, why=why)
                    kill(pid, why)
