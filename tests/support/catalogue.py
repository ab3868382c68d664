"""A small catalogue: one skill of each effect class, and the planners and built-ins that ship."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aos.actors.planning import PLANNERS
from aos.actors.planning.protocol import PlanRequest, SkillBrief
from aos.skills.builtin import BUILTIN
from aos.skills.contracts import EffectRule, Effects, SkillDescriptor

SHIPPED: Mapping[str, SkillDescriptor] = {
    each.descriptor.name: each.descriptor for each in (*BUILTIN, *PLANNERS)
}
"""What a fresh installation offers."""


def descriptor(name: str, effects: Effects, **fields: Any) -> SkillDescriptor:
    """A skill as data."""
    defaults: dict[str, Any] = {
        "version": "1.0.0",
        "summary": f"Does {effects}.",
        "input_schema": {"type": "object"},
        "output_schema": {"type": "object"},
    }
    return SkillDescriptor(name=name, effects=effects, **(defaults | fields))


SMALL: Mapping[str, SkillDescriptor] = {
    each.name: each
    for each in (
        descriptor("think", Effects.PURE),
        descriptor("look", Effects.READ),
        descriptor("put", Effects.IDEMPOTENT),
        descriptor("pay", Effects.UNSAFE, permissions=("money:spend",)),
        descriptor(
            "send",
            Effects.UNSAFE,
            version="2.1.0",
            input_schema={"properties": {"method": {"default": "GET"}}},
            effect_rules=(EffectRule(field="method", values=("GET",), effects=Effects.READ),),
        ),
        descriptor("planner.scripted", Effects.PURE),
    )
}
"""One skill of each class, and one whose class depends on what is asked of it."""


def plan_request(goal: str, catalogue: Mapping[str, SkillDescriptor], **fields: Any) -> PlanRequest:
    """A planner's question."""
    defaults: dict[str, Any] = {
        "round": 1,
        "skills": tuple(
            SkillBrief.of(each) for name, each in catalogue.items() if "planner" not in name
        ),
        "max_steps": 50,
    }
    return PlanRequest(goal=goal, **(defaults | fields))
