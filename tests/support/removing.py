"""A process that removes old runs, to be killed over it: `removing.py DSN DAYS [ARCHIVE]`.

It begins when it is given a line, or the end of its input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aos.actors.retention.policy import Policy
from aos.actors.retention.removal import Retention
from aos.actors.retention.store import RetentionStore
from aos.cluster.postgres import Database


async def main(dsn: str, days: str, archive: str | None = None) -> None:
    print("ready", flush=True)  # noqa: T201 - a script
    sys.stdin.readline()
    async with Database(dsn) as database:
        policy = Policy(int(days), Path(archive) if archive else None)
        print(await Retention(RetentionStore(database), policy).round())  # noqa: T201 - a script


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
