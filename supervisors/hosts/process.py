"""A host process as its manager knows it, and when it is not used again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...cluster.engine import ActorRef
from ...cluster.settings import Settings
from .pool import Limits, Pool
from .store import Lease


@dataclass(slots=True)
class HostProcess:
    """A host as its manager knows it; `beat` is what it last said of itself."""

    ref: ActorRef
    pid: int
    node: str
    dedicated: bool = False
    beat: dict[str, Any] = field(default_factory=dict[str, Any])

    def about(self) -> dict[str, Any]:
        """What the agents' supervisor is told."""
        return {"ref": self.ref, "pid": self.pid, "node": self.node, "dedicated": self.dedicated}


def leases_of(processes: Mapping[str, HostProcess], pool: Pool) -> list[Lease]:
    """What a manager vouches for: all of its hosts."""
    members = pool.members
    return [
        Lease(
            name, process.pid,
            "taken" if process.dedicated or members[name].taken else "warm",
            members[name].tenant if name in members else None,
            members[name].served if name in members else 1,
        )
        for name, process in processes.items()
        if process.dedicated or name in members
    ]  # fmt: skip


def limits_of(settings: Settings) -> Limits:
    """The configured limits of the pool."""
    return Limits(
        warm=settings.agent_warm_hosts,
        most_warm=max(settings.agent_warm_hosts, 5),
        serves=settings.agent_host_serves,
        rss_bytes=settings.agent_host_rss_mb * 2**20,
    )
