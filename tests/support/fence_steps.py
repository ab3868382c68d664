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


def steps(world: World, choose: Choose) -> list[Callable[[], None]]:
    """What may happen next, one of each kind."""
    deciders = [each for each in world.deciders if not each.paused]
    living = [host for host in world.hosts if not host.dead]
    found: list[Callable[[], None]] = [lambda: world.store.submit(choose(AGENTS))]
    if len(world.deciders) < 6:
        found.append(world.new_decider)
    if deciders:
        who, agent = choose(deciders), choose(AGENTS)
        found += [lambda: world.look(who, agent), lambda: world.activate(who, agent)]
        found += [lambda: world.activate(who, agent)] if agent in who.seen else []
        found.append(lambda: world.store.passivate(agent, who.seen.get(agent, 0)))
        found.append(lambda: world.store.quarantine(agent))
    if world.deciders:
        found.append(lambda: flip(choose(world.deciders)))
    if living:
        found.append(lambda: flip(choose(living)))
        found.append(lambda: die(choose(living)))
    if world.mail:
        found += [lambda: world.deliver(choose(world.mail))] * 3
    if able := writers(world):
        found += [lambda: world.send(choose(able))] * 4
    if world.under_way:
        found += [lambda: world.execute(choose(world.under_way))] * 4
    if heard := [each for each in world.under_way if not (each.orphan or each.host.dead)]:
        found.append(lambda: world.break_connection(choose(heard)))
        found.append(lambda: lose(world, choose(heard)))
    return found


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
