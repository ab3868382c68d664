"""What crosses from an agent to a skill's process, and what comes back."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from .contracts import Contract, JsonObject, JsonValue, StructuredOutcome


class SkillCall(Contract):
    """One attempt of one step, with everything the executor needs to judge and run it.

    `idempotency_key` is the same for every attempt that may stand for the same effect.
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
    mode: Literal["execute", "reconcile", "compensate"] = "execute"
    prior_output: JsonValue = None


class Progress(Contract):
    """Something to show while a skill runs. Volatile: never journaled, never decided upon."""

    step_id: str
    text: str


SkillEvent = Progress | StructuredOutcome
"""What an execution streams: any number of `Progress`, then exactly one outcome."""
