"""`dry_run`: what a run's plans would call now, held against what is installed. Nothing is called.

The recorded plans are taken as they are; no planner is asked. Each step is checked as admission
would check it today, and priced by its contract. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from ...skills.contracts import AgentProfile, SkillDescriptor, effects_of
from ..planning.admission import Catalog, allowed
from ..runs.references import referenced
from ..runs.state import RunState, Step
from ..runs.values import WHOLE
from ..runs.waiting import WAITS

Find = Callable[[str, str], SkillDescriptor | None]
"""An installed skill by name and version."""


@dataclass(frozen=True, slots=True)
class DryStep:
    """One step as it would be dispatched. `wave`: steps of one wave may go at the same time.
    `cost_microusd` and `timeout_s` are its contract's, for one attempt.
    """

    wave: int
    step_id: str
    skill: str
    effects: str
    intent_first: bool
    attempts: int
    timeout_s: float
    cost_microusd: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DryRun:
    """All of them, in order of dispatch. `worst_microusd` is what it costs if every attempt that
    the retry policies allow is needed.
    """

    steps: tuple[DryStep, ...]
    cost_microusd: int
    worst_microusd: int

    @property
    def problems(self) -> tuple[str, ...]:
        """Why it could not run so."""
        return tuple(
            f"{step.step_id}: {problem}" for step in self.steps for problem in step.problems
        )


def dry_run(state: RunState, catalog: Catalog, find: Find) -> DryRun:
    """What a folded run would call."""
    profile = state.origin.profile
    usable = allowed(catalog, profile)
    waves: dict[str, int] = {}
    steps = [
        _dry(step, _wave(state, step, waves), catalog, usable, profile, find)
        for step in state.steps.values()
    ]
    ordered = tuple(sorted(steps, key=lambda each: each.wave))
    return DryRun(
        ordered,
        sum(step.cost_microusd for step in ordered),
        sum(step.cost_microusd * step.attempts for step in ordered),
    )


def _wave(state: RunState, step: Step, waves: dict[str, int]) -> int:
    """One after everything that the step needs. Steps stand after what they need, but for those of
    one plan, which may stand in any order: so it is worked out by need.
    """
    todo = [step.spec.id]
    while todo:
        here = state.steps[todo[-1]]
        before = [each for each in _before(state, here) if each not in waves]
        if before:
            todo += before
            continue
        after = [waves[each] for each in _before(state, here)]
        waves[todo.pop()] = max(after, default=0) + 1
    return waves[step.spec.id]


def _before(state: RunState, step: Step) -> Iterator[str]:
    """What must be over first: a plan before its steps, a round before the next one's planner."""
    yield from step.spec.depends_on
    for other in state.steps.values():
        own_planner = other.plans and not step.plans and other.round == step.round
        round_before = step.plans and other.round == step.round - 1
        if own_planner or round_before:
            yield other.spec.id


def _dry(
    step: Step,
    wave: int,
    catalog: Catalog,
    usable: Catalog,
    profile: AgentProfile,
    find: Find,
) -> DryStep:
    spec = step.spec
    installed = catalog.get(spec.skill) if step.plans else find(spec.skill, spec.version)
    installed = installed or WAITS.get(spec.skill)
    contract = installed.resources if installed is not None else None
    return DryStep(
        wave=wave,
        step_id=spec.id,
        skill=f"{spec.skill}@{spec.version}",
        effects=spec.effects.value,
        intent_first=spec.effects.must_not_repeat,
        attempts=spec.retry.max_attempts,
        timeout_s=contract.timeout_s if contract is not None else 0.0,
        cost_microusd=contract.cost_estimate_microusd if contract is not None else 0,
        problems=tuple(_problems(step, installed, usable, profile)),
    )


def _problems(
    step: Step, installed: SkillDescriptor | None, usable: Catalog, profile: AgentProfile
) -> Iterator[str]:
    spec = step.spec
    if installed is None:
        yield f"{spec.skill}@{spec.version} is not installed"
        return
    if step.plans or spec.skill in WAITS:
        return
    if lacking := sorted(set(installed.permissions) - set(profile.permissions)):
        yield f"the agent lacks the permission {', '.join(lacking)}"
    elif spec.skill not in usable:
        yield "the agent may not use this skill"
    if WHOLE in spec.large:  # its params are stored apart, and nothing here fetches them
        return
    if (effects := effects_of(installed, spec.params)) is not spec.effects:
        yield f"it is planned as {spec.effects.value}, and would be {effects.value}"
    missing = [name for name in _required(installed) if name not in spec.params]
    if missing:
        yield f"the parameter {', '.join(missing)} is missing"
    if not spec.literal and (lost := sorted(referenced(spec.params) - set(spec.depends_on))):
        yield f"it refers to {', '.join(lost)}, which it does not depend on"


def _required(descriptor: SkillDescriptor) -> list[str]:
    names: Any = descriptor.input_schema.get("required", [])
    return cast("list[str]", names) if isinstance(names, list) else []
