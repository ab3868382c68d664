"""Runs one call of one skill. A total function: it always ends in exactly one outcome.

    resolve → validate input → guards before → run → classify → guards after → stamp

What is run is the skill's function or, as the call's mode says, one of its hooks; the way is the
same for all.

Each stage takes and returns one immutable record; the first stage that settles the outcome ends
the pipeline. Nothing a skill, a guard or a plug-in does makes `execute` raise. Only what is not
about the call passes through: `KeyboardInterrupt`, and cancellation of the caller itself.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticSerializationError, to_json

from ..cluster import faults
from ..cluster.memory import MIB, limited
from ..cluster.settings import Settings
from .attempt import Attempt, Ending, Returned
from .call import Mode, Progress, SkillCall, SkillEvent
from .classify import (
    effect_of,
    input_of,
    outcome_of,
    outcome_of_error,
    outcome_of_invalid_input,
)
from .context import Charge, SkillContext
from .contracts import (
    Effects,
    EffectState,
    JsonValue,
    ResourceContract,
    SideEffect,
    StructuredOutcome,
)
from .guards import DEFAULT_GUARDS, Guard
from .modes import Body, body_of, missing_hook, prior_output_of, value_json
from .redaction import Redactor, redactor, secrets_in, storable
from .registry import AnySkill, Registry

_MAX_DETAILS = 16_384
"""Characters of an outcome's details, as JSON."""

PLANNER_PREFIX = "planner."
"""What the names of planners begin with: skills whose output is a plan."""


@dataclass(frozen=True, slots=True)
class _Execution:
    """Everything known so far about the call. `outcome` is set once, then only judged."""

    call: SkillCall
    registry: Registry
    guards: tuple[Guard, ...]
    redact: Redactor
    started: float
    skill: AnySkill | None = None
    input: BaseModel | None = None
    prior: BaseModel | None = None
    effects: Effects = Effects.PURE
    limit_mb: int = 0
    outcome: StructuredOutcome | None = None
    charges: tuple[Charge, ...] = ()
    side_effects: tuple[SideEffect, ...] = ()


Stage = Callable[[_Execution], _Execution]


async def execute(
    call: SkillCall,
    registry: Registry,
    settings: Settings,
    guards: Sequence[Guard] = DEFAULT_GUARDS,
) -> AsyncIterator[SkillEvent]:
    """Run the call. Yields `Progress` as it occurs, then exactly one `StructuredOutcome`.

    While the skill's function runs, the process is under the memory limit of its contract.
    Closing the iterator, or cancelling its reader, cancels the skill and yields nothing more.
    """
    redact = redactor(settings, kept=call.effect_key)
    record = _Execution(call, registry, tuple(guards), redact, time.monotonic())
    record = _advance(record, partial(_resolve, settings=settings), _validate, _admit)
    if record.outcome is None and record.skill is not None:
        attempt = Attempt(record.skill.descriptor.resources.timeout_s)
        context = _context(record, settings, attempt.progress)
        async with attempt.running(_body(record.skill, record, context)):
            async for text in attempt:
                yield Progress(step_id=call.step_id, text=record.redact(storable(text)))
        record = _settle(record, attempt.ending, context)
    yield _stamp(record)


def _advance(record: _Execution, *stages: Stage) -> _Execution:
    for stage in stages:
        if record.outcome is not None:
            return record
        record = _contain(record, stage, EffectState.NONE)
    return record


def _contain(record: _Execution, stage: Stage, effect: EffectState) -> _Execution:
    """Run one stage; what it raises becomes the outcome."""
    try:
        return stage(record)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return replace(record, outcome=outcome_of_error(error, effect))


def memory_limit_mb(contract: ResourceContract, settings: Settings) -> int:
    """MiB that an attempt may allocate: what the skill declares, else the setting. 0: no limit."""
    return contract.memory_mb or settings.skill_memory_mb


def _resolve(record: _Execution, settings: Settings) -> _Execution:
    skill = record.registry.get(record.call.skill, record.call.version or None)
    return replace(
        record,
        skill=skill,
        effects=record.call.effects(skill.descriptor),
        limit_mb=memory_limit_mb(skill.descriptor.resources, settings),
        outcome=missing_hook(skill, record.call.mode),
    )


