"""Histories of runs, written as the sentences they are: `History().started().planned(…)`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

from aos.actors.runs.events import (
    Event,
    Plan,
    PlannedStep,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStatus,
    RunSubmitted,
    StepIntended,
    StepSettled,
)
from aos.actors.runs.fold import fold
from aos.actors.runs.machine import Command, Dispatch, Finish, Park, WaitUntil, decide
from aos.actors.runs.state import Phase, RunState, Step
from aos.skills.contracts import (
    AgentProfile,
    Effects,
    JsonValue,
    RetryPolicy,
    RunLimits,
    StructuredOutcome,
)

START = datetime(2026, 1, 1, tzinfo=UTC)
RUN = UUID("01900000-0000-7000-8000-000000000001")
TIMEOUT_S = 600.0


def profile(**fields: Any) -> AgentProfile:
    """A profile whose runs may take ten minutes; keyword arguments of `RunLimits` go there."""
    limits = {name: fields.pop(name) for name in list(fields) if name in RunLimits.model_fields}
    return AgentProfile(
        **{
            "name": "tester",
            "limits": RunLimits(**({"run_timeout_s": TIMEOUT_S} | limits)),
            **fields,
        }
    )


def submitted(**fields: Any) -> RunSubmitted:
    """The first event of a run; fields that are a profile's or its limits' go into the profile."""
    own = {name: fields.pop(name) for name in list(fields) if name in RunSubmitted.model_fields}
    defaults: dict[str, Any] = {
        "at": START,
        "agent_id": "agent-1",
        "agent_name": "tester",
        "goal": "do it",
        "planner": "scripted",
        "profile": profile(**fields),
        "seed": 7,
        "trace_id": "0" * 32,
        "code_version": "test",
    }
    return RunSubmitted(**(defaults | own))


def step(
    step_id: str, effects: Effects = Effects.READ, *, needs: Sequence[str] = (), **fields: Any
) -> PlannedStep:
    """A planned step, without jitter so that its retry delays are round numbers."""
    defaults: dict[str, Any] = {
        "skill": f"do_{effects}",
        "version": "1.0.0",
        "retry": RetryPolicy(jitter=0),
    }
    return PlannedStep(id=step_id, effects=effects, depends_on=tuple(needs), **(defaults | fields))


def ok(output: JsonValue = None, **fields: Any) -> StructuredOutcome:
    """A success, one that was not cheap: see `settling.is_cheap`."""
    return StructuredOutcome.success(output, **{"duration_ms": 25, **fields})


def transient(**fields: Any) -> StructuredOutcome:
    """A failure that is worth another attempt."""
    return StructuredOutcome.failure("ERR_HTTP_503", "busy", **{"duration_ms": 25, **fields})


def permanent(**fields: Any) -> StructuredOutcome:
    """A failure that is not."""
    return StructuredOutcome.failure(
        "ERR_HTTP_404", "no such page", **{"duration_ms": 25, **fields}
    )


class History:
    """A journal in the making, and the clock it is written by. Each method appends one event."""

    def __init__(self, **fields: Any) -> None:
        self.now = START
        self.events: list[Event] = [submitted(**fields)]

    @property
    def state(self) -> RunState:
        """What the journal says."""
        return fold(RUN, self.events)

    def __getitem__(self, step_id: str) -> Step:
        return self.state.steps[step_id]

    def append(self, event: Event) -> Self:
        """Append any event."""
        self.events.append(event)
        return self

    def later(self, seconds: float) -> Self:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        return self

    def started(self) -> Self:
        """The first activation takes the run up."""
        return self.append(RunStarted(at=self.now, epoch=1))

    def resumed(self) -> Self:
        """The process died, and the next activation takes the run up."""
        return self.append(RunResumed(at=self.now, epoch=self.state.epoch + 1))

    def crashed(self, times: int) -> Self:
        """`times` activations in a row die over the run."""
        for _ in range(times):
            self.resumed()
        return self

    def intended(self, step_id: str) -> Self:
        """An unsafe step's intent is on disk."""
        step = self[step_id]
        return self.append(
            StepIntended(
                at=self.now,
                step_id=step_id,
                attempt=step.attempts + 1,
                skill=step.spec.skill,
                idempotency_key=self.state.idempotency_key(step_id),
            )
        )

    def settled(self, step_id: str, outcome: StructuredOutcome, plan: Plan | None = None) -> Self:
        """The step's next attempt ends."""
        step = self[step_id]
        return self.append(
            StepSettled(
                at=self.now,
                step_id=step_id,
                attempt=step.attempts + 1,
                effects=step.spec.effects,
                idempotency_key=self.state.idempotency_key(step_id),
                outcome=outcome,
                plan=plan,
            )
        )

    def succeeded(self, *step_ids: str) -> Self:
        """These steps end well, in this order."""
        for step_id in step_ids:
            self.settled(step_id, ok())
        return self

    def planned(self, *steps: PlannedStep, answer: JsonValue = "done", **fields: Any) -> Self:
        """The open planning round brings these steps, and an answer (None: ask me again)."""
        (planner,) = [
            each.spec.id
            for each in self.state.steps.values()
            if each.plans and each.phase is Phase.OPEN
        ]
        return self.settled(planner, ok(), Plan(steps=steps, answer=answer, **fields))

    def finished(self, status: RunStatus = RunStatus.COMPLETED) -> Self:
        """The run ends."""
        return self.append(RunFinished(at=self.now, status=status, code="OK"))

    def decide(self) -> tuple[Command, ...]:
        """What the machine says now."""
        return decide(self.state, self.now)

    @property
    def dispatches(self) -> list[str]:
        """The ids of the steps to be dispatched now, in order."""
        return [each.step.id for each in self.decide() if isinstance(each, Dispatch)]

    @property
    def wait_s(self) -> float | None:
        """Seconds until the machine wants to be asked again, if it says so."""
        for each in self.decide():
            if isinstance(each, WaitUntil):
                return (each.instant - self.now).total_seconds()
            if isinstance(each, Park) and each.until is not None:
                return (each.until - self.now).total_seconds()
        return None

    @property
    def ending(self) -> Finish | None:
        """How the run is to end, if it is."""
        commands = self.decide()
        if commands and isinstance(commands[0], Finish):
            assert len(commands) == 1, "nothing may be decided beside the end"
            return commands[0]
        return None


def in_flight(history: History, *step_ids: str) -> RunState:
    """The history's state in a process that has these steps under way."""
    state = history.state
    return replace(state, in_flight=state.in_flight | set(step_ids))
