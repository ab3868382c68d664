"""What crosses from an agent to a skill's process, and what comes back."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from .contracts import (
    Contract,
    Effects,
    JsonObject,
    JsonValue,
    SkillDescriptor,
    StructuredOutcome,
    effects_of,
)


class Mode(StrEnum):
    """Which of a skill's functions is called.

    execute     the skill itself
    reconcile   whether the effect of a lost call happened; succeeds with a `Reconciliation`
    compensate  undo the effect; succeeds with null
    """

    EXECUTE = "execute"
    RECONCILE = "reconcile"
    COMPENSATE = "compensate"


UNDO = "/undo"
"""What follows an effect's idempotency key in that of its compensation."""


class SkillCall(Contract):
    """One attempt of one step, with everything the executor needs to judge and run it.

    `idempotency_key` is the same for every attempt that may stand for the same effect, and for
    those that reconcile it; a compensation may have it with or without `/undo` after it.
    `prior_output` is what the call to be compensated returned, None if that is not known.
    """

    run_id: str
    step_id: str
    attempt: int = Field(ge=1)
    skill: str
    version: str
    params: JsonObject
    idempotency_key: str
    seed: int
    permissions: tuple[str, ...] = ()
    model: str | None = None
    tenant: str
    trace_id: str
    mode: Mode = Mode.EXECUTE
    prior_output: JsonValue = None

    @property
    def effect_key(self) -> str:
        """The idempotency key of the effect that this call makes, looks for or undoes."""
        key = self.idempotency_key
        return key.removesuffix(UNDO) if self.mode is Mode.COMPENSATE else key

    def effects(self, descriptor: SkillDescriptor) -> Effects:
        """What this call may do to the world: reconciling reads, compensating may be repeated."""
        if self.mode is Mode.RECONCILE:
            return Effects.READ
        if self.mode is Mode.COMPENSATE:
            return Effects.IDEMPOTENT
        return effects_of(descriptor, self.params)


class Progress(Contract):
    """Something to show while a skill runs. Volatile: never journaled, never decided upon."""

    step_id: str
    text: str


SkillEvent = Progress | StructuredOutcome
"""What an execution streams: any number of `Progress`, then exactly one outcome."""