def _validate(record: _Execution) -> _Execution:
    skill = _skill(record)
    try:
        given = input_of(skill.input_model, record.call.params)
        prior = prior_output_of(skill, record.call)
        secrets = (*secrets_in(given), *secrets_in(prior))
        return replace(record, input=given, prior=prior, redact=record.redact.knowing(secrets))
    except (ValidationError, PydanticSerializationError) as error:
        return replace(record, outcome=outcome_of_invalid_input(error))


def _admit(record: _Execution) -> _Execution:
    """The first guard that refuses settles the outcome."""
    for guard in record.guards:
        if (refusal := guard.before(record.call, _skill(record).descriptor)) is not None:
            return replace(record, outcome=refusal)
    return record


def _skill(record: _Execution) -> AnySkill:
    if record.skill is None:
        raise RuntimeError("a stage ran before the skill was resolved")
    return record.skill


def _context(
    record: _Execution, settings: Settings, on_progress: Callable[[str], None]
) -> SkillContext:
    call = record.call
    return SkillContext(
        settings=settings,
        run_id=call.run_id,
        step_id=call.step_id,
        attempt=call.attempt,
        idempotency_key=call.effect_key,
        seed=call.seed,
        tenant=call.tenant,
        trace_id=call.trace_id,
        model=call.model,
        on_progress=on_progress,
    )


def _body(skill: AnySkill, record: _Execution, context: SkillContext) -> Body:
    called = body_of(skill, record.call.mode, record.input, record.prior, context)

    async def body() -> Any:
        # Around nothing else: whoever classifies the error must have memory to do so.
        with limited(record.limit_mb * MIB or None):
            faults.point("skill.started")
            value = await called()
            faults.point("skill.finished")
        return value

    return body


def _settle(record: _Execution, ending: Ending, context: SkillContext) -> _Execution:
    """Classify what happened and let the guards judge it, innermost first."""
    record = replace(
        record, charges=tuple(context.charges), side_effects=tuple(context.side_effects)
    )
    record = _contain(record, partial(_classify, ending=ending), effect_of(record.effects, None))
    for guard in reversed(record.guards):
        record = _contain(record, partial(_judge, guard=guard), _outcome(record).effect)
    return record


def _classify(record: _Execution, ending: Ending) -> _Execution:
    to_output = partial(value_json, _skill(record), record.call.mode)
    outcome = outcome_of(_skill(record), record.effects, ending, to_output, record.limit_mb)
    value = ending.value if isinstance(ending, Returned) else None
    return replace(record, outcome=outcome, redact=record.redact.knowing(secrets_in(value)))


def _judge(record: _Execution, guard: Guard) -> _Execution:
    judged = guard.after(record.call, _skill(record).descriptor, _outcome(record))
    return replace(record, outcome=judged)


def _outcome(record: _Execution) -> StructuredOutcome:
    return record.outcome or StructuredOutcome.failure("ERR_INTERNAL", "no stage settled the call")


def _stamp(record: _Execution) -> StructuredOutcome:
    """What only the executor knows, and nothing that only the skill and the settings may know."""
    outcome, redact = _outcome(record), record.redact
    # A plan is executed as it is journaled: a mask in it would be sent where a password belongs.
    redact_output = redact.known_in_json if _plans(record.call) else redact.json
    return outcome.model_copy(
        update={
            "skill": record.call.skill,
            "version": record.skill.descriptor.version if record.skill else record.call.version,
            "duration_ms": round((time.monotonic() - record.started) * 1000),
            "cost_microusd": sum(charge.cost_microusd for charge in record.charges),
            "usage": tuple(charge.usage for charge in record.charges),
            "side_effects": tuple(
                effect.model_copy(update={"target": redact(storable(effect.target))})
                for effect in record.side_effects
            ),
            "message": redact(outcome.message),
            "output": redact_output(outcome.output),
            "details": _bounded(redact.json(outcome.details)),
        }
    )


def _bounded(details: JsonValue) -> JsonValue:
    """Details explain, they carry nothing: of long ones the beginning is kept, as text."""
    if not details or len(text := to_json(details).decode(errors="replace")) <= _MAX_DETAILS:
        return details
    return {"cut": text[:_MAX_DETAILS]}


def _plans(call: SkillCall) -> bool:
    return call.mode is Mode.EXECUTE and call.skill.startswith(PLANNER_PREFIX)
