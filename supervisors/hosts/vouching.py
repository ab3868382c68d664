"""The service that renews the leases of a machine's hosts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

from ...cluster.errors import AosError
from ...cluster.telemetry import logger
from .store import HostStore, Lease

_PAUSE = 1.0

log = logger(__name__)


class Voucher:
    """Says of all `leases()`, again and again, that they are there. Who `ended` is written off with
    the next renewal.
    """

    def __init__(
        self, store: HostStore, node: str, lease: timedelta, leases: Callable[[], list[Lease]]
    ) -> None:
        self.ended: list[str] = []
        self._store, self._node, self._lease, self._leases = store, node, lease, leases

    async def run(self) -> None:
        """For as long as this process lives. What an earlier manager had here is gone."""
        await self._insist(lambda: self._store.write_off_node(self._node))
        while True:
            await self._insist(self._renew)
            await asyncio.sleep(self._lease.total_seconds() / 4)

    async def _renew(self) -> None:
        ended = list(self.ended)
        await self._store.renew(self._node, self._leases(), ended, self._lease)
        del self.ended[: len(ended)]

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await write()
            except AosError as error:  # nobody is taken over while Postgres is away
                log.warning("cannot vouch for hosts", detail=error.detail)
                await asyncio.sleep(_PAUSE)
