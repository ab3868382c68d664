"""A supervisor as another's child: its end is its own, and it is stopped with all that is in it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from tests.support.keeping import Life, World

from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.kinds import ByKind
from aos.supervisors.nested import NestedStarter, NestedSupervisor
from aos.supervisors.spec import ChildSpec, Intensity, InvalidSpec, SupervisorSpec


def child(name: str) -> ChildSpec:
    return ChildSpec(name, "service", args={})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


def nested(world: World, *children: ChildSpec, **about: Any) -> NestedSupervisor:
    spec = SupervisorSpec(
        "inner", children, intensity=Intensity(0, timedelta(seconds=1)), strict_start=False
    )
    return NestedStarter(ByKind({"service": world}), lambda _: lambda *_: None, world.clock).make(
        spec, **about
    )


async def test_it_is_booted_when_all_children_were_tried(world: World) -> None:
    world.gates["b"] = asyncio.Event()
    inner = nested(world, child("a"), child("b"))
    booting = asyncio.create_task(inner.boot())
    await world.settled()
    assert not booting.done()
    world.gates["b"].set()
    await booting
    assert [each["state"] for each in (await inner.describe())["children"]] == ["running"] * 2
    await inner.stop(None)


async def test_its_end_is_told_to_who_asked_before_it_is_told_to_who_watches(
    world: World,
) -> None:
    heard: list[Exit] = []
    inner = nested(world, child("a"), ended=heard.append)
    await inner.boot()
    watching = asyncio.create_task(inner.watch())
    await world.ends("a")
    exit_ = await watching
    assert heard == [exit_]
    assert exit_.reason is ExitReason.SHUTDOWN


async def test_a_stop_that_was_asked_for_is_not_told(world: World) -> None:
    heard: list[Exit] = []
    inner = nested(world, child("a"), ended=heard.append)
    await inner.boot()
    await inner.stop(None)
    assert (await inner.watch()).reason is ExitReason.SHUTDOWN
    assert heard == []


async def test_who_does_not_stop_in_time_is_killed_one_after_the_other(world: World) -> None:
    world.stubborn |= {"a", "b"}
    inner = nested(world, child("a"), child("b"))
    await inner.boot()
    await inner.stop(0.01)
    assert world.lives["a"].end.done()
    assert world.lives["b"].end.done()
    assert (await inner.watch()).reason is ExitReason.SHUTDOWN


async def test_a_boot_that_is_cancelled_leaves_nothing_behind(world: World) -> None:
    world.gates["b"] = asyncio.Event()
    inner = nested(world, child("a"), child("b"))
    booting = asyncio.create_task(inner.boot())
    await world.settled()
    booting.cancel()
    await asyncio.gather(booting, return_exceptions=True)
    assert booting.cancelled()
    assert world.lives["a"].end.done()


async def test_who_stops_deciding_leaves_the_children_alone(world: World) -> None:
    inner = nested(world, child("a"))
    await inner.boot()
    watching = asyncio.create_task(inner.watch())
    await world.settled()
    watching.cancel()
    await world.settled()
    assert not world.lives["a"].end.done()
    await world.ends("a")
    assert world.told() == ["start a"], "nobody is there to start it again"


async def test_a_bug_in_it_is_its_crash_and_nobody_elses(world: World) -> None:
    heard: list[Exit] = []

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    starter = NestedStarter(ByKind({"service": world}), lambda _: broken, world.clock)
    inner = starter.make(SupervisorSpec("inner", (child("a"),)), ended=heard.append)
    await inner.boot()
    exit_ = await inner.watch()
    assert (exit_.reason, exit_.detail) == (ExitReason.CRASH, "RuntimeError: a bug")
    assert heard == [exit_]


async def test_a_kind_that_nobody_starts_is_named(world: World) -> None:
    kinds = ByKind({"service": world})
    with pytest.raises(InvalidSpec, match="'rocket'; known here: service"):
        await kinds.start(ChildSpec("a", "rocket"))
    assert isinstance(await kinds.start(child("a")), Life)
