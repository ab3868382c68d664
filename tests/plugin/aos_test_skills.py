"""A plug-in, as third parties write them: skills that need too much memory, and a planner whose
plan is the goal.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from pydantic import BaseModel

from aos.actors.planning.protocol import PlanProposal, PlanRequest
from aos.skills.contracts import Effects, ResourceContract, RetryPolicy
from aos.skills.skill import SkillContext, skill

BLOCK = 4 * 1024 * 1024

_kept: list[bytearray] = []
"""What a process keeps of one call for the next: a leak."""


class Hoard(BaseModel):
    megabytes: int = 0
    how: str = "leak"


class Hoarded(BaseModel):
    pid: int
    held_mb: int = 0
    note: str = ""


async def _hoard(request: Hoard) -> Hoarded:
    note = await _WAYS[request.how](request.megabytes * 1024 * 1024)
    held = sum(map(len, _kept)) // 1024 // 1024
    return Hoarded(pid=os.getpid(), held_mb=held, note=note or "")


async def _leak(wanted: int) -> None:
    _take(_kept, wanted)


async def _pass(wanted: int) -> None:
    _take([], wanted)


async def _catch(wanted: int) -> str:
    try:
        _take([], wanted)
    except MemoryError:
        return "did with less"
    return "had enough"


async def _thread(wanted: int) -> None:
    await asyncio.to_thread(_take, _kept, wanted)


async def _abandoned_thread(wanted: int) -> None:
    threading.Thread(target=_take_slowly, args=(wanted,), daemon=True).start()
    await asyncio.Event().wait()


async def _stubborn(wanted: int) -> None:
    while True:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def _abort(wanted: int) -> None:
    """What code in C++ does that finds no memory."""
    try:
        _take(_kept, wanted)
    except MemoryError:
        os.abort()


async def _child(wanted: int) -> str:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"held = bytearray({wanted})", stderr=subprocess.PIPE
    )
    _, said = await child.communicate()
    return said.decode().strip().splitlines()[-1] if child.returncode else "fine"


async def _shared(wanted: int) -> None:
    shared = mmap.mmap(-1, wanted)
    for offset in range(0, wanted, mmap.PAGESIZE):
        shared[offset] = 1
    await asyncio.Event().wait()


_WAYS: dict[str, Callable[[int], Awaitable[str | None]]] = {
    "leak": _leak,
    "pass": _pass,
    "catch": _catch,
    "thread": _thread,
    "abandoned thread": _abandoned_thread,
    "stubborn": _stubborn,
    "abort": _abort,
    "child": _child,
    "shared": _shared,
}


def _take(into: list[bytearray], wanted: int) -> None:
    while sum(map(len, into)) < wanted:
        into.append(bytearray(BLOCK))


def _take_slowly(wanted: int) -> None:
    while sum(map(len, _kept)) < wanted:
        _kept.append(bytearray(BLOCK))
        time.sleep(0.05)


ONCE = RetryPolicy(max_attempts=1)


@skill(
    version="1.0.0",
    effects=Effects.PURE,
    resources=ResourceContract(memory_mb=200, timeout_s=30),
    retry=ONCE,
)
async def hoard(request: Hoard, context: SkillContext) -> Hoarded:
    """Take memory, under a contract of 200 MiB."""
    return await _hoard(request)


@skill(
    version="1.0.0",
    effects=Effects.UNSAFE,
    resources=ResourceContract(memory_mb=200, timeout_s=2),
    retry=ONCE,
)
async def hoard_unsafely(request: Hoard, context: SkillContext) -> Hoarded:
    """The same as a write that must not happen twice, in two seconds."""
    return await _hoard(request)


@skill(name="planner.literal", version="1.0.0", effects=Effects.PURE)
async def literal(request: PlanRequest, context: SkillContext) -> PlanProposal:
    """The goal is the plan, as JSON."""
    return PlanProposal.model_validate_json(request.goal)
