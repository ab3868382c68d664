"""A run's program, executed again against what is recorded of it.

This executes the program's code, so it is done where the program's author asks for it, and nowhere
else: never in the HTTP front, which serves everybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...skills.contracts import JsonValue
from ..programs import Delivery, Execution, Program, ProgramDiverged, Turn
from ..programs.errors import NondeterministicProgram
from ..programs.recorded import advanced_of
from ..runs.state import RunState
from .contents import Contents

_NO_TURNS = frozenset({"ERR_PROGRAM_DIVERGED", "ERR_NONDETERMINISTIC"})
"""Ends that were written instead of a turn: the code was found to have changed."""


@dataclass(frozen=True, slots=True)
class Unlike:
    """The first turn, counted from 1, that is not what is recorded."""

    turn: int
    recorded: str
    attempted: str
    cause: str


Reexecute = Callable[[RunState], Unlike | None]
"""Executes a program again up to where a run stands."""


def reexecuting(program: Program, values: Mapping[str, JsonValue] | None = None) -> Reexecute:
    """For runs of this program. It raises what a program's turn may raise, but for divergence."""
    contents = Contents(values)

    def reexecute(state: RunState) -> Unlike | None:
        origin = state.origin
        try:
            Execution(
                program,
                origin.goal,
                run_id=str(state.run_id),
                seed=origin.seed,
                started_at=origin.at,
                history=_history(state, contents),
            ).close()
        except ProgramDiverged as error:
            about = error.context
            where = f" ({about['line']})" if about["line"] else ""
            cause = f"the code does not do what it did{where}"
            return Unlike(about["turn"], about["recorded"], about["attempted"], cause)
        except NondeterministicProgram as error:
            return Unlike(1, "a turn", "nothing that could be repeated", error.detail)
        return None

    return reexecute


def _history(state: RunState, contents: Contents) -> list[Turn]:
    turns = [turn for turn in state.turns if not _is_no_turn(turn.advanced.error)]
    return [
        Turn(
            tuple(_delivery(state, step_id, contents) for step_id in turn.news),
            turn.advanced.at,
            advanced_of(
                turn.advanced,
                contents.whole(turn.advanced.answer, turn.advanced.large),
                [contents.planned(step) for step in turn.advanced.requests],
            ),
        )
        for turn in turns
    ]


def _is_no_turn(error: object) -> bool:
    return getattr(error, "code", "") in _NO_TURNS


def _delivery(state: RunState, step_id: str, contents: Contents) -> Delivery:
    step = state.steps[step_id]
    outcome = step.outcome
    if outcome is not None and outcome.ok:
        return Delivery(step_id, contents.whole(outcome.output, step.large))
    if outcome is None:
        return Delivery(step_id, failure=("ERR_INTERNAL", "the step has no outcome"))
    return Delivery(step_id, failure=(outcome.code, outcome.message))
