"""Which processes a machine's Ray runs for us, and how much memory they hold.

Ray titles its worker processes after what they do: `ray::skill:http_call@1.2.0` while a skill runs
(the name that `actors/caller` gives its tasks), `ray::IDLE` between two of them, `ray::AgentActor`
or `ray::ServiceActor`, with a method's name behind it or not, for all of its life. Everything else
(supervisors, Ray itself, a submitted job) has another title and is none of the governor's business.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import psutil

from ..cluster.memory import MIB, machine_memory, resident
from .governor import PASSIVATE_ABOVE, Kind, Process

_TITLE = re.compile(r"ray::(?:(skill:\S+)|(IDLE)\b|(ServiceActor)\b|AgentActor\b)")
_KEPT_WARM = 256 * MIB
"""What an idle worker may hold: Python, what is preloaded, and connections."""

Tree = Mapping[int, list[psutil.Process]]
"""Processes by the pids of their parents."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What `governor.decide` is asked about: bytes. While memory is plentiful nobody has looked for
    processes, since nothing would be decided about them.
    """

    processes: tuple[Process, ...]
    used: int
    budget: int


def survey(
    idle: Mapping[int, float], budget_mb: int | None = None, raylet: int | None = None
) -> Survey:
    """Look at this machine, from one of its Ray's worker processes.

    `idle`: for how many seconds agents have been without work, by pid; 0 means at work.
    `budget_mb` (MiB) is for the processes of this Ray alone; without one the budget is the
    machine's or container's memory, of which everybody's processes use. `raylet`: its pid, if it is
    not our parent.
    """
    root = raylet or os.getppid()
    if budget_mb is not None:
        tree = _tree(root)
        return Survey(tuple(_processes(tree, root, idle)), _held(tree, root), budget_mb * MIB)
    machine = machine_memory()
    if machine.used <= PASSIVATE_ABOVE * machine.total:
        return Survey((), machine.used, machine.total)
    return Survey(tuple(_processes(_tree(root), root, idle)), machine.used, machine.total)


def _processes(tree: Tree, root: int, idle: Mapping[int, float]) -> Iterator[Process]:
    for worker in tree.get(root, ()):
        try:
            title = next(iter(worker.cmdline()), "")
            soft, _ = worker.rlimit(psutil.RLIMIT_DATA)
        except psutil.NoSuchProcess:
            continue  # it has ended since
        if (match := _TITLE.match(title)) is None:
            continue
        skill, spare, service = match.groups()
        # The contract is where the kernel keeps it: the limit that the process has set itself.
        contract = _KEPT_WARM if spare else 0 if soft == psutil.RLIM_INFINITY else soft
        yield Process(
            pid=worker.pid,
            kind=Kind.SKILL if skill or spare or service else Kind.AGENT,
            name=skill or ("an idle worker" if spare else "a service" if service else "an agent"),
            resident=_held(tree, worker.pid),
            contract=contract,
            idle=0.0 if spare else idle.get(worker.pid) or None,
        )


def _held(tree: Tree, pid: int) -> int:
    """What a process and all that descends from it hold; those that have ended hold nothing."""
    below = sum(_held(tree, child.pid) for child in tree.get(pid, ()))
    try:
        return below + resident(pid)
    except ProcessLookupError:
        return below


def _tree(root: int) -> Tree:
    """All that descends from a process."""
    found: defaultdict[int, list[psutil.Process]] = defaultdict(list)
    with suppress(psutil.NoSuchProcess):  # without a raylet nobody is left to be governed
        for process in psutil.Process(root).children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                found[process.ppid()].append(process)
    return found
