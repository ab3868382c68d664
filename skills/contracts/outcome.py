"""`StructuredOutcome`: what every skill call ends in, success or not. It is never an exception."""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from ...cluster.errors import Blame
from .failure import TAXONOMY
from .values import Contract, JsonObject, JsonValue


class Status(StrEnum):
    """How a call ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    PARTIAL = "partial"
    SKIPPED = "skipped"


class EffectState(StrEnum):
    """What is known of the outside world after a call that may have changed it."""

    NONE = "none"
    DONE = "done"
    UNKNOWN = "unknown"


class SideEffect(Contract):
    """One thing done to the world, in execution order."""

    type: str
    target: str
    reversible: bool = False


class Usage(Contract):
    """What a model call consumed. Tokens are counts; money is in the outcome."""

    provider: str
    model: str
    input_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)
    cached_tokens: int = Field(default=0, ge=0)


class StructuredOutcome(Contract):
    """The result of one attempt of one skill.

    `code`, `retryable`, `effect` and `output` may enter decisions; `message`, `details` and
    `duration_ms` never do. `cost_microusd` is millionths of a US dollar, actual, not estimated.
    """

    status: Status
    code: str = Field(pattern=r"^[A-Z0-9_]+$")
    message: str = ""
    output: JsonValue = None
    retryable: bool = False
    blame: Blame | None = None
    retry_after_ms: int | None = Field(default=None, ge=0)
    effect: EffectState = EffectState.NONE
    cost_microusd: int = Field(default=0, ge=0)
    usage: tuple[Usage, ...] = ()
    duration_ms: int = Field(default=0, ge=0)
    side_effects: tuple[SideEffect, ...] = ()
    details: JsonObject = Field(default_factory=dict)
    skill: str = ""
    version: str = ""

    @model_validator(mode="after")
    def _known_code(self) -> Self:
        if self.code not in TAXONOMY:
            raise ValueError(f"code {self.code} is not in the taxonomy")
        return self

    @property
    def ok(self) -> bool:
        """Whether the output may be used."""
        return self.status in (Status.SUCCESS, Status.PARTIAL)

    @classmethod
    def success(cls, output: JsonValue, **fields: object) -> Self:
        """An outcome with code OK."""
        return cls.model_validate(
            {"status": Status.SUCCESS, "code": "OK", "output": output, **fields}
        )

    @classmethod
    def failure(cls, code: str, message: str = "", **fields: object) -> Self:
        """A failure whose retryability and blame are the taxonomy's unless given."""
        row = TAXONOMY[code]
        return cls.model_validate(
            {
                "status": Status.FAILURE,
                "code": code,
                "message": message or row.next_action,
                "retryable": row.retryable,
                "blame": row.blame,
                **fields,
            }
        )
