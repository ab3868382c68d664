"""`@skill`: a typed async function becomes a versioned skill that stays callable.

    @skill(version="1.2.0", effects=Effects.READ, permissions=("network:outbound",))
    async def weather(input: WeatherInput, context: SkillContext) -> WeatherOutput:
        \"\"\"Today's weather of a city.\"\"\"

Input and output are pydantic models defined at module level; an output must survive its own JSON.
The first line of the docstring is the summary that planners read. A skill that cannot do its work
raises `SkillFailure`; whatever else it raises is a bug and becomes ERR_INTERNAL.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast, get_type_hints

from pydantic import BaseModel, ValidationError

from ..cluster.errors import InputError
from ..cluster.ids import new_id, new_trace_id
from ..cluster.settings import Settings, load
from .contracts import (
    TAXONOMY,
    Category,
    EffectRule,
    Effects,
    EffectState,
    JsonValue,
    ResourceContract,
    RetryPolicy,
    SideEffect,
    SkillDescriptor,
    Usage,
)

MAX_COST_MICROUSD = 10**15
"""A billion dollars: more is an error in a price, and JSON numbers end soon after."""

InputT = TypeVar("InputT", bound=BaseModel)
OutputT = TypeVar("OutputT", bound=BaseModel)


class InvalidSkill(InputError):
    """A function cannot be a skill: its signature or its declaration says something impossible."""

    code = "AOS-1201"
    title = "This function cannot be a skill."
    next_action = "Correct the signature or the declaration as the message says."


class SkillFailure(Exception):
    """How a skill says what went wrong, in the words of the taxonomy.

    `effect` is what is known of the outside world: say NONE when nothing was sent; unsaid, a call
    that may write counts as UNKNOWN. `retryable` overrides the code's own. Raises `ValueError`
    for a code that does not exist or means success.
    """

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        details: Mapping[str, JsonValue] | None = None,
        retry_after_ms: int | None = None,
        effect: EffectState | None = None,
        retryable: bool | None = None,
    ) -> None:
        row = TAXONOMY.get(code)
        if row is None or row.category is Category.SUCCESS:
            raise ValueError(f"{code!r} is not a failure code of the taxonomy")
        self.code = code
        self.message = message or row.next_action
        self.details = dict(details or {})
        self.retry_after_ms = retry_after_ms
        self.effect = effect
        self.retryable = retryable
        super().__init__(f"{code}: {self.message}")


@dataclass(frozen=True, slots=True)
class Charge:
    """One priced consumption. `cost_microusd` is millionths of a US dollar."""

    usage: Usage
    cost_microusd: int


def _ignore(text: str) -> None:
    """Progress of a direct call has no reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillContext:
    """What a skill is told about its call, and where it reports to.

    The executor makes one per attempt; only the skill it was made for writes to it. Made by hand
    (`SkillContext(settings=…)`) it describes a direct call outside any run.
    """

    settings: Settings
    run_id: str = "local"
    step_id: str = "local"
    attempt: int = 1
    idempotency_key: str = field(default_factory=lambda: f"local/{new_id()}")
    seed: int = 0
    tenant: str = "local"
    trace_id: str = field(default_factory=new_trace_id)
    model: str | None = None
    on_progress: Callable[[str], None] = _ignore
    charges: list[Charge] = field(default_factory=list[Charge])
    side_effects: list[SideEffect] = field(default_factory=list[SideEffect])

    def progress(self, text: str) -> None:
        """Show something to whoever watches. Never journaled; may be called from any thread."""
        self.on_progress(text)

    def charge(self, usage: Usage, cost_microusd: int) -> None:
        """Report what was consumed, as soon as it is known: it counts even if the call fails later.

        Raises `ValueError` for a cost that is negative or over a billion dollars.
        """
        if not 0 <= cost_microusd <= MAX_COST_MICROUSD:
            raise ValueError(f"a cost cannot be {cost_microusd} millionths of a dollar")
        self.charges.append(Charge(usage, cost_microusd))

    def side_effect(self, type: str, target: str, reversible: bool = False) -> None:  # noqa: A002 - the contract's field name
        """Record something done to the world, in the order it was done."""
        self.side_effects.append(SideEffect(type=type, target=target, reversible=reversible))


SkillFunction = Callable[[InputT, SkillContext], Awaitable[OutputT]]


