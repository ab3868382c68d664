"""What agents of the benchmarks can do: nothing, in the effect classes that matter, and the planner
that asks for it. A plug-in as third parties write them: this folder on PYTHONPATH is installed.
"""

from __future__ import annotations

import asyncio
import os
import time

from pydantic import BaseModel

from aos.actors.planning.protocol import PlanProposal, PlanRequest, ProposedStep
from aos.skills.contracts import Effects, ResourceContract
from aos.skills.skill import SkillContext, skill

CONTRACT = ResourceContract(cpus=0.5, timeout_s=60)


class Work(BaseModel):
    """`bytes` of text are returned, after `seconds`, when the ledger has its line."""

    bytes: int = 200
    seconds: float = 0.0
    ledger: str | None = None


class Done(BaseModel):
    """What was asked for."""

    value: str


class Goal(BaseModel):
    """A chain of steps, each a call of the same skill; `waits`: the first for a signal."""

    skill: str
    steps: int
    bytes: int = 200
    seconds: float = 0.0
    ledger: str | None = None
    waits: bool = False


async def _work(request: Work, context: SkillContext) -> Done:
    if request.ledger is not None:
        line = f"{context.run_id} {context.step_id} {context.attempt} {time.time():.6f}\n"
        descriptor = os.open(request.ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(descriptor, line.encode())
        os.close(descriptor)
        await asyncio.sleep(request.seconds)
    return Done(value="x" * request.bytes)


@skill(version="1.0.0", effects=Effects.READ, resources=CONTRACT)
async def bench_read(request: Work, context: SkillContext) -> Done:
    """Return some text, as if it had been read."""
    return await _work(request, context)


@skill(version="1.0.0", effects=Effects.IDEMPOTENT, resources=CONTRACT)
async def bench_idempotent(request: Work, context: SkillContext) -> Done:
    """Return some text, as if it had been written under a key that makes writing again harmless."""
    return await _work(request, context)


@skill(version="1.0.0", effects=Effects.UNSAFE, resources=CONTRACT)
async def bench_unsafe(request: Work, context: SkillContext) -> Done:
    """Return some text, as if it had been written somewhere, which must not happen twice."""
    return await _work(request, context)


@skill(name="planner.bench", version="1.0.0", effects=Effects.PURE, resources=CONTRACT)
async def plan(request: PlanRequest, context: SkillContext) -> PlanProposal:
    """Plan the chain that the goal describes."""
    del context
    goal = Goal.model_validate_json(request.goal)
    params = goal.model_dump(exclude={"skill", "steps", "waits"}, exclude_defaults=True)
    waits = [ProposedStep(id="s0", skill="wait.signal", params={"name": "go", "timeout_s": 86_400})]
    steps = waits if goal.waits else []
    for number in range(1, goal.steps + 1):
        before = (steps[-1].id,) if steps else ()
        steps.append(
            ProposedStep(id=f"s{number}", skill=goal.skill, params=params, depends_on=before)
        )
    return PlanProposal(steps=tuple(steps), answer={"done": goal.steps})
