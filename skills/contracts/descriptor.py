"""`SkillDescriptor`: a skill as data. Planners, guards and the run machine see only this."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from .resources import ResourceContract
from .values import Contract, JsonObject, JsonValue


class Effects(StrEnum):
    """What a call does to the world; decides what is committed, and when.

    pure        a function of its input: its outcome travels with the next commit
    read        reads the world: its outcome is committed before the next decision uses it
    idempotent  a write that its key makes harmless to repeat: outcome committed
    unsafe      must not happen twice: intent committed before, outcome after, unknown → in doubt
    """

    PURE = "pure"
    READ = "read"
    IDEMPOTENT = "idempotent"
    UNSAFE = "unsafe"

    @property
    def must_not_repeat(self) -> bool:
        """Whether the intent is committed before the call."""
        return self is Effects.UNSAFE

    @property
    def writes(self) -> bool:
        """Whether a call may change the world."""
        return self in (Effects.IDEMPOTENT, Effects.UNSAFE)

    @property
    def reads_nothing(self) -> bool:
        """Whether the outcome may travel with the next commit."""
        return self is Effects.PURE


class EffectRule(Contract):
    """A milder (or harsher) class for calls whose input field has one of these values."""

    field: str
    values: tuple[JsonValue, ...]
    effects: Effects


class RetryPolicy(Contract):
    """How often a retryable failure is tried again, and after how long.

    delay(n) = min(max_delay_ms, initial_delay_ms · multiplier^n), plus up to `jitter` of it,
    drawn from the run's seed, so that a replay waits alike.
    """

    max_attempts: int = Field(default=3, ge=1, le=10)
    initial_delay_ms: int = Field(default=100, ge=0)
    max_delay_ms: int = Field(default=5_000, ge=0)
    multiplier: float = Field(default=2.0, ge=1)
    jitter: float = Field(default=0.1, ge=0, le=1)


class SkillDescriptor(Contract):
    """A versioned skill: what goes in, what comes out, what it may do and what it needs.

    `reconciles`: it can be asked whether a lost effect happened. `compensates`: it can undo one.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9_.]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    summary: str
    input_schema: JsonObject
    output_schema: JsonObject
    effects: Effects
    effect_rules: tuple[EffectRule, ...] = ()
    permissions: tuple[str, ...] = ()
    resources: ResourceContract = ResourceContract()
    retry: RetryPolicy = RetryPolicy()
    failure_modes: tuple[str, ...] = ()
    # Left out while False: so a descriptor without hooks reads as it did before there were any.
    reconciles: bool = Field(default=False, exclude_if=lambda has: not has)
    compensates: bool = Field(default=False, exclude_if=lambda has: not has)

    @property
    def ref(self) -> str:
        """`name@version`, as journals and the Ray dashboard show it."""
        return f"{self.name}@{self.version}"


def effects_of(descriptor: SkillDescriptor, params: Mapping[str, JsonValue]) -> Effects:
    """The effect class of one call: the first rule that matches, else the descriptor's.

    Pure, and conservative: a field that still holds a `{{reference}}` matches no rule. An absent
    field counts with the default that the input schema gives it.
    """
    for rule in descriptor.effect_rules:
        if params.get(rule.field, _default(descriptor, rule.field)) in rule.values:
            return rule.effects
    return descriptor.effects


def _default(descriptor: SkillDescriptor, field: str) -> JsonValue:
    properties = descriptor.input_schema.get("properties")
    schema = properties.get(field) if isinstance(properties, dict) else None
    return schema.get("default") if isinstance(schema, dict) else None
