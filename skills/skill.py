"""`@skill`: a typed async function becomes a versioned skill that stays callable.

    @skill(version="1.2.0", effects=Effects.READ, permissions=("network:outbound",))
    async def weather(input: WeatherInput, context: SkillContext) -> WeatherOutput:
        \"\"\"Today's weather of a city.\"\"\"

Input and output are pydantic models defined at module level; an output must survive its own JSON.
The first line of the docstring is the summary that planners read. A skill that cannot do its work
raises `SkillFailure`; whatever else it raises is a bug and becomes ERR_INTERNAL.

A skill that writes may have two more functions. `@pay.reconcile` says whether an effect whose
outcome was lost has happened, and only reads; `@pay.compensate` undoes an effect.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, cast

from ..cluster.settings import load
from .context import MAX_COST_MICROUSD, Charge, SkillContext
from .contracts import (
    TAXONOMY,
    Category,
    EffectRule,
    Effects,
    EffectState,
    JsonValue,
    ResourceContract,
    RetryPolicy,
    SkillDescriptor,
)
from .declaration import InvalidSkill, check_compensate, check_reconcile, descriptor_of, models_of
from .hooks import Compensate, DidNotHappen, Happened, InputT, OutputT, Reconcile, Unclear

__all__ = [
    "MAX_COST_MICROUSD",
    "Charge",
    "DidNotHappen",
    "Happened",
    "InvalidSkill",
    "Skill",
    "SkillContext",
    "SkillFailure",
    "Unclear",
    "skill",
]


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
        self.reconciler: Reconcile[InputT, OutputT] | None = None
        self.compensator: Compensate[InputT, OutputT] | None = None
        self.__doc__ = function.__doc__
        self.__module__ = function.__module__
        self.__name__ = getattr(function, "__name__", descriptor.name)
        self.__qualname__ = getattr(function, "__qualname__", descriptor.name)

    async def __call__(self, input: InputT, context: SkillContext | None = None) -> OutputT:  # noqa: A002 - the contract's argument name
        """Call the function itself, without executor or guards. Raises what it raises."""
        return await self.function(input, context or SkillContext(settings=load()))

    def reconcile(self, function: Reconcile[InputT, OutputT]) -> Reconcile[InputT, OutputT]:
        """Declare how to find out whether an effect happened whose outcome was lost.

        The function gets the input and the `context.idempotency_key` of the lost call, and only
        reads. Returns the function as it is. Raises `InvalidSkill`.
        """
        self._keeps_its_name(function)
        check_reconcile(self.descriptor, (self.input_model, self.output_model), function)
        self.reconciler = function
        self.descriptor = self.descriptor.model_copy(update={"reconciles": True})
        return function

    def compensate(self, function: Compensate[InputT, OutputT]) -> Compensate[InputT, OutputT]:
        """Declare how to undo an effect, once per `context.undo_key` and whether it happened or
        not. The output is None when nobody knows what the call returned.

        Returns the function as it is. Raises `InvalidSkill`.
        """
        self._keeps_its_name(function)
        check_compensate(self.descriptor, (self.input_model, self.output_model), function)
        self.compensator = function
        self.descriptor = self.descriptor.model_copy(update={"compensates": True})
        return function

    def _keeps_its_name(self, function: Callable[..., Any]) -> None:
        # The function takes its name in the module: as the skill's it would hide the skill.
        if getattr(function, "__qualname__", "") == self.__qualname__:
            raise InvalidSkill(f"give the function another name than {self.__qualname__}")

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
        input_model, output_model = models_of(function)
        descriptor = descriptor_of(function, name, declared, input_model, output_model)
        return Skill(
            function,
            cast("type[InputT]", input_model),
            cast("type[OutputT]", output_model),
            descriptor,
        )

    return decorate
