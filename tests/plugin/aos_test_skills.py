"""A plug-in, as third parties write them: skills that need too much memory, skills that pay, and a
planner whose plan is the goal.
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
from aos.skills.contracts import Effects, EffectState, ResourceContract, RetryPolicy
from aos.skills.skill import (
    DidNotHappen,
    Happened,
    SkillContext,
    SkillFailure,
    Unclear,
    skill,
)

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


async def _nap(wanted: int) -> None:
    await asyncio.sleep(0.2)


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
    "nap": _nap,
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


class Payment(BaseModel):
    """`ledger` is the URL of a `tests.support.effect_ledger`."""

    ledger: str
    amount: int = 1
    timeout_s: float = 1.0


class Receipt(BaseModel):
    number: int
    key: str


class Failed(BaseModel):
    """An answer that says no."""

    status: int


async def _ask(
    method: str, payment: Payment, context: SkillContext, **request: object
) -> dict[str, object] | Failed:
    import httpx  # noqa: PLC0415 - agent processes load this module, too

    try:
        async with httpx.AsyncClient(timeout=payment.timeout_s, trust_env=False) as client:
            url = f"{payment.ledger}/effects"
            answer = await client.request(method, url, **request)  # pyright: ignore
    except httpx.ConnectError as error:
        raise SkillFailure("ERR_CONNECTION_REFUSED", str(error), effect=EffectState.NONE) from error
    except httpx.TimeoutException as error:
        raise SkillFailure("ERR_TIMEOUT", f"no answer in {payment.timeout_s:g} s") from error
    except httpx.HTTPError as error:
        raise SkillFailure("ERR_CONNECTION_LOST", str(error)) from error
    return answer.json() if answer.status_code == 200 else Failed(status=answer.status_code)


@skill(
    version="1.0.0",
    effects=Effects.UNSAFE,
    permissions=("network:outbound",),
    resources=ResourceContract(cpus=0.1, timeout_s=15),
)
async def pay(payment: Payment, context: SkillContext) -> Receipt:
    """Pay once, and say so in the ledger of the world outside."""
    headers = {
        "Idempotency-Key": context.idempotency_key,
        "X-Run": context.run_id,
        "X-Step": context.step_id,
        "X-Attempt": str(context.attempt),
    }
    body = {"amount": payment.amount}
    found = await _ask("POST", payment, context, headers=headers, json=body)
    if isinstance(found, Failed):
        raise SkillFailure("ERR_HTTP_503", effect=EffectState.NONE)
    context.side_effect("payment", context.idempotency_key, reversible=True)
    return Receipt.model_validate(found)


@pay.reconcile
async def find_payment(
    payment: Payment, context: SkillContext
) -> Happened[Receipt] | DidNotHappen | Unclear:
    """Look for the payment by its key."""
    found = await _ask("GET", payment, context, params={"key": context.idempotency_key})
    if isinstance(found, Failed):
        if found.status == 404:
            return DidNotHappen()
        return Unclear(f"the ledger answered {found.status}")
    return Happened(Receipt.model_validate(found))


@pay.compensate
async def refund(payment: Payment, receipt: Receipt | None, context: SkillContext) -> None:
    """Take the payment back, if there is one."""
    found = await _ask("DELETE", payment, context, params={"key": context.idempotency_key})
    if isinstance(found, Failed):
        raise SkillFailure("ERR_HTTP_503", effect=EffectState.NONE)


pay_blindly = skill(
    name="pay_blindly",
    version="1.0.0",
    effects=Effects.UNSAFE,
    permissions=("network:outbound",),
    resources=ResourceContract(cpus=0.1, timeout_s=15),
)(pay.function)
"""The same without any way to look or to undo."""


@skill(name="planner.literal", version="1.0.0", effects=Effects.PURE)
async def literal(request: PlanRequest, context: SkillContext) -> PlanProposal:
    """The goal is the plan, as JSON."""
    return PlanProposal.model_validate_json(request.goal)
