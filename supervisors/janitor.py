"""Clears away what nobody owns: processes that no manager knows, leases that ran out, rows of
processes that ended.

It acts on nothing that it has seen only once. What a round finds is compared with what the round
before found, and only what was there both times is cleared away: something that is just being made,
or just being given over, looks like a leak for a moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from ..cluster.engine import ActorRef, find, names
from ..cluster.errors import AosError
from ..cluster.settings import Settings
from ..cluster.telemetry import logger
from .hosts.access import MANAGERS
from .hosts.store import HostStore

_HOST_ACTORS = ("aos-host:", "agent:")
_ANSWER_SECONDS = 5.0
_KEEP_DEAD = timedelta(days=1)

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Sightings:
    """What one round found: processes no manager owns, hosts nobody vouches for, and agents said to
    be active in processes that ended, with the epoch that says so.
    """

    leaked: frozenset[str] = frozenset()
    expired: frozenset[str] = frozenset()
    stale: frozenset[tuple[UUID, int]] = field(default_factory=frozenset[tuple[UUID, int]])


def twice(before: Sightings, now: Sightings) -> Sightings:
    """What was there both times: what is cleared away. Pure."""
    return Sightings(
        before.leaked & now.leaked, before.expired & now.expired, before.stale & now.stale
    )


class Janitor:
    """The service. `swept` counts what it has cleared away since it began."""

    def __init__(
        self,
        store: HostStore,
        settings: Settings,
        trim: Callable[[], Awaitable[object]],
    ) -> None:
        self.swept = 0
        self._store = store
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._trim = trim
        self._every = settings.janitor_interval
        self._before = Sightings()

    async def run(self) -> None:
        """Round after round, for ever. What goes wrong in one is tried again in the next."""
        while True:
            await asyncio.sleep(self._every)
            try:
                await self.sweep()
            except AosError as error:
                log.warning("the janitor's round failed", detail=error.detail)

    async def sweep(self) -> Sightings:
        """One round; what it cleared away."""
        now = await self._look()
        doomed = twice(self._before, now)
        self._before = now
        for name in sorted(doomed.leaked):
            if (ref := find(name)) is not None:
                log.warning("ending a process that nobody owns", actor=name)
                ref.kill()
        if doomed.expired:
            await self._store.write_off(doomed.expired)
        if doomed.stale:
            await self._store.make_passive(dict(doomed.stale))
        await self._store.forget(_KEEP_DEAD)
        await self._trim()
        self.swept += len(doomed.leaked) + len(doomed.expired) + len(doomed.stale)
        return doomed

    async def _look(self) -> Sightings:
        owned = await self._owned()
        there = {name for prefix in _HOST_ACTORS for name in names(prefix)}
        return Sightings(
            leaked=frozenset(there - owned) if owned is not None else frozenset(),
            expired=frozenset(await self._store.expired(self._lease)),
            stale=frozenset((await self._store.stale_activations(self._lease)).items()),
        )

    async def _owned(self) -> set[str] | None:
        """The hosts that managers know; None if one did not answer: then nothing is a leak."""
        owned: set[str] = set()
        managers = [ref for name in names(MANAGERS) if (ref := find(name)) is not None]
        for manager in managers:
            try:
                owned |= set(await _hosts_of(manager))
            except AosError:
                return None
        return owned


async def _hosts_of(manager: ActorRef) -> list[str]:
    known: list[str] = await manager.call("hosts", timeout=_ANSWER_SECONDS)
    return known
