"""Which systems there are, in which Python they live, and how many processes they get. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

Home = Literal["aos", "peers"]


@dataclass(frozen=True, slots=True)
class SystemSpec:
    """`peer`: whether it is one that people would pick instead, and keeps the same promise.
    `recovers`: whether what it had begun can be taken up after a crash, by itself or by its caller.
    """

    name: str
    title: str
    adapter: str
    home: Home
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    processes: int = 1
    peer: bool = False
    recovers: bool = False
    note: str = ""


_EACH_STEP = "each finished step survives"
_NOTHING = "nothing survives"

CATALOG: dict[str, SystemSpec] = {
    spec.name: spec
    for spec in (
        SystemSpec("aos", "AOS", "aos_runs", "aos", recovers=True,
                   note="each finished step but quick reads, which may be made again"),
        SystemSpec("dbos", "DBOS", "dbos_steps", "peers", peer=True, recovers=True,
                   note=_EACH_STEP),
        SystemSpec("dbos-2", "DBOS, 2 processes", "dbos_steps", "peers", processes=2, peer=True,
                   note=_EACH_STEP),
        SystemSpec("langgraph", "LangGraph sync", "langgraph_chain", "peers",
                   {"durability": "sync"}, peer=True, recovers=True, note=_EACH_STEP),
        SystemSpec("langgraph-2", "LangGraph sync, 2 processes", "langgraph_chain", "peers",
                   {"durability": "sync"}, processes=2, peer=True, note=_EACH_STEP),
        SystemSpec("langgraph-async", "LangGraph async (weaker)", "langgraph_chain", "peers",
                   {"durability": "async"}, note="the last finished step may be lost"),
        SystemSpec("floor", "asyncpg, commit per step", "floor", "aos", note=_EACH_STEP),
        SystemSpec("floor-grouped", "asyncpg, 3 commits", "floor", "aos", {"grouped": True},
                   note="a run's outcomes survive together"),
        SystemSpec("raw", "Ray + asyncpg, task and commit per step", "raw_ray", "aos",
                   {"fused": False, "commits": True}, note=_EACH_STEP),
        SystemSpec("raw-fused", "Ray + asyncpg, 1 task and 3 commits", "raw_ray", "aos",
                   {"fused": True, "commits": True}, note="a run's outcomes survive together"),
        SystemSpec("ray", "Ray, task per step", "raw_ray", "aos",
                   {"fused": False, "commits": False}, note=_NOTHING),
        SystemSpec("ray-fused", "Ray, 1 task", "raw_ray", "aos",
                   {"fused": True, "commits": False}, note=_NOTHING),
    )
}  # fmt: skip
"""In the order in which they take turns."""
