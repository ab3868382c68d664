"""How the agents' supervisor gets a process for an agent, and gives it back."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from ...cluster.engine import ActorOptions, ActorRef, ActorSilent, find, names
from ...cluster.errors import AosError, Blame, EngineError, SupervisionError
from ...cluster.exits import Exit
from ...cluster.telemetry import logger
from ..children import NoCapacity
from ..heartbeat import until_dead
from ..liveness import Patience
from ..tree import HOSTS, actor_name

MANAGERS = f"{actor_name(HOSTS)}:"

_TAKE_SECONDS = 60.0
_ANSWER_SECONDS = 5.0

log = logger(__name__)


class NoHosts(SupervisionError):
    """No host manager is there just now."""

    code = "AOS-4004"
    title = "No process for an agent can be had just now."
    next_action = "Nothing: it is asked for again. If it lasts, look at `aos tree`."
    retryable = True
    blame = Blame.PLATFORM


@dataclass(frozen=True, slots=True)
class Host:
    """A process that can be, or is, an agent. `dedicated` ones are not used again."""

    ref: ActorRef
    pid: int
    node: str
    manager: ActorRef
    patience: Patience
    dedicated: bool = False

    async def watch(self) -> Exit:
        """Return when the process has ended."""
        return await until_dead(self.ref, self.whoami, self.patience)

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

    def give_back(self, rss_bytes: int) -> None:
        """It is an agent no more, and may be used again."""
        self.manager.tell("give_back", self.ref.name, rss_bytes)


@dataclass
class Managers:
    """The host managers of all machines: looked up by `refresh`, and when one has died."""

    patience: Patience
    _known: list[ActorRef] = field(default_factory=list[ActorRef])
    _turn: int = 0

    async def refresh(self) -> None:
        """Look which managers there are now."""
        self._known = await asyncio.to_thread(_find_all)

    async def take(self, tenant: str, dedicated: ActorOptions | None = None) -> Host:
        """A process for an agent of a tenant, from one machine after the other: where one cannot
        be had, another machine may have one. Raises `NoHosts`.
        """
        for attempt in range(2):
            if not self._known or attempt:
                await self.refresh()
            for _ in range(len(self._known)):
                manager = self._known[self._turn % len(self._known)]
                self._turn += 1
                try:
                    return await self._take_from(manager, tenant, dedicated)
                except EngineError as error:  # it, its machine, or the process it just made
                    log.info("no host from there", manager=manager.name, detail=error.detail)
        raise NoHosts("no machine gave a process")

    async def beats(self) -> dict[str, dict[str, Any]]:
        """What each host last said of itself, by its name."""
        heard: dict[str, dict[str, Any]] = {}
        for manager in self._known:
            try:
                heard |= await manager.call("beats", timeout=_ANSWER_SECONDS)
            except AosError:
                continue
        return heard

    async def living(self) -> list[tuple[Host, dict[str, Any]]]:
        """Hosts that are agents, with what they say they are: what a new supervisor adopts. Those
        that do not answer are ended.
        """
        await self.refresh()
        hosts = [host for manager in self._known for host in await self._taken_from(manager)]
        answers = await asyncio.gather(*(_introduced(host) for host in hosts))
        return [(host, about) for host, about in zip(hosts, answers, strict=True) if about]

    async def _take_from(
        self, manager: ActorRef, tenant: str, dedicated: ActorOptions | None
    ) -> Host:
        if dedicated is None:
            about = await manager.call("take", tenant, timeout=_TAKE_SECONDS)
        else:
            try:
                about = await manager.call("make_dedicated", dedicated, timeout=_TAKE_SECONDS)
            except ActorSilent:  # Ray has not placed it: what it needs is there, and in use
                raise NoCapacity(f"waits for {dedicated.wanted()}, which is in use") from None
        return self._host(about, manager)

    async def _taken_from(self, manager: ActorRef) -> list[Host]:
        try:
            taken = await manager.call("taken", timeout=_ANSWER_SECONDS)
        except AosError as error:
            log.warning("a host manager does not answer", manager=manager.name, detail=error.detail)
            return []
        return [self._host(about, manager) for about in taken]

    def _host(self, about: dict[str, Any], manager: ActorRef) -> Host:
        ref, pid, node = about["ref"], about["pid"], about["node"]
        return Host(ref, pid, node, manager, self.patience, about["dedicated"])


def _find_all() -> list[ActorRef]:
    return [ref for name in names(MANAGERS) if (ref := find(name)) is not None]


async def _introduced(host: Host) -> dict[str, Any] | None:
    try:
        return await host.whoami()
    except AosError as error:
        log.warning("host does not answer, ending it", host=host.ref.name, detail=error.detail)
        host.ref.kill()
        return None
