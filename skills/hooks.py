"""What a skill answers when it is asked whether an effect of its own happened.

    @pay.reconcile
    async def find_payment(
        input: Payment, context: SkillContext
    ) -> Happened[Receipt] | DidNotHappen | Unclear:
        found = await bank.payment(key=context.idempotency_key)
        return Happened(Receipt(id=found.id)) if found else DidNotHappen()

`DidNotHappen` is a promise: the call is then made again. Whoever cannot tell "not there" from "not
there yet" says `Unclear`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from pydantic import BaseModel

from .context import SkillContext

InputT = TypeVar("InputT", bound=BaseModel)
OutputT = TypeVar("OutputT", bound=BaseModel)
OutputT_co = TypeVar("OutputT_co", bound=BaseModel, covariant=True)


@dataclass(frozen=True, slots=True)
class Happened(Generic[OutputT_co]):
    """The effect happened, and this is what the lost call would have returned."""

    output: OutputT_co


@dataclass(frozen=True, slots=True)
class DidNotHappen:
    """The effect did not happen and will not happen any more: the call may be made again."""


@dataclass(frozen=True, slots=True)
class Unclear:
    """It cannot be said, and why; `reason` is for the person who decides."""

    reason: str


Reconcile = Callable[[InputT, SkillContext], Awaitable[Happened[OutputT] | DidNotHappen | Unclear]]
Compensate = Callable[[InputT, OutputT | None, SkillContext], Awaitable[None]]
