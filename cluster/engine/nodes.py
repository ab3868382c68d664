"""The machines of the cluster, and whether any of them could ever run something."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from .ray_api import api as ray

_AGE = 5.0


@dataclass(frozen=True, slots=True)
class Node:
    """A living machine and all that it has, used or not."""

    id: str
    address: str
    resources: Mapping[str, float]


_seen: tuple[float, list[Node]] = (-_AGE, [])


def nodes(*, max_age: float = _AGE) -> list[Node]:
    """The living machines, as they were at most `max_age` seconds ago."""
    global _seen  # noqa: PLW0603 - one cache per process, and losing a race only costs a call
    if time.monotonic() - _seen[0] > max_age:
        rows: list[dict[str, Any]] = ray.nodes()
        _seen = (
            time.monotonic(),
            [
                Node(row["NodeID"], row["NodeManagerAddress"], row["Resources"])
                for row in rows
                if row["Alive"]
            ],
        )
    return _seen[1]


def demand(
    cpus: float, gpus: float, memory_bytes: int, custom: Iterable[tuple[str, float]]
) -> dict[str, float]:
    """A request in the names that Ray gives resources."""
    return {"CPU": cpus, "GPU": gpus, "memory": float(memory_bytes), **dict(custom)}


def describe(wanted: Mapping[str, float]) -> str:
    """A request in words: `CPU 2, GPU 1`."""
    return ", ".join(f"{name} {amount:g}" for name, amount in sorted(wanted.items()) if amount)


def missing(wanted: Mapping[str, float]) -> dict[str, float]:
    """What the machine that comes closest does not have enough of; nothing if one has it all."""

    def lacks(node: Node) -> dict[str, float]:
        there = node.resources
        return {name: need for name, need in wanted.items() if need > there.get(name, 0.0)}

    return min((lacks(node) for node in nodes()), key=len, default=dict(wanted))
