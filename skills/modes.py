"""What each mode of a call runs, and what its return value looks like in the outcome."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from .call import Mode, SkillCall
from .classify import WrongShape, output_json
from .context import SkillContext
from .contracts import Reconciliation, StructuredOutcome, Verdict
from .hooks import DidNotHappen, Happened, Unclear
from .redaction import masked, storable
from .registry import AnySkill

Body = Callable[[], Awaitable[Any]]


def missing_hook(skill: AnySkill, mode: Mode) -> StructuredOutcome | None:
    """The refusal of a mode that the skill has no function for."""
    ref = skill.descriptor.ref
    if mode is Mode.RECONCILE and skill.reconciler is None:
        return StructuredOutcome.failure("ERR_NO_RECONCILER", f"{ref} has no reconcile function")
    if mode is Mode.COMPENSATE and skill.compensator is None:
        return StructuredOutcome.failure("ERR_NO_COMPENSATOR", f"{ref} has no compensate function")
    return None


def prior_output_of(skill: AnySkill, call: SkillCall) -> BaseModel | None:
    """What the call to be compensated returned, in the skill's own terms; None if that is unknown.

    An output that was redacted may not fit its model any more: then it is unknown. Raises
    `ValidationError` or `PydanticSerializationError` for one that never fitted.
    """
    if call.mode is not Mode.COMPENSATE or call.prior_output is None:
        return None
    try:
        return skill.output_model.model_validate_json(to_json(call.prior_output))
    except (ValidationError, PydanticSerializationError):
        if masked(call.prior_output):
            return None
        raise


def body_of(
    skill: AnySkill, mode: Mode, given: Any, prior: BaseModel | None, context: SkillContext
) -> Body:
    """The function that is called, with its arguments. Raises `LookupError` without one."""
    if mode is Mode.EXECUTE:
        return lambda: skill.function(given, context)
    if mode is Mode.RECONCILE and (reconcile := skill.reconciler) is not None:
        return lambda: reconcile(given, context)
    if mode is Mode.COMPENSATE and (compensate := skill.compensator) is not None:
        return lambda: compensate(given, prior, context)
    raise LookupError(f"{skill.descriptor.ref} cannot {mode}")


def value_json(skill: AnySkill, mode: Mode, value: Any) -> JsonValue:
    """The output of a call that returned `value`. Raises `NotJson` or `WrongShape`."""
    if mode is Mode.EXECUTE:
        return output_json(skill.output_model, value)
    if mode is Mode.RECONCILE:
        return _reconciliation(skill, value).model_dump(mode="json")
    if value is not None:
        raise WrongShape(f"a compensation returns nothing, not {type(value).__name__}")
    return None


def _reconciliation(skill: AnySkill, value: Any) -> Reconciliation:
    match value:
        case Happened(output=output):
            known = output_json(skill.output_model, output)
            return Reconciliation(verdict=Verdict.HAPPENED, output=known)
        case DidNotHappen():
            return Reconciliation(verdict=Verdict.DID_NOT_HAPPEN)
        case Unclear(reason=reason):
            return Reconciliation(verdict=Verdict.UNCLEAR, reason=storable(str(reason)))
        case _:
            raise WrongShape(
                "a reconciliation returns Happened, DidNotHappen or Unclear, "
                f"not {type(value).__name__}"
            )