class Skill(Generic[InputT, OutputT]):
    """A skill: the function, its models, and the descriptor that everybody else sees."""

    def __init__(
        self,
        function: SkillFunction[InputT, OutputT],
        input_model: type[InputT],
        output_model: type[OutputT],
        descriptor: SkillDescriptor,
    ) -> None:
        self.function = function
        self.input_model = input_model
        self.output_model = output_model
        self.descriptor = descriptor
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__name__ = getattr(function, "__name__", descriptor.name)
        self.__qualname__ = getattr(function, "__qualname__", descriptor.name)

    async def __call__(self, input: InputT, context: SkillContext | None = None) -> OutputT:  # noqa: A002 - the contract's argument name
        """Call the function itself, without executor or guards. Raises what it raises."""
        return await self.function(input, context or SkillContext(settings=load()))

    def __reduce__(self) -> str:
        """Skills cross process borders by name: code is never shipped inside a message."""
        return self.__qualname__

    def __repr__(self) -> str:
        return f"<skill {self.descriptor.ref}>"


def skill(  # noqa: PLR0913 - one keyword per part of the descriptor
    *,
    version: str = "1.0.0",
    effects: Effects = Effects.UNSAFE,
    name: str | None = None,
    effect_rules: Sequence[EffectRule] = (),
    permissions: Sequence[str] = (),
    resources: ResourceContract | None = None,
    retry: RetryPolicy | None = None,
    failure_modes: Sequence[str] = (),
) -> Callable[[SkillFunction[InputT, OutputT]], Skill[InputT, OutputT]]:
    """Make a skill of `async def name(input: Model, context: SkillContext) -> Model`.

    What is not declared is the careful choice: effects are unsafe. Raises `InvalidSkill`.
    """
    declared: dict[str, Any] = {
        "version": version,
        "effects": effects,
        "effect_rules": tuple(effect_rules),
        "permissions": tuple(permissions),
        "resources": resources or ResourceContract(),
        "retry": retry or RetryPolicy(),
        "failure_modes": tuple(failure_modes),
    }

    def decorate(function: SkillFunction[InputT, OutputT]) -> Skill[InputT, OutputT]:
        input_model, output_model = _models(function)
        descriptor = _descriptor(function, name, declared, input_model, output_model)
        return Skill(
            function,
            cast("type[InputT]", input_model),
            cast("type[OutputT]", output_model),
            descriptor,
        )

    return decorate


def _models(function: Callable[..., Any]) -> tuple[type[BaseModel], type[BaseModel]]:
    label = getattr(function, "__qualname__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise InvalidSkill(f"{label} must be an `async def` function")
    parameters = list(inspect.signature(function).parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) != 2 or any(each.kind not in positional for each in parameters):
        raise InvalidSkill(f"{label} must take exactly two arguments: (input, context)")
    try:
        hints = get_type_hints(function)
    except Exception as error:
        raise InvalidSkill(
            f"the annotations of {label} cannot be resolved ({error}); "
            "define its models at module level, not under TYPE_CHECKING"
        ) from error
    if hints.get(parameters[1].name) is not SkillContext:
        raise InvalidSkill(f"the second argument of {label} must be annotated SkillContext")
    return (
        _model(hints.get(parameters[0].name), f"the first argument of {label}"),
        _model(hints.get("return"), f"the return value of {label}"),
    )


def _model(annotation: object, what: str) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    raise InvalidSkill(f"{what} must be annotated with a pydantic model, not {annotation!r}")


def _descriptor(
    function: Callable[..., Any],
    name: str | None,
    declared: dict[str, Any],
    input_model: type[BaseModel],
    output_model: type[BaseModel],
) -> SkillDescriptor:
    label = name or function.__name__
    summary = (inspect.getdoc(function) or "").partition("\n")[0].strip()
    if not summary:
        raise InvalidSkill(f"{label} needs a docstring: its first line is what planners read")
    for rule in declared["effect_rules"]:
        if rule.field not in input_model.model_fields:
            raise InvalidSkill(
                f"{label}: an effect rule names {rule.field!r}, which is not an input"
            )
    if unknown := [code for code in declared["failure_modes"] if code not in TAXONOMY]:
        raise InvalidSkill(f"{label}: failure modes not in the taxonomy: {', '.join(unknown)}")
    try:
        return SkillDescriptor(
            name=label,
            summary=summary,
            input_schema=input_model.model_json_schema(mode="validation"),
            output_schema=output_model.model_json_schema(mode="serialization"),
            **declared,
        )
    except (ValidationError, TypeError, ValueError) as error:
        raise InvalidSkill(f"{label}: {error}") from error
