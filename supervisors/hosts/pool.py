"""Which processes are kept, given out, taken back and ended. Pure.

A host is a process that can be an agent. It is made blank and kept warm; once it has been an agent
it belongs to that agent's tenant for good, since code of the tenant may have run in it. It is given
to agents of that tenant again until it has served often enough, or has grown too large.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Limits:
    """How many blank hosts are kept warm, and when a used one is not used again. `warm` is the
    least; with many agents it is a tenth of them.
    """

    warm: int = 2
    most_warm: int = 8
    serves: int = 100
    rss_bytes: int = 300 * 2**20


@dataclass(frozen=True, slots=True)
class Member:
    """A host. `tenant` is None as long as it is blank; `taken` while it is an agent; `promised`
    while the agents' supervisor holds it ready for the next agent.
    """

    name: str
    tenant: str | None = None
    taken: bool = False
    promised: bool = False
    served: int = 0

    @property
    def free(self) -> bool:
        """Whether it can be given out."""
        return not (self.taken or self.promised)


@dataclass(frozen=True, slots=True)
class Pool:
    """All hosts of one machine by name, in the order in which they became free."""

    members: Mapping[str, Member] = field(default_factory=dict[str, Member])

    @property
    def taken(self) -> int:
        """How many are agents."""
        return sum(member.taken for member in self.members.values())

    @property
    def blank(self) -> int:
        """How many wait for their first tenant, promised or not."""
        return sum(member.tenant is None and not member.taken for member in self.members.values())


def added(pool: Pool, name: str) -> Pool:
    """The pool with a new blank host."""
    return _with(pool, Member(name))


def gone(pool: Pool, name: str) -> Pool:
    """The pool without a host."""
    return Pool({key: member for key, member in pool.members.items() if key != name})


def choose(pool: Pool, tenant: str) -> str | None:
    """The free host for an agent of a tenant: one that served this tenant before, else a blank one;
    never one of another tenant. None: a new one must be made.
    """
    return used(pool, tenant) or blank(pool)


def used(pool: Pool, tenant: str) -> str | None:
    """The free host that served this tenant before."""
    return _first_free(pool, tenant)


def blank(pool: Pool) -> str | None:
    """The free host that has served nobody."""
    return _first_free(pool, None)


def promised(pool: Pool, name: str) -> Pool:
    """The pool after a blank host was promised for whatever agent comes next."""
    return _with(pool, replace(pool.members[name], promised=True))


def took(pool: Pool, name: str, tenant: str) -> Pool:
    """The pool after a host was given to an agent of a tenant."""
    member = pool.members[name]
    served = member.served + 1
    return _with(pool, replace(member, tenant=tenant, taken=True, promised=False, served=served))


def worn_out(member: Member, rss_bytes: int, limits: Limits) -> str | None:
    """Why a host that comes back is not used again, if it is not."""
    if member.served >= limits.serves:
        return f"it has been an agent {member.served} times"
    if rss_bytes > limits.rss_bytes:
        return f"it has grown to {rss_bytes // 2**20} MiB"
    return None


def gave_back(pool: Pool, name: str) -> Pool:
    """The pool after an agent was made passive: its host is free again, for the same tenant."""
    member = pool.members.get(name)
    return pool if member is None else _with(gone(pool, name), replace(member, taken=False))


def shortfall(pool: Pool, limits: Limits) -> int:
    """How many blank hosts are to be made."""
    return max(0, _wanted(pool, limits) - pool.blank)


def surplus(pool: Pool, limits: Limits) -> tuple[str, ...]:
    """Free hosts that are not needed, longest free first: used ones beyond the largest number that
    is ever kept warm, and blank ones beyond it.
    """
    free = [member for member in pool.members.values() if member.free]
    served = [member.name for member in free if member.tenant is not None]
    unused = [member.name for member in free if member.tenant is None]
    most = max(limits.most_warm, limits.warm)
    return (*served[: max(0, len(served) - most)], *unused[: max(0, len(unused) - most)])


def _first_free(pool: Pool, tenant: str | None) -> str | None:
    free = (member for member in pool.members.values() if member.free)
    return next((member.name for member in free if member.tenant == tenant), None)


def _wanted(pool: Pool, limits: Limits) -> int:
    most = max(limits.most_warm, limits.warm)
    return min(most, max(limits.warm, math.ceil(pool.taken / 10)))


def _with(pool: Pool, member: Member) -> Pool:
    return Pool({**pool.members, member.name: member})
