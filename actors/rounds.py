"""Between the machine and the planners: what a planner is asked, and what its reply becomes."""

from __future__ import annotations

from ..skills.contracts import JsonObject, JsonValue, SkillDescriptor, StructuredOutcome
from .outputs import Outputs
from .planning.admission import Catalog, InvalidPlan, admit, allowed
from .planning.protocol import Observation, PlanRequest, SkillBrief
from .runs.events import Plan
from .runs.state import Phase, RunState


async def plan_request(state: RunState, catalog: Catalog, outputs: Outputs) -> JsonObject:
    """The current round's question, as a planner's params."""
    profile = state.origin.profile
    done = [
        step
        for step in state.steps.values()
        if not step.plans and step.phase is not Phase.OPEN and step.outcome is not None
    ]
    values = await outputs.of(state, [step.spec.id for step in done])
    request = PlanRequest(
        goal=state.origin.goal,
        round=state.round,
        skills=(),
        observations=tuple(
            Observation(
                step_id=step.spec.id,
                round=step.round,
                skill=step.spec.skill,
                ok=step.phase is Phase.SUCCEEDED,
                code=step.outcome.code,
                message=step.outcome.message,
                output=values.get(step.spec.id),
            )
            for step in done
            if step.outcome is not None
        ),
        memos=tuple([await outputs.whole(state.run_id, *memo) for memo in state.memos]),
        max_steps=max(0, profile.limits.max_steps - len(done)),
    )
    briefs: list[JsonValue] = [_brief(each) for each in allowed(catalog, profile).values()]
    return {**request.model_dump(mode="json"), "skills": briefs}


_briefs: dict[int, tuple[SkillDescriptor, JsonObject]] = {}


def _brief(descriptor: SkillDescriptor) -> JsonObject:
    """What planners are told of a skill: the same in every round of every run of this process."""
    known = _briefs.get(id(descriptor))
    if known is None or known[0] is not descriptor:
        known = _briefs[id(descriptor)] = (
            descriptor,
            SkillBrief.of(descriptor).model_dump(mode="json"),
        )
    return known[1]


def plan_outcome(
    outcome: StructuredOutcome, state: RunState, catalog: Catalog
) -> tuple[StructuredOutcome, Plan | None]:
    """An admitted plan, or the outcome turned into the failure that its plan is.

    A plan by fixed rules would be the same again; one by a model may not be, so it is asked again.
    """
    try:
        plan = admit(outcome.output, catalog, state.origin.profile, state.steps.keys())
    except InvalidPlan as error:
        failure = StructuredOutcome.failure(
            "ERR_INVALID_PLAN",
            f"the plan cannot run: {'; '.join(error.problems)}",
            retryable=bool(outcome.usage),
            details={"problems": list(error.problems)},
        )
        kept = {"cost_microusd", "usage", "duration_ms", "skill", "version"}
        return failure.model_copy(update={name: getattr(outcome, name) for name in kept}), None
    # The plan is the output: keeping it twice would only make the journal heavier.
    return outcome.model_copy(update={"output": None}), plan
