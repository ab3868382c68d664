"""One run's program, as its driver deals with it: re-executed when it is taken up, then advanced.

The program runs in a thread, so that one that computes for long does not make its agent look hung;
one that computes for ever does not come back, and takes the process with it.
"""

from __future__ import annotations

import asyncio
from datetime import datetime

from ...cluster.errors import Blame, RunError
from ...skills.contracts import JsonValue, StructuredOutcome
from ..environment import Environment
from ..runs.events import Event, ProgramAdvanced, ProgramError, ProgramRef
from ..runs.state import RunState
from .errors import InvalidProgram, NondeterministicProgram, ProgramDiverged
from .execution import Execution
from .loading import load_source
from .protocol import Advanced, Delivery, Turn
from .recorded import admit_requests, advanced_of

TURN_SECONDS = 30.0
DIVERGED = "ERR_PROGRAM_DIVERGED"


class ProgramHangs(RunError):
    """A program computed for too long without awaiting anything."""

    code = "AOS-3025"
    title = "A program does not come to an end of its turn."
    next_action = "Let it await something, and leave long computations to skills."
    blame = Blame.CALLER


class ProgramGone(RunError):
    """The source of a run's program is not in the database."""

    code = "AOS-3026"
    title = "The source of this run's program is gone."
    next_action = "Submit the program again: the same source has the same hash."
    blame = Blame.OPERATOR


class ProgramRun:
    """The program of one run under one activation. Made at its first turn."""

    def __init__(self, environment: Environment) -> None:
        self._env = environment
        self._execution: Execution | None = None

    async def advance(self, state: RunState, now: datetime) -> tuple[list[Event], dict[str, bytes]]:
        """One more turn: events, and large values that they refer to. Raises `ProgramHangs`, which
        ends the process: the thread that computes cannot be ended otherwise.
        """
        if (refused := await self.resume(state, now)) is not None:
            return [refused], {}
        try:
            async with asyncio.timeout(TURN_SECONDS):
                advanced = await self._advance(state, now)
        except TimeoutError:
            raise ProgramHangs(f"run {state.run_id}: {TURN_SECONDS:g} s and no end") from None
        except NondeterministicProgram as error:
            return [self._failed(now, "ERR_NONDETERMINISTIC", error.detail, error)], {}
        return self._events(state, advanced, now)

    async def resume(self, state: RunState, now: datetime) -> Event | None:
        """Execute the program up to where it stood, if that has not been done. The end of the run
        if it does not do what is recorded: then nothing more is done in its name.
        """
        if self._execution is not None:
            return None
        try:
            async with asyncio.timeout(TURN_SECONDS):
                self._execution = await self._begin(state)
        except TimeoutError:
            raise ProgramHangs(f"run {state.run_id}: {TURN_SECONDS:g} s and no end") from None
        except ProgramDiverged as error:
            return self._failed(now, DIVERGED, error.detail, error)
        except NondeterministicProgram as error:
            return self._failed(now, "ERR_NONDETERMINISTIC", error.detail, error)
        except (InvalidProgram, ProgramGone) as error:
            return self._failed(now, "ERR_PROGRAM_FAILED", error.detail, error)
        return None

    async def answer(self, state: RunState) -> JsonValue:
        """What the program returned."""
        advanced = state.turns[-1].advanced
        return await self._env.outputs.whole(state.run_id, advanced.answer, advanced.large)

    def close(self) -> None:
        """Let the program go."""
        if self._execution is not None:
            self._execution.close()
            self._execution = None

    async def _advance(self, state: RunState, now: datetime) -> Advanced:
        execution = self._execution or await self._begin(state)
        deliveries = await self._deliveries(state, state.news)
        return await asyncio.to_thread(execution.advance, deliveries, now)

    async def _begin(self, state: RunState) -> Execution:
        program = state.origin.program
        source = program and await self._env.programs.source(self._env.tenant, program)
        if program is None or source is None:
            raise ProgramGone(f"run {state.run_id} began with {program}")
        history = [
            Turn(
                tuple(await self._deliveries(state, turn.news)),
                turn.advanced.at,
                await self._recorded(state, turn.advanced),
            )
            for turn in state.turns
        ]
        return await asyncio.to_thread(
            _execute, source, program, state, history, self._env.development
        )

    async def _deliveries(self, state: RunState, step_ids: tuple[str, ...]) -> list[Delivery]:
        values = await self._env.outputs.of(state, step_ids)
        return [_delivery(state, step_id, values.get(step_id)) for step_id in step_ids]

    async def _recorded(self, state: RunState, advanced: ProgramAdvanced) -> Advanced:
        outputs = self._env.outputs
        params = [await outputs.planned(state.run_id, step) for step in advanced.requests]
        answer = await outputs.whole(state.run_id, advanced.answer, advanced.large)
        return advanced_of(advanced, answer, params)

    def _events(
        self, state: RunState, advanced: Advanced, now: datetime
    ) -> tuple[list[Event], dict[str, bytes]]:
        steps, refused = admit_requests(state, advanced.requests, self._env.catalog, now)
        threshold = self._env.blob_threshold
        answer, large, contents = self._env.outputs.pack_value(advanced.answer, threshold)
        steps, of_steps = self._env.outputs.pack_steps(steps, threshold)
        error = advanced.error
        event = ProgramAdvanced(
            at=now,
            requests=steps,
            abandoned=advanced.abandoned,
            patches=advanced.patches,
            finished=advanced.finished,
            answer=answer,
            large=large,
            error=error and ProgramError(code=error[0], message=error[1], line=error[2]),
        )
        return [event, *refused], contents | of_steps

    def _failed(self, now: datetime, code: str, message: str, error: RunError) -> ProgramAdvanced:
        line = str(error.context.get("line", ""))
        failure = ProgramError(code=code, message=message, line=line)
        return ProgramAdvanced(at=now, finished=True, error=failure)


def _execute(
    source: str, program: ProgramRef, state: RunState, history: list[Turn], development: bool
) -> Execution:
    origin = state.origin
    loaded = load_source(source, program.entry, file_name=program.name, development=development)
    return Execution(
        loaded,
        origin.goal,
        run_id=str(state.run_id),
        seed=origin.seed,
        started_at=origin.at,
        history=history,
        development=development,
    )


def _delivery(state: RunState, step_id: str, value: JsonValue) -> Delivery:
    outcome = state.steps[step_id].outcome
    if outcome is None:
        outcome = StructuredOutcome.failure("ERR_INTERNAL", "the step has no outcome")
    if outcome.ok:
        return Delivery(step_id, value)
    return Delivery(step_id, failure=(outcome.code, outcome.message))
