"""Whether a function can be a skill, or a hook of one. Everything here raises `InvalidSkill`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ValidationError

from ..cluster.errors import InputError
from .context import SkillContext
from .contracts import TAXONOMY, SkillDescriptor
from .hooks import DidNotHappen, Happened, Unclear


class InvalidSkill(InputError):
    """A function cannot be a skill: its signature or its declaration says something impossible."""

    code = "AOS-1201"
    title = "This function cannot be a skill."
    next_action = "Correct the signature or the declaration as the message says."


def models_of(function: Callable[..., Any]) -> tuple[type[BaseModel], type[BaseModel]]:
    """The input and the output model of `async def name(input: Model, context) -> Model`."""
    label, hints = _signature(function, "input", "context")
    return (
        _model(hints[0], f"the first argument of {label}"),
        _model(hints[-1], f"the return value of {label}"),
    )


def check_reconcile(
    descriptor: SkillDescriptor,
    models: tuple[type[BaseModel], type[BaseModel]],
    function: Callable[..., Any],
) -> None:
    """`async def name(input, context) -> Happened[Output] | DidNotHappen | Unclear`."""
    label, hints = _signature(function, "input", "context")
    _check_hook(descriptor, descriptor.reconciles, "reconcile", label)
    _check_accepts(hints[0], models[0], label)
    answers = get_args(hints[-1]) if _is_union(hints[-1]) else (hints[-1],)
    for answer in answers:
        if answer in (DidNotHappen, Unclear):
            continue
        found = get_args(answer)[0] if get_origin(answer) is Happened else None
        if not (isinstance(found, type) and issubclass(found, models[1])):
            raise InvalidSkill(
                f"{label} must return Happened[{models[1].__name__}] | DidNotHappen | Unclear, "
                f"not {answer!r}"
            )


def check_compensate(
    descriptor: SkillDescriptor,
    models: tuple[type[BaseModel], type[BaseModel]],
    function: Callable[..., Any],
) -> None:
    """`async def name(input, output: Output | None, context) -> None`."""
    label, hints = _signature(function, "input", "output", "context")
    _check_hook(descriptor, descriptor.compensates, "compensate", label)
    _check_accepts(hints[0], models[0], label)
    outputs = get_args(hints[1]) if _is_union(hints[1]) else (hints[1],)
    if NoneType not in outputs:
        raise InvalidSkill(
            f"the second argument of {label} must be {models[1].__name__} | None: it is None when "
            "nobody knows what the call returned"
        )
    if not any(isinstance(each, type) and issubclass(models[1], each) for each in outputs):
        raise InvalidSkill(f"the second argument of {label} must accept {models[1].__name__}")
    if hints[-1] is not NoneType:
        raise InvalidSkill(f"{label} must be annotated to return None")


def _check_hook(descriptor: SkillDescriptor, given: bool, kind: str, label: str) -> None:
    if given:
        raise InvalidSkill(f"{descriptor.ref} has a {kind} function already")
    effects = (descriptor.effects, *(rule.effects for rule in descriptor.effect_rules))
    if not any(each.writes for each in effects):
        raise InvalidSkill(f"{descriptor.ref} changes nothing: {label} has nothing to {kind}")


def _check_accepts(hint: object, model: type[BaseModel], label: str) -> None:
    if not (isinstance(hint, type) and issubclass(model, hint)):
        raise InvalidSkill(
            f"the first argument of {label} must be annotated {model.__name__}, not {hint!r}"
        )


def _is_union(hint: object) -> bool:
    return get_origin(hint) in (Union, UnionType)


def _signature(function: Callable[..., Any], *arguments: str) -> tuple[str, list[object]]:
    """The name, and the annotations of the arguments and, last, of the return value."""
    label = getattr(function, "__qualname__", repr(function))
    if not inspect.iscoroutinefunction(function):
        raise InvalidSkill(f"{label} must be an `async def` function")
    parameters = list(inspect.signature(function).parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) != len(arguments) or any(each.kind not in positional for each in parameters):
        number = {2: "two", 3: "three"}[len(arguments)]
        raise InvalidSkill(
            f"{label} must take exactly {number} arguments: ({', '.join(arguments)})"
        )
    try:
        hints = get_type_hints(function)
    except Exception as error:
        raise InvalidSkill(
            f"the annotations of {label} cannot be resolved ({error}); "
            "define its models at module level, not under TYPE_CHECKING"
        ) from error
    if hints.get(parameters[-1].name) is not SkillContext:
        raise InvalidSkill(f"the last argument of {label} must be annotated SkillContext")
    return label, [*(hints.get(each.name) for each in parameters), hints.get("return")]


def _model(annotation: object, what: str) -> type[BaseModel]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    raise InvalidSkill(f"{what} must be annotated with a pydantic model, not {annotation!r}")


def descriptor_of(
    function: Callable[..., Any],
    name: str | None,
    declared: dict[str, Any],
    input_model: type[BaseModel],
    output_model: type[BaseModel],
) -> SkillDescriptor:
    """The descriptor of a skill that is declared like this."""
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
