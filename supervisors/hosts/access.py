"""How the agents' supervisor gets a process for an agent, and gives it back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ...cluster.engine import ActorGone, ActorOptions, ActorRef, ActorSilent, find, names
from ...cluster.errors import AosError, Blame, EngineError, SupervisionError
from ...cluster.exits import Exit
from ...cluster.telemetry import logger
from ..children import NoCapacity
from ..heartbeat import until_dead
from ..liveness import Patience
from ..tree import HOSTS, actor_name

MANAGERS = f"{actor_name(HOSTS)}:"

TAKE_SECONDS = 55.0
"""Less than a start may take: who waits for a process has not failed."""
_ANSWER_SECONDS = 5.0
_SETTLE_SECONDS = 0.3
"""A host is used because something happens: that comes first, holding the next one after it."""

log = logger(__name__)


class NoHosts(SupervisionError):
    """No host manager is there just now."""

    code = "AOS-4004"
    title = "No process for an agent can be had just now."
    next_action = "Nothing: it is asked for again. If it lasts, look at `aos tree`."
    retryable = True
    blame = Blame.PLATFORM


@dataclass(eq=False, slots=True)
class Host:
    """A process that can be, or is, an agent. `dedicated` ones are not used again."""

    ref: ActorRef
    pid: int
    node: str
    manager: ActorRef
    patience: Patience
    dedicated: bool = False
    _end: asyncio.Task[Exit] = field(init=False)

    def __post_init__(self) -> None:
        # Once for all of its agents, and before the first: that also makes the way to it.
        self._end = asyncio.create_task(until_dead(self.ref, self.whoami, self.patience))

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return self._end.done()

    async def watch(self) -> Exit:
        """Return when the process has ended."""
        return await asyncio.shield(self._end)

    async def whoami(self) -> dict[str, Any]:
        """What the process says it is and does."""
        about: dict[str, Any] = await self.ref.call("whoami", timeout=_ANSWER_SECONDS)
        return about

    async def why(self) -> Exit | None:
        """Why its manager ended it, if it did."""
        try:
            told = await self.manager.call("why", self.ref.name, timeout=_ANSWER_SECONDS)
        except AosError:
            return None
        return None if told is None else Exit.told(told)


class Managers:
    """The host managers of all machines: looked up by `refresh`, and when one has died.

    One blank host of each is held in reserve here, connected and watched: a crash needs a process
    at once, and asking for one, and then for the way to it, would be most of the time that an
    activation takes.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._known: dict[str, ActorRef] = {}
        self._hosts: dict[str, Host] = {}
        self._reserve: dict[str, Host] = {}
        self._used: Counter[str] = Counter()
        self._turn = 0
        self._replenishing: asyncio.Task[None] | None = None

    async def refresh(self) -> None:
        """Look which managers there are now, and hold a host of each."""
        await self._look()
        self._replenish()

    async def take(self, tenant: str, dedicated: ActorOptions | None = None) -> Host:
        """A process for an agent of a tenant: one that served the tenant before, the one that is
        held, or what the machines give, one after the other: where none can be had, another may
        have one. Raises `NoHosts`; `NoCapacity` if others come first.
        """
        busy = False
        if dedicated is None and (host := await self._at_hand(tenant)) is not None:
            return host
        for attempt in range(2):
            if not self._known or attempt:
                await self.refresh()
            for manager in self._in_turn():
                try:
                    host = await self._take_from(manager, tenant, dedicated)
                except EngineError as error:  # it, its machine, or the process it just made
                    self._lost(manager, error)
                    continue
                if host is not None:
                    return host
                busy = True
            if busy:
                raise NoCapacity("waits for a process; others are being made first")
        raise NoHosts("no machine gave a process")

    def give_back(self, host: Host, tenant: str, rss_bytes: int) -> None:
        """It is an agent no more, and may be used again."""
        self._used[tenant] += 1
        host.manager.tell("give_back", host.ref.name, rss_bytes)

    async def beats(self) -> dict[str, dict[str, Any]]:
        """What each host last said of itself, by its name."""
        heard: dict[str, dict[str, Any]] = {}
        for manager in list(self._known.values()):
            try:
                heard |= await manager.call("beats", timeout=_ANSWER_SECONDS)
            except AosError:
                continue
        return heard

    async def living(self) -> list[tuple[Host, dict[str, Any]]]:
        """Hosts that are agents, with what they say they are: what a new supervisor adopts. Those
        that do not answer are ended.
        """
        await self._look()  # nothing is promised to us yet: what is, was so to our predecessor
        managers = list(self._known.values())
        hosts = [host for manager in managers for host in await self._taken_from(manager)]
        answers = await asyncio.gather(*(_introduced(host) for host in hosts))
        return [(host, about) for host, about in zip(hosts, answers, strict=True) if about]

    async def _look(self) -> None:
        self._known = await asyncio.to_thread(_find_all, dict(self._known))
        self._hosts = {name: host for name, host in self._hosts.items() if not host.gone}

    async def _at_hand(self, tenant: str) -> Host | None:
        if self._used[tenant] > 0:
            for manager in self._in_turn():
                with suppress(EngineError):
                    about = await manager.call("take_used", tenant, timeout=_ANSWER_SECONDS)
                    if about is not None:
                        self._used[tenant] -= 1
                        return self._host(about, manager)
            del self._used[tenant]  # their managers had no use for them
        while self._reserve:
            _, host = self._reserve.popitem()
            if not host.gone:
                host.manager.tell("assign", host.ref.name, tenant)
                self._replenish(_SETTLE_SECONDS)
                return host
        return None

    def _in_turn(self) -> list[ActorRef]:
        self._turn += 1
        known = list(self._known.values())
        first = self._turn % len(known) if known else 0
        return known[first:] + known[:first]

    def _replenish(self, seconds: float = 0.0) -> None:
        if self._replenishing is None or self._replenishing.done():
            self._replenishing = asyncio.create_task(self._hold(seconds))

    async def _hold(self, seconds: float) -> None:
        """Have a blank host of each manager that has one."""
        await asyncio.sleep(seconds)
        for name, manager in list(self._known.items()):
            held = self._reserve.get(name)
            if held is not None and not held.gone:
                continue
            try:
                about = await manager.call("promise", timeout=_ANSWER_SECONDS)
            except EngineError as error:
                self._lost(manager, error)
                continue
            if about is not None and await _introduced(host := self._host(about, manager)):
                self._reserve[name] = host

    def _lost(self, manager: ActorRef, error: EngineError) -> None:
        log.info("no host from there", manager=manager.name, detail=error.detail)
        if isinstance(error, ActorGone) and self._known.get(manager.name) is manager:
            del self._known[manager.name]

    async def _take_from(
        self, manager: ActorRef, tenant: str, dedicated: ActorOptions | None
    ) -> Host | None:
        if dedicated is None:
            about = await manager.call("take", tenant, timeout=TAKE_SECONDS)
        else:
            try:
                about = await manager.call("make_dedicated", dedicated, timeout=TAKE_SECONDS)
            except ActorSilent:  # Ray has not placed it: what it needs is there, and in use
                raise NoCapacity(f"waits for {dedicated.wanted()}, which is in use") from None
        return None if about is None else self._host(about, manager)

    async def _taken_from(self, manager: ActorRef) -> list[Host]:
        try:
            taken = await manager.call("taken", timeout=_ANSWER_SECONDS)
        except AosError as error:
            log.warning("a host manager does not answer", manager=manager.name, detail=error.detail)
            return []
        return [self._host(about, manager) for about in taken]

    def _host(self, about: dict[str, Any], manager: ActorRef) -> Host:
        ref, pid, node = about["ref"], about["pid"], about["node"]
        known = self._hosts.get(ref.name)
        if known is None or known.gone:
            known = Host(ref, pid, node, manager, self._patience, about["dedicated"])
            self._hosts[ref.name] = known
        return known


def _find_all(known: Mapping[str, ActorRef]) -> dict[str, ActorRef]:
    """The managers by name; those that are known are not asked for again."""
    found = {name: known.get(name) or find(name) for name in names(MANAGERS)}
    return {name: ref for name, ref in found.items() if ref is not None}


async def _introduced(host: Host) -> dict[str, Any] | None:
    try:
        return await host.whoami()
    except AosError as error:
        log.warning("host does not answer, ending it", host=host.ref.name, detail=error.detail)
        host.ref.kill()
        return None
