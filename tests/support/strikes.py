"""What a monkey does to a running AOS: one function for each kind of strike."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import psutil

from aos.cluster.errors import AosError
from tests.support.node import Node

ROLES = ("agent", "skill", "supervisor", "root", "front")
LONGEST_FREEZE = 8.0
_PATIENCE = 40
_RARELY = {"everything": 0.35, "postgres away": 0.5}


class Striker:
    """Strikes at random, from a seed. `counts` says how often which kind hit something."""

    def __init__(self, node: Node, seed: int) -> None:
        self.counts: Counter[str] = Counter()
        self.ups: list[float] = []
        self._node = node
        self._random = random.Random(seed)  # noqa: S311 - a failure can be repeated
        self._frozen: set[asyncio.Task[None]] = set()
        self._kinds: dict[str, Callable[[], Awaitable[bool]]] = {
            **{f"kill {role}": lambda role=role: self._kill(role) for role in ROLES},
            **{f"freeze {role}": lambda role=role: self._freeze(role) for role in ROLES},
            "postgres stops": self._postgres,
            "postgres away": self._postgres_away,
            "everything": self._everything,
        }

    async def run(self, seconds: float, every: tuple[float, float] = (2.0, 6.0)) -> None:
        """Strike for so long, every few seconds; each kind at least once if there is time."""
        loop = asyncio.get_running_loop()
        until, first = loop.time() + seconds, list(self._kinds)
        self._random.shuffle(first)
        while loop.time() < until:
            await asyncio.sleep(self._random.uniform(*every))
            kind = first.pop() if first else self._choose()
            if await self._kinds[kind]():
                self.counts[kind] += 1
        await asyncio.gather(*self._frozen)

    def _choose(self) -> str:
        kinds = list(self._kinds)
        return self._random.choices(kinds, [_RARELY.get(kind, 1.0) for kind in kinds])[0]

    async def _victim(self, role: str) -> psutil.Process | None:
        """One of a role, at work: an agent that is somebody, a call that is under way."""
        for _ in range(_PATIENCE):
            if found := await asyncio.to_thread(self._node.those, role):
                at_work = await self._active() if role == "agent" else set[int]()
                found = [each for each in found if each.pid in at_work] or found
                return self._random.choice(found)
            await asyncio.sleep(0.05)
        return None

    async def _active(self) -> set[int]:
        try:
            async with asyncio.timeout(2), self._node.database(1) as database:
                query = "SELECT pid FROM activations WHERE state = 'active'"
                return {row["pid"] for row in await database.fetch(query)}
        except (AosError, TimeoutError):
            return set()

    async def _kill(self, role: str) -> bool:
        return _signal(await self._victim(role), signal.SIGKILL)

    async def _freeze(self, role: str) -> bool:
        victim = await self._victim(role)
        if not _signal(victim, signal.SIGSTOP):
            return False
        thaw = asyncio.create_task(self._thaw(victim, self._random.uniform(1, LONGEST_FREEZE)))
        self._frozen.add(thaw)
        thaw.add_done_callback(self._frozen.discard)
        return True

    async def _thaw(self, victim: psutil.Process | None, seconds: float) -> None:
        await asyncio.sleep(seconds)
        _signal(victim, signal.SIGCONT)

    async def _postgres(self) -> bool:
        """`pg_ctl stop -m immediate`, which is this signal; the node starts it again."""
        return _signal(self._node.postmaster, signal.SIGQUIT)

    async def _postgres_away(self) -> bool:
        """The same for three seconds: the one who would start it is held."""
        node = self._node.process
        if not _signal(node, signal.SIGSTOP):
            return False
        try:
            hit = await self._postgres()
            await asyncio.sleep(3)
            return hit
        finally:
            _signal(node, signal.SIGCONT)

    async def _everything(self) -> bool:
        """All processes at once, half of the times Postgres with them; then `aos up`."""
        await asyncio.gather(*self._frozen)
        with_postgres = self._random.random() < 0.5
        await asyncio.to_thread(self._node.lose_everything, with_postgres)
        self.ups.append(await asyncio.to_thread(self._node.up))
        return True


def _signal(process: psutil.Process | None, number: int) -> bool:
    """Signal a process that is still the one that was meant; whether it was."""
    if process is None or process.pid <= 1:
        return False
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
        return True
    return False
