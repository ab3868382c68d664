"""From what a skill did to the outcome that says so. Total: any value, any exception.

Classification looks at types, never at messages.
"""

from __future__ import annotations

import errno
import traceback
from collections.abc import Callable
from typing import Any, cast

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import PydanticSerializationError, to_json, to_jsonable_python

from ..cluster.canonical import canonical
from .attempt import Ending, Expired, Raised
from .contracts import Effects, EffectState, StructuredOutcome
from .contracts.sensitive import REDACTED
from .redaction import may_hold_secrets, storable
from .registry import AnySkill, SkillNotFound
from .skill import SkillFailure

_MAX_TRACEBACK = 8_000
_MAX_MESSAGE = 500
_MAX_ERRORS = 20


class WrongShape(Exception):
    """The skill returned something its output model does not accept."""


class NotJson(Exception):
    """The skill returned something that is not a JSON value."""


def effect_of(effects: Effects, claimed: EffectState | None) -> EffectState:
    """What is known of the world after a failure: nothing that reads has changed it; of what
    writes the skill may know better, else it is unknown.
    """
    if not effects.writes:
        return EffectState.NONE
    return EffectState.UNKNOWN if claimed is None else claimed


def outcome_of(
    skill: AnySkill,
    effects: Effects,
    ending: Ending,
    to_output: Callable[[Any], JsonValue],
    limit_mb: int = 0,
) -> StructuredOutcome:
    """The outcome of a skill that ran, within `limit_mb` MiB of memory (0: without a limit).

    `to_output` makes its return value the output. It may raise `NotJson` or `WrongShape`.
    """
    if isinstance(ending, Expired):
        timeout = skill.descriptor.resources.timeout_s
        return StructuredOutcome.failure(
            "ERR_TIMEOUT",
            f"{skill.descriptor.ref} did not end within {timeout:g} s",
            effect=effect_of(effects, None),
            details={"timeout_s": timeout},
        )
    if isinstance(ending, Raised):
        if ran_out_of_memory(ending.error):
            return outcome_without_memory(skill, effects, limit_mb)
        return outcome_of_error(ending.error, effect_of(effects, None), effects)
    done = EffectState.DONE if effects.writes else EffectState.NONE
    try:
        return StructuredOutcome.success(to_output(ending.value), effect=done)
    except (NotJson, ValidationError) as error:  # the latter: nested too deeply for an outcome
        return StructuredOutcome.failure("ERR_SERIALIZATION_FAILED", brief(error), effect=done)
    except WrongShape as error:
        errors = _errors(error.__cause__ or error)
        return StructuredOutcome.failure(
            "ERR_SCHEMA_MISMATCH", effect=done, details={"errors": errors}
        )
    except Exception as error:  # a serializer of the output model that raises
        return outcome_of_error(error, done)


