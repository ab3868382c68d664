"""The gate between a planner and a run: a proposal becomes a plan, or a list of problems. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ...skills.contracts import AgentProfile, JsonValue, SkillDescriptor, effects_of
from ..runs.events import Plan, PlannedStep
from ..runs.references import referenced
from ..runs.state import is_planning_step
from ..runs.waiting import CHILD, WAITS
from .protocol import PlanProposal, ProposedStep

Catalog = Mapping[str, SkillDescriptor]


class InvalidPlan(ValueError):
    """A proposal that cannot run; `problems` has one sentence for each thing wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def allowed(catalog: Catalog, profile: AgentProfile) -> dict[str, SkillDescriptor]:
    """The part of the catalogue that an agent may use, and what it may wait for. Denial wins;
    planners are not offered; waiting is everybody's, starting other runs only who may.
    """
    skills = {
        name: descriptor
        for name, descriptor in catalog.items()
        if not name.startswith("planner.")
        and name not in profile.denied_skills
        and (profile.skills is None or name in profile.skills)
        and set(descriptor.permissions) <= set(profile.permissions)
    }
    return skills | {
        name: descriptor
        for name, descriptor in WAITS.items()
        if name not in profile.denied_skills
        and (name != CHILD or profile.skills is None or name in profile.skills)
    }


def admit(
    proposal: JsonValue, catalog: Catalog, profile: AgentProfile, taken: Collection[str]
) -> Plan:
    """The plan that a planner's output stands for. Raises `InvalidPlan`.

    `taken` are the ids of all earlier steps: they may be referred to, and not be used again.
    """
    try:
        offered = PlanProposal.model_validate(proposal)
    except ValidationError as error:
        raise InvalidPlan([_describe(issue) for issue in error.errors()[:10]]) from error
    if not offered.steps and offered.answer is None:
        raise InvalidPlan(["the plan has neither steps nor an answer"])
    usable = allowed(catalog, profile)
    problems = list(_problems(offered, catalog, usable, profile, set(taken)))
    if problems:
        raise InvalidPlan(problems)
    try:
        steps = tuple(_pin(step, usable[step.skill], offered.literal) for step in offered.steps)
    except ValidationError as error:
        raise InvalidPlan([_describe(issue) for issue in error.errors()[:10]]) from error
    return Plan(steps=steps, answer=offered.answer, memo=offered.memo, literal=offered.literal)


def _pin(step: ProposedStep, descriptor: SkillDescriptor, literal: bool) -> PlannedStep:
    return PlannedStep(
        id=step.id,
        skill=step.skill,
        version=descriptor.version,
        effects=effects_of(descriptor, step.params),
        params=step.params,
        depends_on=tuple(sorted(_needs(step, literal))),
        on_error=step.on_error,
        retry=descriptor.retry,
        literal=literal,
        reconciles=descriptor.reconciles,
        compensates=descriptor.compensates,
    )


def _problems(
    offered: PlanProposal,
    catalog: Catalog,
    usable: Catalog,
    profile: AgentProfile,
    taken: set[str],
) -> Iterator[str]:
    ids = [step.id for step in offered.steps]
    for step_id in sorted(
        {step_id for step_id in ids if ids.count(step_id) > 1 or step_id in taken}
    ):
        yield f"step id {step_id!r} is used twice"
    for step_id in sorted(filter(is_planning_step, ids)):
        yield f"step id {step_id!r} is the run's own"
    steps = len(ids) + sum(not is_planning_step(step_id) for step_id in taken)
    if steps > profile.limits.max_steps:
        yield f"the plan goes over the limit of {profile.limits.max_steps} steps"
    for step in offered.steps:
        if step.skill not in catalog and step.skill not in WAITS:
            yield f"step {step.id!r} names the unknown skill {step.skill!r}"
        elif step.skill not in usable:
            yield f"step {step.id!r} uses skill {step.skill!r}, which this agent may not use"
        for missing in sorted(_needs(step, offered.literal) - set(ids) - taken):
            yield f"step {step.id!r} depends on {missing!r}, which does not exist"
    for missing in sorted(_answer_needs(offered) - set(ids) - taken):
        yield f"the answer refers to {missing!r}, which does not exist"
    if (cycle := _cycle(offered)) is not None:
        yield f"the steps depend on each other in a circle: {' → '.join(cycle)}"


def _needs(step: ProposedStep, literal: bool) -> set[str]:
    return set(step.depends_on) | (set() if literal else referenced(step.params))


def _answer_needs(offered: PlanProposal) -> frozenset[str]:
    return frozenset() if offered.literal else referenced(offered.answer)


def _cycle(offered: PlanProposal) -> list[str] | None:
    """Kahn's algorithm: what cannot be put in order is, or waits for, a circle."""
    ids = {step.id for step in offered.steps}
    left = {step.id: _needs(step, offered.literal) & ids for step in offered.steps}
    while free := [step_id for step_id, needs in left.items() if not needs & left.keys()]:
        for step_id in free:
            del left[step_id]
    if not left:
        return None
    path = [min(left)]
    while path[-1] not in path[:-1]:
        path.append(min(left[path[-1]] & left.keys()))
    return path[path.index(path[-1]) :]


def _describe(issue: ErrorDetails) -> str:
    return f"{'.'.join(map(str, issue['loc'])) or 'plan'}: {issue['msg']}"
