"""What planners get and give."""

from __future__ import annotations

from pydantic import Field

from ...skills.contracts import Contract, JsonObject, JsonValue, SkillDescriptor
from ..runs.events import OnError


class SkillBrief(Contract):
    """A skill as a planner sees it."""

    name: str
    summary: str
    input_schema: JsonObject

    @classmethod
    def of(cls, descriptor: SkillDescriptor) -> SkillBrief:
        """The brief of a descriptor."""
        return cls(
            name=descriptor.name,
            summary=descriptor.summary,
            input_schema=descriptor.input_schema,
        )


class Observation(Contract):
    """What came of one step of an earlier round."""

    step_id: str
    round: int
    skill: str
    ok: bool
    code: str
    message: str = ""
    output: JsonValue = None


class PlanRequest(Contract):
    """One round's question. `memos` are what the planner said in earlier rounds, in its form."""

    goal: str
    round: int = Field(ge=1)
    skills: tuple[SkillBrief, ...]
    observations: tuple[Observation, ...] = ()
    memos: tuple[JsonValue, ...] = ()
    max_steps: int = Field(ge=0)


class ProposedStep(Contract):
    """A step as a planner proposes it; references in `params` imply dependencies."""

    id: str
    skill: str
    params: JsonObject = Field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    on_error: OnError = OnError.ABORT


class PlanProposal(Contract):
    """One round's reply. `literal`: no braces in it are references, they are text."""

    steps: tuple[ProposedStep, ...] = ()
    answer: JsonValue = None
    memo: JsonValue = None
    literal: bool = False