def outcome_of_error(
    error: BaseException, effect: EffectState, effects: Effects = Effects.PURE
) -> StructuredOutcome:
    """The outcome of an exception: the skill's own failure, or ERR_INTERNAL with its traceback.

    `effect` holds for everything but a `SkillFailure`, which may say for itself.
    """
    try:
        if isinstance(error, SkillFailure):
            return _declared(error, effects)
        if isinstance(error, SkillNotFound):
            return StructuredOutcome.failure("ERR_SKILL_NOT_FOUND", error.detail)
    except Exception as broken:  # a failure whose fields are not what its class promises
        error = broken
    return StructuredOutcome.failure(
        "ERR_INTERNAL", brief(error), effect=effect, details={"traceback": _traceback(error)}
    )


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: by the type of the error, of what it groups, or of what it was raised
    from or while handling. A `SkillFailure` is the skill's own word and never asked.
    """
    seen: set[int] = set()
    chain: list[BaseException | None] = [None if isinstance(error, SkillFailure) else error]
    while chain:
        link = chain.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        if isinstance(link, MemoryError):
            return True
        if isinstance(link, OSError) and link.errno == errno.ENOMEM:  # mmap, fork
            return True
        if isinstance(link, BaseExceptionGroup):
            chain += cast("BaseExceptionGroup[BaseException]", link).exceptions
        chain += [link.__cause__, None if link.__suppress_context__ else link.__context__]
    return False


def outcome_without_memory(skill: AnySkill, effects: Effects, limit_mb: int) -> StructuredOutcome:
    """ERR_OUT_OF_MEMORY: what the limit was, and whose it is to change."""
    ref, declared = skill.descriptor.ref, skill.descriptor.resources.memory_mb
    if not limit_mb:
        message = f"{ref} found no memory, though no limit of AOS was set"
    elif declared:
        message = (
            f"{ref} needed more than the {limit_mb} MiB that it declares: raise memory_mb in its "
            "ResourceContract, or give it less to do"
        )
    else:
        message = (
            f"{ref} needed more than {limit_mb} MiB, the limit of skills that declare none: "
            "declare memory_mb in its ResourceContract, raise AOS_SKILL_MEMORY_MB, or give it less "
            "to do"
        )
    return StructuredOutcome.failure(
        "ERR_OUT_OF_MEMORY",
        message,
        effect=effect_of(effects, None),
        details={"memory_mb": limit_mb},
    )


def outcome_of_invalid_input(
    error: ValidationError | PydanticSerializationError,
) -> StructuredOutcome:
    """ERR_VALIDATION_FAILED; `details.errors` lists field, message and type, never the value."""
    errors = _errors(error)
    first = errors[0] if errors else None
    message = f"{first['field']}: {first['message']}" if isinstance(first, dict) else brief(error)
    return StructuredOutcome.failure("ERR_VALIDATION_FAILED", message, details={"errors": errors})


def input_of(model: type[BaseModel], params: Any) -> BaseModel:
    """Validate JSON parameters. Raises `ValidationError` or `PydanticSerializationError`."""
    return model.model_validate_json(to_json(params))


def output_json(model: type[BaseModel], value: Any) -> JsonValue:
    """The JSON of a skill's return value, which the output model must accept back: so whoever reads
    a journal can read it with the model. `Sensitive` fields are masked after that. Raises `NotJson`
    or `WrongShape`.
    """
    if isinstance(value, BaseModel) and not isinstance(value, model):
        raise WrongShape(f"{type(value).__name__} is not {model.__name__}")
    try:
        if not isinstance(value, model):
            value = model.model_validate(to_jsonable_python(value))
        dumped: JsonValue = value.model_dump(mode="json", by_alias=True, warnings=False)
        canonical(dumped)
        model.model_validate(dumped, extra="ignore")
        if may_hold_secrets(cast("type[BaseModel]", type(value))):
            dumped = value.model_dump(
                mode="json", by_alias=True, warnings=False, context={REDACTED: True}
            )
    except ValidationError as error:
        raise WrongShape(str(error)) from error
    except (ValueError, RecursionError) as error:  # how pydantic and `canonical` refuse to encode
        raise NotJson(str(error)) from error
    return dumped


def brief(error: BaseException) -> str:
    """One line about an exception, safe to store."""
    lines = traceback.format_exception_only(type(error), error)
    return storable(lines[-1].strip())[:_MAX_MESSAGE]


def _declared(error: SkillFailure, effects: Effects) -> StructuredOutcome:
    fields: dict[str, object] = {} if error.retryable is None else {"retryable": error.retryable}
    canonical([error.details, error.retry_after_ms])  # raises for what a journal cannot hold
    return StructuredOutcome.failure(
        error.code,
        storable(error.message),
        details=error.details,
        retry_after_ms=error.retry_after_ms,
        effect=effect_of(effects, error.effect),
        **fields,
    )


def _errors(error: BaseException) -> list[JsonValue]:
    """What is wrong, field by field; a whole that is wrong has no field."""
    if not isinstance(error, ValidationError):
        return [{"field": "", "message": brief(error), "type": type(error).__name__}]
    issues = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {
            "field": storable(".".join(str(part) for part in issue["loc"]))[:_MAX_MESSAGE],
            "message": storable(issue["msg"])[:_MAX_MESSAGE],
            "type": issue["type"],
        }
        for issue in issues[:_MAX_ERRORS]
    ]


def _traceback(error: BaseException) -> str:
    """The end of the traceback: the innermost frames and the message say most."""
    text = storable("".join(traceback.format_exception(error)))
    return text if len(text) <= _MAX_TRACEBACK else "…" + text[-_MAX_TRACEBACK:]
