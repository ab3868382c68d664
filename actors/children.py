"""Runs that runs start: made, cancelled, told of; each happens once however often it is tried."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

from ..cluster.postgres import Database, DatabaseUnavailable
from ..cluster.telemetry import logger
from ..skills.contracts import AgentProfile, JsonObject, JsonValue
from .programs.store import ProgramStore
from .roster import AgentNotFound, AgentStore, RegisteredAgent
from .runs.events import Parent, ProgramRef, RunSubmitted
from .runs.inbox import Inbox
from .runs.state import Phase, RunState, Step
from .runs.store import RunStore
from .runs.submission import CODE_VERSION, insert_run, seed_of
from .runs.values import restore
from .runs.waiting import lineage_of

T = TypeVar("T")

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0

log = logger(__name__)


class ChildRuns:
    """The children of one tenant's runs. Waits for Postgres rather than failing."""

    def __init__(self, database: Database, tenant: str, wake: Callable[[], None]) -> None:
        self._database = database
        self._tenant = tenant
        self._wake = wake
        self._agents = AgentStore(database)
        self._programs = ProgramStore(database)
        self._runs = RunStore(database)
        self._inbox = Inbox(database)

    async def spawn(self, state: RunState, step: Step, params: JsonObject) -> str | None:
        """Make the child run that a step waits for; that it is there already is fine. The reason
        if it cannot be.
        """
        whom = str(params.get("agent") or state.origin.agent_id)
        try:
            agent = await self._patiently(lambda: self._agents.find(self._tenant, whom))
        except AgentNotFound as error:
            return error.detail
        program = None
        if params.get("program"):
            program = await self._patiently(
                lambda: self._programs.named(self._tenant, str(params["program"]))
            )
            if program is None:
                return f"there is no program {params['program']!r}"
        await self._patiently(lambda: self._make(state, step, agent, str(params["goal"]), program))
        self._wake()
        return None

    async def answer(self, child_run_id: str) -> JsonValue:
        """What a finished child answered."""
        child = UUID(child_run_id)
        state = await self._patiently(lambda: self._runs.state(self._tenant, child))
        finished = state.finished
        if finished is None:
            return None
        contents = {
            digest: await self._patiently(
                lambda digest=digest: self._runs.blob(self._tenant, child, digest)
            )
            for digest in finished.large.values()
        }
        return restore(finished.answer, finished.large, contents)

    async def cancel(self, state: RunState) -> None:
        """End the children that a run still waits for, because it ends itself."""
        for step in state.steps.values():
            wait = step.wait
            if step.phase is Phase.WAITING and wait is not None and wait.child_run_id is not None:
                child = UUID(wait.child_run_id)
                body: JsonObject = {"reason": f"{state.run_id} is over"}
                await self._patiently(
                    lambda child=child, body=body: self._inbox.say(
                        self._tenant, child, "cancel", body, by="its parent", key="parent-over"
                    )
                )

    async def tell_parent(self, state: RunState) -> None:
        """Say to the parent that this run is over. If we die before, the rescuer does."""
        if state.origin.parent is not None:
            await self._patiently(lambda: self._inbox.tell_parent(self._tenant, state.run_id))
            self._wake()

    async def _make(
        self,
        state: RunState,
        step: Step,
        agent: RegisteredAgent,
        goal: str,
        program: ProgramRef | None,
    ) -> None:
        child = UUID(step.wait.child_run_id if step.wait else None)
        origin = state.origin
        root = origin.parent.root_run_id if origin.parent else str(state.run_id)
        event = RunSubmitted(
            at=datetime.now(UTC),
            agent_id=str(agent.agent_id),
            agent_name=agent.profile.name,
            goal=goal,
            planner=origin.planner,
            profile=narrowed(agent.profile, origin.profile),
            seed=seed_of(child),
            trace_id=origin.trace_id,
            code_version=CODE_VERSION,
            program=program,
            parent=Parent(
                run_id=str(state.run_id), step_id=step.spec.id, root_run_id=root,
                lineage=lineage_of(state),
            ),
        )  # fmt: skip
        await insert_run(self._database, self._tenant, child, [event])

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        pause = _FIRST_PAUSE
        while True:
            try:
                return await attempt()
            except DatabaseUnavailable as error:
                log.warning("waiting for postgres", detail=error.detail, retry_in_s=pause)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)


def narrowed(child: AgentProfile, parent: AgentProfile) -> AgentProfile:
    """A child's profile without any right that its parent does not have. Pure."""
    skills = child.skills
    if parent.skills is not None:
        allowed = parent.skills if skills is None else skills
        skills = tuple(name for name in allowed if name in parent.skills)
    return child.model_copy(
        update={
            "skills": skills,
            "denied_skills": tuple(sorted({*child.denied_skills, *parent.denied_skills})),
            "permissions": tuple(p for p in child.permissions if p in parent.permissions),
        }
    )
