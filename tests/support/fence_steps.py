"""What may happen next in a world of supervisor processes, hosts and one store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from .fence import Host, World

AGENTS = ("ann", "bob")
Choose = Callable[[Sequence[Any]], Any]


def writers(world: World) -> list[Host]:
    """Hosts that can send something now."""
    return [
        host for host in world.hosts
        if host.agent and not (host.dead or host.paused or host.waits)
    ]  # fmt: skip


Steps = list[Callable[[], None]]


def steps(world: World, choose: Choose) -> Steps:
    """What may happen next, the likelier the more often."""
    often = decisions(world, choose) + writes(world, choose)
    if not often or choose(range(6)) == 0:
        often += [world.new_decider] * 2
    if choose(range(40)) == 0:  # an agent with something to do is not made passive any more
        often += [lambda: world.store.submit(choose(AGENTS))] * 4
    return often


def decisions(world: World, choose: Choose) -> Steps:
    """What supervisor processes do, and what is done to processes."""
    now: Steps = []
    deciders = [each for each in world.deciders if not each.paused]
    living = [host for host in world.hosts if not host.dead]
    paused = [each for each in (*world.deciders, *living) if each.paused]
    if deciders:
        who, agent = choose([*deciders, deciders[-1], deciders[-1]]), choose(AGENTS)
        now += [lambda: world.look(who, agent)] * 2
        now += [lambda: world.activate(who, agent)] * (3 if agent in who.seen else 1)
        now += [lambda: world.store.passivate(agent, who.seen.get(agent, 0))]
        now += [lambda: flip(choose(deciders))]
        if choose(range(6)) == 0:
            now += [lambda: world.store.quarantine(who.epoch, agent)] * 2
    if paused:
        now += [lambda: flip(choose(paused))] * 2
    if living:
        now += [lambda: flip(choose(living)), lambda: die(choose(living))]
    return now


def writes(world: World, choose: Choose) -> Steps:
    """What hosts do, and what becomes of what they sent."""
    now: Steps = []
    heard = [each for each in world.under_way if not (each.orphan or each.host.dead)]
    if world.mail:
        now += [lambda: world.deliver(choose(world.mail))] * 8
    if able := writers(world):
        now += [lambda: world.send(choose(able))] * 10
    if world.under_way:
        now += [lambda: world.execute(choose(world.under_way))] * 8
    if heard:
        now += [lambda: world.break_connection(choose(heard)), lambda: lose(world, choose(heard))]
    return now


def flip(process: Any) -> None:
    """SIGSTOP, or SIGCONT."""
    process.paused = not process.paused


def die(host: Host) -> None:
    host.dead = True


def lose(world: World, statement: Any) -> None:
    """The connection breaks before Postgres has the statement."""
    world.break_connection(statement)
    world.under_way.remove(statement)


def history(seed: int, length: int) -> World:
    """One world with a long history."""
    choose = Random(seed).choice  # noqa: S311 - a die, not a secret
    world = World()
    world.new_decider()
    for _ in range(length):
        choose(steps(world, choose))()
        world.check()
    return world
