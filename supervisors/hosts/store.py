"""Leases of host processes, and what the janitor asks about them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from ...cluster.postgres import Database, Queries

QUERIES = Queries.load(Path(__file__).with_name("hosts.sql"))


@dataclass(frozen=True, slots=True)
class Lease:
    """What a machine's manager vouches for: this process is there."""

    host: str
    pid: int
    state: str
    tenant: str | None
    served: int


class HostStore:
    """Reads and writes the `hosts` table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def renew(
        self, node: str, leases: Iterable[Lease], ended: Iterable[str], lease: timedelta
    ) -> None:
        """Renew all leases of a machine and write off what ended, in one statement."""
        held = list(leases)
        await self._database.execute(
            QUERIES.renew_leases,
            node,
            [each.host for each in held],
            [each.pid for each in held],
            [each.state for each in held],
            [each.tenant for each in held],
            list(ended),
            lease,
            [each.served for each in held],
        )

    async def write_off_node(self, node: str) -> None:
        """A machine's manager is new: whatever its predecessor had is gone."""
        await self._database.execute(QUERIES.write_off_node, node)

    async def lost_agents(self, lease: timedelta) -> dict[UUID, str]:
        """Agents whose host nobody vouches for any more, and that host."""
        rows = await self._database.fetch(QUERIES.lost_agents, lease)
        return {row["agent_id"]: row["host"] for row in rows}

    async def expired(self, lease: timedelta) -> set[str]:
        """Hosts whose lease ran out a lease ago."""
        rows = await self._database.fetch(QUERIES.expired_hosts, lease)
        return {row["host"] for row in rows}

    async def write_off(self, hosts: Iterable[str]) -> None:
        """Say of hosts with an expired lease that they are dead."""
        await self._database.execute(QUERIES.write_off, list(hosts))

    async def forget(self, age: timedelta) -> None:
        """Delete rows of hosts that died longer ago than this."""
        await self._database.execute(QUERIES.forget_hosts, age)

    async def stale_activations(self, age: timedelta) -> dict[UUID, int]:
        """Idle agents said to be active in hosts that died longer ago than this, with epochs."""
        rows = await self._database.fetch(QUERIES.stale_activations, age)
        return {row["agent_id"]: row["epoch"] for row in rows}

    async def make_passive(self, stale: dict[UUID, int]) -> None:
        """Correct such rows, unless somebody activated the agent meanwhile."""
        await self._database.execute(QUERIES.make_passive, list(stale), list(stale.values()))
