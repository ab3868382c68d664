"""The doorbell: never in the way of a request, and it finds a supervisor that was replaced."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from aos.api import bell
from aos.api.errors import NotReady
from aos.cluster.engine import ActorGone, ActorSilent
from aos.supervisors.supervisor import RequestRefused

AGENT = UUID(int=7)


class Actor:
    """A supervisor, or what is left of one."""

    def __init__(self, error: Exception | None = None, gate: asyncio.Event | None = None) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.error = error
        self.gate = gate
        self.called = asyncio.Event()

    async def call(self, method: str, *args: Any, timeout: float) -> Any:
        self.calls.append((method, *args))
        self.called.set()
        assert timeout == 2.0
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return {"id": "root"}


class World:
    """Ray's names, as the seam shows them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.actors: dict[str, Actor] = {}
        self.lookups = 0
        monkeypatch.setattr(bell.engine, "find", self.find)

    def find(self, name: str) -> Actor | None:
        self.lookups += 1
        return self.actors.get(name)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


async def test_ringing_pokes_the_agents_supervisor_and_looks_it_up_once(world: World) -> None:
    supervisor = world.actors["aos-agents"] = Actor()
    door = bell.EngineDoorbell()
    for _ in range(2):
        supervisor.called.clear()
        door.ring("default", AGENT)
        await supervisor.called.wait()
    assert supervisor.calls == [("poke", "default", str(AGENT))] * 2
    assert world.lookups == 1
    await door.close()


async def test_a_supervisor_that_was_replaced_is_found_again(world: World) -> None:
    old = world.actors["aos-root"] = Actor()
    door = bell.EngineDoorbell()
    await door.tree()
    old.error = ActorGone("gone", reason="killed")
    new = world.actors["aos-root"] = Actor()
    assert await door.tree() == {"id": "root"}
    assert (len(new.calls), world.lookups) == (1, 2)


async def test_a_supervisor_that_is_gone_and_not_replaced_is_an_error(world: World) -> None:
    door = bell.EngineDoorbell()
    with pytest.raises(NotReady, match="aos-root"):
        await door.tree()
    world.actors["aos-root"] = Actor(ActorGone("gone", reason="killed"))
    with pytest.raises(NotReady, match="gone"):
        await door.tree()
    world.actors["aos-root"] = Actor(ActorSilent("no answer within 2 s"))
    with pytest.raises(NotReady, match="no answer"):
        await door.tree()


async def test_a_release_is_asked_of_the_agents_supervisor_which_may_refuse(world: World) -> None:
    supervisor = world.actors["aos-agents"] = Actor()
    door = bell.EngineDoorbell()
    await door.release("default", AGENT)
    assert supervisor.calls == [("release", "default", str(AGENT))]
    supervisor.error = RequestRefused("not_quarantined: it runs", why="not_quarantined")
    with pytest.raises(RequestRefused, match="not_quarantined"):
        await door.release("default", AGENT)
    supervisor.error = ActorGone("gone", reason="killed")
    with pytest.raises(NotReady, match="gone"):
        await door.release("default", AGENT)


@pytest.mark.parametrize("error", [ActorSilent("no answer"), RuntimeError("ray is going down")])
async def test_a_lost_ring_fails_nobody(world: World, error: Exception) -> None:
    world.actors["aos-agents"] = Actor(error)
    door = bell.EngineDoorbell()
    door.ring("default", AGENT)
    await asyncio.gather(*door._ringing)
    door.ring("default", AGENT)
    await door.close()


async def test_a_supervisor_that_hangs_does_not_gather_rings_without_end(world: World) -> None:
    world.actors["aos-agents"] = Actor(gate=asyncio.Event())
    door = bell.EngineDoorbell()
    for _ in range(2_000):
        door.ring("default", AGENT)
    assert len(door._ringing) == 512
    await door.close()
