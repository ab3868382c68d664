"""Durable programs: upload, list."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter

from ...actors.programs.checking import check
from ...actors.programs.loading import SOURCE_LIMIT
from ...cluster.identity import Principal
from ..auth import CodeNotWelcome
from ..client.control_models import ProgramList, ProgramRequest, ProgramView
from ..errors import PayloadTooLarge
from ..services import BEARER, Admin, Caller, Door, Services

router = APIRouter(prefix="/api/v1/programs", tags=["programs"], dependencies=[BEARER])

_MANY = 1_000


@router.post("", status_code=201)
async def keep(request: ProgramRequest, door: Door, caller: Admin) -> ProgramView:
    """Keep a program. The same again changes nothing; another text under the name is what new runs
    of that name begin with, while those that have begun go on with theirs.
    """
    _check_welcome(door, caller)
    if (size := len(request.source.encode(errors="replace"))) > SOURCE_LIMIT:
        raise PayloadTooLarge(f"the program has {size:,} bytes, and {SOURCE_LIMIT:,} is the limit")
    # Compiling what is large takes a while, in which others shall be served.
    await asyncio.to_thread(check, request.source, request.entry)
    kept = await door.programs.keep(caller.tenant, request.name, request.entry, request.source)
    return ProgramView(name=kept.name, entry=kept.entry, hash=kept.hash)


@router.get("")
async def page(door: Door, caller: Caller) -> ProgramList:
    """What each name stands for now."""
    found = await door.programs.page(caller.tenant, _MANY)
    return ProgramList(
        items=[ProgramView(name=each.name, entry=each.entry, hash=each.hash) for each in found]
    )


def _check_welcome(door: Services, caller: Principal) -> None:
    if caller.tenant not in door.settings.program_tenants:
        raise CodeNotWelcome(f"{caller.tenant} is not in program_tenants")
