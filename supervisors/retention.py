"""The service that removes old runs: a round an hour, and whenever it is asked for one."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import Any

from ..actors.retention.policy import Policy
from ..actors.retention.removal import Retention
from ..actors.retention.store import RetentionStore
from ..cluster.errors import AosError
from ..cluster.postgres import Database
from ..cluster.settings import Settings
from ..cluster.telemetry import logger

_FIRST_ROUND = 0.1
"""After a start the first round comes within this part of the interval: who is stopped every night
gets to it all the same.
"""

_JITTER = 0.1

log = logger(__name__)


class RetentionService:
    """Does nothing at all without a policy: not one statement. The database is its own, and closed
    at its end.
    """

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._retention = Retention(RetentionStore(database), Policy.of(settings))
        self._every = settings.retention_interval
        self._asked = asyncio.Event()
        self._at_work = False

    def ask(self) -> bool:
        """Have a round begin now, or another one after the present one. False: there is no policy,
        so nothing is removed.
        """
        if self._retention.policy.days is None:
            return False
        self._asked.set()
        return True

    def describe(self) -> dict[str, Any]:
        """What it says of itself in the tree."""
        return {"removed": self._retention.removed, "at_work": self._at_work}

    async def run(self) -> None:
        """Round after round, for ever. What goes wrong in one is tried again in the next."""
        try:
            await self._go_on()
        finally:
            await self._database.close()

    async def _go_on(self) -> None:
        if self._retention.policy.days is None:
            await asyncio.Event().wait()
        pause = self._every * random.uniform(0, _FIRST_ROUND)  # noqa: S311 - only jitter
        while True:
            await self._wait(pause)
            await self._round()
            pause = self._every * random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - only jitter

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), seconds)
        self._asked.clear()

    async def _round(self) -> None:
        self._at_work = True
        try:
            await self._retention.round()
        except AosError as error:
            log.warning("removing old runs failed", code=error.code, detail=error.detail)
        finally:
            self._at_work = False
