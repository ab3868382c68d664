"""Whose process is needed: by runs that nobody told us of, that were told something, whose time has
come or is about to. A look at all unfinished runs, once a second and shortly before a timer is due:
the guarantee behind every hint. What waits for later costs nothing here but its row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from uuid import UUID

from ..actors.runs.inbox import Inbox
from ..cluster.postgres import Database, DatabaseUnavailable, dsn_of, listen
from ..cluster.settings import Settings
from ..cluster.telemetry import logger
from .store import ActivationStore

_SOONEST = 0.005
_PARENTS_SECONDS = 5.0
_PARENTS_AT_ONCE = 100
CHANNEL = "aos_wake"

log = logger(__name__)


class Rescuer:
    """Finds agents that are needed and has them served; `is_active` says who is there already."""

    def __init__(
        self,
        database: Database,
        store: ActivationStore,
        settings: Settings,
        serve: Callable[[UUID], None],
        is_active: Callable[[UUID], bool],
    ) -> None:
        self._store = store
        self._inbox = Inbox(database)
        self._settings = settings
        self._serve = serve
        self._is_active = is_active

    async def look(self) -> float:
        """Serve every agent that is needed now or in a moment. In how many seconds to look again:
        shortly before the next timer is due, at the latest after the interval.
        """
        interval = self._settings.rescue_interval
        needy, next_in = await self._store.needy(timedelta(seconds=interval))
        for agent_id, waiting in needy.items():
            if waiting or not self._is_active(agent_id):
                self._serve(agent_id)
        return interval if next_in is None else min(interval, max(next_in, _SOONEST))

    async def listen(self) -> None:
        """Serve agents as soon as somebody says something to their runs, for ever."""
        await listen(dsn_of(self._settings), CHANNEL, self._hear)

    async def tell_parents(self) -> None:
        """Tell parents of children that are over, whose process died before it could, for ever."""
        while True:
            try:
                for agent_id in await self._inbox.tell_parents(_PARENTS_AT_ONCE):
                    self._serve(agent_id)
            except DatabaseUnavailable as error:
                log.warning("waiting for postgres", detail=error.detail)
            except Exception as error:
                log.warning("parents not told", error=repr(error))
            await asyncio.sleep(_PARENTS_SECONDS)

    def _hear(self, agent_id: str) -> None:
        with suppress(ValueError):
            self._serve(UUID(agent_id))
