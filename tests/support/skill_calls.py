"""Short ways to call skills in tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aos.cluster.settings import Settings, load
from aos.skills.call import Progress, SkillCall
from aos.skills.contracts import JsonObject, StructuredOutcome
from aos.skills.executor import execute
from aos.skills.guards import DEFAULT_GUARDS, Guard
from aos.skills.registry import Registry
from aos.skills.skill import Skill

EVERYTHING = ("network:outbound", "model:invoke")


def settings(**overrides: Any) -> Settings:
    """Settings without this machine's environment: no key, no private hosts unless given."""
    defaults: dict[str, Any] = {
        "home": Path("/nonexistent"),
        "database_url": None,
        "anthropic_api_key": None,
        "anthropic_base_url": None,
    }
    return load(**(defaults | overrides))


def call_of(skill: Skill[Any, Any] | str, params: JsonObject, **fields: Any) -> SkillCall:
    """A call with every permission; `fields` override."""
    name, version = (
        (skill, "") if isinstance(skill, str) else (skill.descriptor.name, skill.descriptor.version)
    )
    defaults: dict[str, Any] = {
        "run_id": "run-1",
        "step_id": "s1",
        "attempt": 1,
        "skill": name,
        "version": version,
        "params": params,
        "idempotency_key": "run-1/s1/1",
        "seed": 7,
        "permissions": EVERYTHING,
        "tenant": "default",
        "trace_id": "0" * 32,
    }
    return SkillCall(**(defaults | fields))


async def events_of(
    skill: Skill[Any, Any],
    params: JsonObject,
    *,
    using: Settings | None = None,
    guards: Sequence[Guard] = DEFAULT_GUARDS,
    **fields: Any,
) -> tuple[list[str], StructuredOutcome]:
    """The progress texts and the outcome of one execution of one skill."""
    texts: list[str] = []
    outcomes: list[StructuredOutcome] = []
    call = call_of(skill, params, **fields)
    async for event in execute(call, Registry([skill]), using or settings(), guards):
        if isinstance(event, Progress):
            assert not outcomes, "progress after the outcome"
            texts.append(event.text)
        else:
            outcomes.append(event)
    assert len(outcomes) == 1
    return texts, outcomes[0]


async def run(skill: Skill[Any, Any], params: JsonObject, **options: Any) -> StructuredOutcome:
    """The outcome of one execution of one skill."""
    return (await events_of(skill, params, **options))[1]
