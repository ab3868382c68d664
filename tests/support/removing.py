"""A process that removes old runs, to be killed over it: `removing.py DSN [ARCHIVE]`.

For each line of its input, a number of days, it performs a round and says how many runs went.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aos.actors.retention.policy import Policy
from aos.actors.retention.removal import Retention
from aos.actors.retention.store import RetentionStore
from aos.cluster.postgres import Database
from aos.cluster.telemetry import configure


async def main(dsn: str, archive: str | None = None) -> None:
    configure("warning")
    async with Database(dsn) as database:
        print("ready", flush=True)  # noqa: T201 - a script
        while line := await asyncio.to_thread(sys.stdin.readline):
            policy = Policy(int(line), Path(archive) if archive else None)
            went = await Retention(RetentionStore(database), policy).round()
            print(went, flush=True)  # noqa: T201 - a script


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
