"""Makes an agent's process that no manager knows, on the cluster of an AOS home, and goes.

A program of its own: the test's process never holds a Ray.
"""

from __future__ import annotations

import asyncio
import sys

from aos.cluster.engine import ActorOptions, connect, shutdown, spawn
from aos.cluster.settings import load


async def leave_behind(name: str) -> None:
    connect(load(ray_address=sys.argv[2]))
    stray = spawn("aos.actors.agent:AgentActor", options=ActorOptions(name=name))
    about = await stray.call("whoami", timeout=60)
    print(about["pid"], flush=True)  # noqa: T201 - the test reads it
    shutdown()


if __name__ == "__main__":
    asyncio.run(leave_behind(sys.argv[1]))
