"""Durable programs in tests: made from text, from a random tree, and driven by a random world."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from hypothesis import strategies as st

from aos.actors.programs import (
    Advanced,
    Delivery,
    Execution,
    Program,
    ProgramContext,
    SkillFailed,
    Turn,
    load_source,
    program_of,
)

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
Tree = tuple[Any, ...]


def source(text: str, entry: str = "agent", **options: Any) -> Program:
    """The program of an indented text, as `agent.py`."""
    return load_source(textwrap.dedent(text), entry, file_name="agent.py", **options)


def execution(program: Program, history: Sequence[Turn] = (), **options: Any) -> Execution:
    given = {"goal": "the goal", "run_id": "run-1", "seed": 7, "started_at": BEGIN} | options
    return Execution(program, history=history, **given)


@dataclass
class Life:
    """An execution and what is recorded of it."""

    program: Program
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    turns: list[Turn] = field(default_factory=list[Turn])

    def __post_init__(self) -> None:
        self.execution = execution(self.program, **self.options)

    def advance(self, *deliveries: Delivery) -> Advanced:
        at = BEGIN + timedelta(seconds=len(self.turns))
        advanced = self.execution.advance(deliveries, at)
        self.turns.append(Turn(tuple(deliveries), at, advanced))
        return advanced

    def told(self, **values: Any) -> Advanced:
        """One turn with values by id; `s3_2` is `s3-2`."""
        return self.advance(*(Delivery(k.replace("_", "-"), v) for k, v in values.items()))

    def again(self, program: Program | None = None, **options: Any) -> Execution:
        return execution(program or self.program, self.turns, **self.options | options)


def first_turn(text: str, **options: Any) -> Advanced:
    """What the program of a text does in its first turn."""
    with execution(source(text), **options) as begun:
        return begun.advance((), BEGIN)


def ids(advanced: Advanced) -> list[str]:
    return [request.id for request in advanced.requests]


def live(program: Program, world: Random, turns: int = 40) -> Life:
    """A life in a world that answers in any order, anything, in batches, and sometimes late."""
    life, late = Life(program), list[str]()
    advanced = life.advance()
    while not advanced.finished and len(life.turns) < turns:
        late += advanced.abandoned
        world.shuffle(late)
        waiting = list(life.execution.pending)
        chosen = world.sample(waiting, world.randint(1, min(3, len(waiting))))
        if late and world.random() < 0.5:
            chosen.insert(world.randrange(len(chosen) + 1), late.pop())
        advanced = life.advance(*(_outcome(each, world) for each in chosen))
    return life


def _outcome(request_id: str, world: Random) -> Delivery:
    if world.random() < 0.15:
        return Delivery(request_id, failure=("ERR_HTTP_503", "the world is like that"))
    return Delivery(request_id, {"n": world.randrange(10), "list": [1, {"a": None}]})


# Random programs: trees that an interpreter executes.


def program_from(tree: Tree) -> Program:
    async def agent(ctx: ProgramContext, goal: str) -> Any:
        return await perform(ctx, tree)

    return program_of(agent)


async def perform(ctx: ProgramContext, tree: Tree) -> Any:
    return await _PERFORMERS[tree[0]](ctx, *tree[1:])


async def _call(ctx: ProgramContext, skill: str) -> Any:
    given = {"draw": ctx.random.randrange(1000), "id": ctx.uuid(), "at": ctx.now()}
    said = await ctx.call(skill, given)
    said["changed"] = True  # type: ignore[index]
    return said


async def _sleep(ctx: ProgramContext, seconds: int) -> Any:
    return await ctx.sleep(seconds)


async def _signal(ctx: ProgramContext, name: str) -> Any:
    return await ctx.signal(name, timeout=5)


async def _spawn(ctx: ProgramContext, goal: str) -> Any:
    return await ctx.spawn(goal)


async def _yield(ctx: ProgramContext) -> Any:
    await asyncio.sleep(0)
    return ctx.patched("new")


async def _sequence(ctx: ProgramContext, *parts: Tree) -> Any:
    return [await perform(ctx, part) for part in parts]


async def _gather(ctx: ProgramContext, lenient: bool, *parts: Tree) -> Any:
    said = await ctx.gather(*(perform(ctx, part) for part in parts), return_exceptions=lenient)
    return [str(each) if isinstance(each, BaseException) else each for each in said]


async def _group(ctx: ProgramContext, *parts: Tree) -> Any:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(perform(ctx, part)) for part in parts]
    return [task.result() for task in tasks]


async def _race(ctx: ProgramContext, *parts: Tree) -> Any:
    tasks = [asyncio.create_task(perform(ctx, part)) for part in parts]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for each in pending:  # a set: its order must be the same everywhere
        each.cancel()
    settled = await asyncio.gather(*pending, *done, return_exceptions=True)
    return [repr(each) for each in settled]


async def _try(ctx: ProgramContext, part: Tree, otherwise: Tree) -> Any:
    try:
        return await perform(ctx, part)
    except* SkillFailed:
        failed = True
    except* ValueError:
        failed = False
    finally:
        await asyncio.sleep(0)
    return [failed, await perform(ctx, otherwise)]


async def _finally(ctx: ProgramContext, part: Tree, last: Tree) -> Any:
    try:
        return await perform(ctx, part)
    finally:
        await perform(ctx, last)


async def _forget(ctx: ProgramContext, part: Tree) -> Any:
    asyncio.create_task(perform(ctx, part))  # noqa: RUF006 - forgotten on purpose
    return None


async def _raise(ctx: ProgramContext) -> Any:
    raise ValueError(str(ctx.random.random()))


_PERFORMERS: dict[str, Callable[..., Any]] = {
    "call": _call, "sleep": _sleep, "signal": _signal, "spawn": _spawn, "yield": _yield,
    "sequence": _sequence, "gather": _gather, "group": _group, "race": _race,
    "try": _try, "finally": _finally, "forget": _forget, "raise": _raise,
}  # fmt: skip

_LEAVES = st.one_of(
    st.tuples(st.just("call"), st.sampled_from(["fetch", "mail@1.2.0"])),
    st.tuples(st.just("call"), st.sampled_from(["fetch", "pay"])),
    st.tuples(st.just("sleep"), st.integers(0, 9)),
    st.tuples(st.just("signal"), st.sampled_from(["go", "stop"])),
    st.tuples(st.just("spawn"), st.sampled_from(["sweep"])),
    st.just(("yield",)),
    st.just(("raise",)),
)


def _grow(trees: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
    several = st.lists(trees, max_size=4)
    return st.one_of(
        several.map(lambda parts: ("sequence", *parts)),
        st.tuples(st.booleans(), several).map(lambda drawn: ("gather", drawn[0], *drawn[1])),
        several.map(lambda parts: ("group", *parts)),
        st.lists(trees, min_size=1, max_size=4).map(lambda parts: ("race", *parts)),
        st.tuples(st.just("try"), trees, trees),
        st.tuples(st.just("finally"), trees, trees),
        st.tuples(st.just("forget"), trees),
    )


def wild(world: Random, depth: int = 4) -> Tree:
    """A large program: Hypothesis draws small ones, which end before much has happened."""
    if not depth or world.random() < 0.25:
        leaves = [("call", "fetch"), ("call", "mail@1.2.0"), ("sleep", 3), ("signal", "go")]
        return world.choice([*leaves, *leaves, ("spawn", "sweep"), ("yield",), ("raise",)])
    kind = world.choice(["sequence", "gather", "group", "race", "try", "try", "finally", "forget"])
    parts = [wild(world, depth - 1) for _ in range(world.randint(1, 4))]
    if kind in ("try", "finally"):
        return (kind, parts[0], parts[-1])
    if kind == "forget":
        return ("sequence", (kind, parts[0]), *parts[1:])
    return ("gather", world.random() < 0.6, *parts) if kind == "gather" else (kind, *parts)


def _wild_sequence(world: Random) -> Tree:
    return ("sequence", *(("try", wild(world), wild(world, 2)) for _ in range(world.randint(2, 5))))


trees: st.SearchStrategy[Tree] = st.one_of(
    st.recursive(_LEAVES, _grow, max_leaves=14),
    st.integers(0, 2**32).map(Random).map(_wild_sequence),
)
"""What programs do, of any nesting."""
