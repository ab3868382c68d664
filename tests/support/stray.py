"""Makes an agent's process that no manager knows, on the cluster of an AOS home, and goes.

A program of its own: the test's process never holds a Ray.
"""

from __future__ import annotations

import asyncio
import sys

from aos.cluster.engine import ActorGone, ActorOptions, connect, shutdown, spawn
from aos.cluster.settings import load

_NO_PROCESS = 2**30


async def leave_behind(name: str) -> None:
    connect(load(ray_address=sys.argv[2]))
    stray = spawn("aos.actors.agent:AgentActor", options=ActorOptions(name=name))
    try:
        print((await stray.call("whoami", timeout=60))["pid"], flush=True)  # noqa: T201 - read
    except ActorGone:  # a slow start, and it was cleared away before it could say anything
        print(_NO_PROCESS, flush=True)  # noqa: T201 - read
    shutdown()


if __name__ == "__main__":
    asyncio.run(leave_behind(sys.argv[1]))
