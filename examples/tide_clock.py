"""A service for a team: it writes down the time, tick by tick."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path


class TideClock:
    def __init__(self, file: str, tick_s: float = 1.0) -> None:
        self.file, self.tick_s = Path(file), tick_s

    async def run(self) -> None:
        while True:
            with self.file.open("a") as log:
                log.write(f"{datetime.now(UTC).isoformat()}\n")
            await asyncio.sleep(self.tick_s)
