"""LangGraph: a chain of five nodes with the Postgres checkpointer.

`durability="sync"` commits a checkpoint before the next node begins; `"async"`, the default, lets
the next node begin meanwhile, so a finished node may be lost: weaker than all others here.

A saver holds a lock, so one saver is one connection at a time. A graph is compiled for each of ten
savers, which is faster here than one saver with a pool of ten.
"""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from ..system import Driven, drive_tasks, wake_tasks
from ..workload import Workload

_SAVERS = 10


class _State(TypedDict):
    value: str


class LangGraph:
    """One process. Nobody recovers what it leaves but the caller, who invokes the thread again."""

    def __init__(self, durability: str) -> None:
        self._durability = durability
        self._loop = asyncio.new_event_loop()
        self._pools: list[AsyncConnectionPool[Any]] = []
        self._savers: list[AsyncPostgresSaver] = []
        self._graphs: list[Any] = []

    def start(self, dsn: str, workload: Workload, part: int) -> None:
        del workload
        self._loop.run_until_complete(self._start(dsn, set_up=part == 0))

    async def _start(self, dsn: str, set_up: bool) -> None:
        for number in range(_SAVERS):
            pool: AsyncConnectionPool[Any] = AsyncConnectionPool(
                dsn, min_size=1, max_size=1, open=False,
                kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
            )  # fmt: skip
            await pool.open(wait=True)
            saver = AsyncPostgresSaver(pool)
            if number == 0 and set_up:
                await saver.setup()
            self._pools.append(pool)
            self._savers.append(saver)

    def drive(self, workload: Workload) -> Driven:
        self._graphs = [_chain(workload).compile(checkpointer=saver) for saver in self._savers]
        self._turns = cycle(self._graphs)
        one = self._one if workload.ledger is None else partial(self._again, workload.steps)
        return self._loop.run_until_complete(drive_tasks(workload, one))

    async def _one(self, key: str) -> None:
        await self._invoke({"value": ""}, key)

    async def _again(self, steps: int, key: str) -> None:
        """For runs that may have begun: what was left is taken up, what is over is left alone."""
        config: Any = {"configurable": {"thread_id": key}}
        found = await self._graphs[0].aget_state(config)
        if found.next:
            await self._invoke(None, key)
        elif not found.values:
            await self._invoke({"value": ""}, key)
        ended = await self._graphs[0].aget_state(config)
        if ended.next or (ended.metadata or {}).get("step") != steps:
            raise RuntimeError(f"{key} was {found} and is {ended}")

    async def _invoke(self, given: Any, key: str) -> None:
        config = {"configurable": {"thread_id": key}}
        await next(self._turns).ainvoke(given, config, durability=self._durability)

    def park(self, workload: Workload) -> Driven:
        self._graphs = [_asking(workload).compile(checkpointer=saver) for saver in self._savers]
        self._turns = cycle(self._graphs)
        return self._loop.run_until_complete(drive_tasks(workload, self._one))

    def wake(self, workload: Workload) -> Driven:
        async def wake(key: str) -> str:
            await self._invoke(Command(resume="go"), key)
            return key

        return self._loop.run_until_complete(wake_tasks(workload, wake))

    def victim(self) -> int:
        return os.getpid()

    def stop(self) -> None:
        for pool in self._pools:
            self._loop.run_until_complete(pool.close())


def _chain(workload: Workload) -> Any:
    graph = StateGraph(_State)
    names = [f"step-{number}" for number in range(1, workload.steps + 1)]
    for number, name in enumerate(names, start=1):
        graph.add_node(name, _node(number, workload))
    for before, after in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(before, after)
    return graph


def _asking(workload: Workload) -> Any:
    """One node that interrupts its run, and one that comes after the answer."""

    async def ask(state: _State) -> _State:
        del state
        return {"value": interrupt("go?")}

    graph = StateGraph(_State)
    graph.add_node("ask", ask)
    graph.add_node("step-1", _node(1, workload))
    for before, after in ((START, "ask"), ("ask", "step-1"), ("step-1", END)):
        graph.add_edge(before, after)
    return graph


def _node(number: int, workload: Workload) -> Any:
    async def node(state: _State, config: RunnableConfig) -> _State:
        del state
        if workload.ledger is not None:
            _note(Path(workload.ledger), f"{config['configurable']['thread_id']} {number} 1")
            await asyncio.sleep(workload.step_seconds)
        return {"value": workload.output}

    return node


def _note(ledger: Path, line: str) -> None:
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{line} {time.time():.6f}\n".encode())
    os.close(descriptor)


def make(*, durability: str = "sync") -> LangGraph:
    """`durability`: "sync", "async" or "exit"."""
    return LangGraph(durability)
