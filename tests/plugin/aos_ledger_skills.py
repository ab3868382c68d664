"""A plug-in whose skills have effects: one skill for each effect class, and each call of one writes
a line into the ledger of `tests/support/effect_ledger.py`.

A skill's output is its input plus one, so a plan that hands it on can be checked by its answer.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import time
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import BaseModel

from aos.skills.contracts import Effects, ResourceContract, RetryPolicy
from aos.skills.hooks import DidNotHappen, Happened, Unclear
from aos.skills.skill import SkillContext, SkillFailure, skill

PATIENT = RetryPolicy(max_attempts=10, initial_delay_ms=20, max_delay_ms=200)
LIGHT = ResourceContract(cpus=0.25, timeout_s=30)


class Note(BaseModel):
    """What to note where; without a ledger nothing is. `before_ms` and `after_ms`: time that passes
    around the effect. `blocks`: it passes without yielding, as in code that knows no event loops.
    """

    ledger: str
    value: int = 0
    before_ms: int = 0
    after_ms: int = 0
    blocks: bool = False


class Noted(BaseModel):
    """The value and one."""

    value: int


async def _note(request: Note, context: SkillContext) -> Noted:
    await _pass(request.before_ms, request.blocks)
    if request.ledger:
        status = await asyncio.to_thread(_post, request, context)
        if status != 200:
            raise SkillFailure("ERR_CONNECTION_LOST", f"the ledger answered {status}")
    await _pass(request.after_ms, request.blocks)
    return Noted(value=request.value + 1)


async def _pass(milliseconds: int, blocks: bool) -> None:
    if blocks:
        time.sleep(milliseconds / 1000)  # noqa: ASYNC251 - this is what is tested
    elif milliseconds:
        await asyncio.sleep(milliseconds / 1000)


def _post(request: Note, context: SkillContext) -> int:
    headers = {
        "Idempotency-Key": context.idempotency_key,
        "X-Run": context.run_id,
        "X-Step": context.step_id,
        "X-Attempt": str(context.attempt),
    }
    return _ask(request.ledger, "POST", "/effects", json.dumps({"amount": request.value}), headers)


def _ask(ledger: str, method: str, path: str, body: str = "", headers: Any = None) -> int:
    connection = http.client.HTTPConnection(urlsplit(ledger).netloc, timeout=20)
    try:
        connection.request(method, path, body, headers or {})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise SkillFailure("ERR_CONNECTION_LOST", repr(error)) from error
    finally:
        connection.close()


def _of(context: SkillContext) -> str:
    return f"/effects?key={quote(context.idempotency_key, safe='')}"


@skill(version="1.0.0", effects=Effects.PURE, resources=LIGHT, retry=PATIENT)
async def note_pure(request: Note, context: SkillContext) -> Noted:
    """As good as pure: the ledger is only told for the test's sake."""
    return await _note(request, context)


@skill(version="1.0.0", effects=Effects.READ, resources=LIGHT, retry=PATIENT)
async def note_read(request: Note, context: SkillContext) -> Noted:
    """Like something that is read."""
    return await _note(request, context)


@skill(version="1.0.0", effects=Effects.IDEMPOTENT, resources=LIGHT, retry=PATIENT)
async def note_idempotent(request: Note, context: SkillContext) -> Noted:
    """A write that its key makes harmless to repeat."""
    return await _note(request, context)


@skill(version="1.0.0", effects=Effects.UNSAFE, resources=LIGHT, retry=PATIENT)
async def note_unsafe(request: Note, context: SkillContext) -> Noted:
    """A write that must not happen twice, and nobody can be asked whether it did."""
    return await _note(request, context)


@skill(version="1.0.0", effects=Effects.UNSAFE, resources=LIGHT, retry=PATIENT)
async def note_reconciled(request: Note, context: SkillContext) -> Noted:
    """A write that must not happen twice; the ledger can be asked whether it did."""
    return await _note(request, context)


@note_reconciled.reconcile
async def find_note(
    request: Note, context: SkillContext
) -> Happened[Noted] | DidNotHappen | Unclear:
    """Ask the ledger."""
    match await asyncio.to_thread(_ask, request.ledger, "GET", _of(context)):
        case 200:
            return Happened(Noted(value=request.value + 1))
        case 404:
            return DidNotHappen()
        case status:
            return Unclear(f"the ledger answered {status}")


@note_reconciled.compensate
async def undo_note(request: Note, output: Noted | None, context: SkillContext) -> None:
    """Have the ledger note that it was undone."""
    await asyncio.to_thread(_ask, request.ledger, "DELETE", _of(context))
