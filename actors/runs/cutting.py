"""What of a run a derived one keeps, and what that would do to the world again. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ...cluster.errors import Blame, InputError, RunError
from ...skills.contracts import EffectState, JsonObject
from .events import Derivation
from .state import Phase, RunState, Step, ends_run


class StepNeverRan(InputError):
    """There is nothing of this step that could be different the next time."""

    code = "AOS-3014"
    title = "This step never ran."
    next_action = "Choose a step that ran: `aos runs show RUN` lists them with their outcomes."


class EffectsWouldRepeat(RunError):
    """Steps that would run again have changed the world, or may have."""

    code = "AOS-3012"
    title = "This would do again what must not happen twice."
    next_action = (
        "Change a later step, or give the step's result with `aos runs repair`; if twice is meant, "
        "say so with `--repeat-effects` (`repeat_effects` over HTTP)."
    )
    blame = Blame.CALLER


class InvalidChange(InputError):
    """What is to be changed is kept, or is not there."""

    code = "AOS-3016"
    title = "This cannot be changed in that way."
    next_action = "Change params of the step itself, or of steps that depend on it."


@dataclass(frozen=True, slots=True)
class Cut:
    """`steps` keep their outcomes; `planned` are these and those that are to run again; `turns` of
    the program are kept.
    """

    steps: frozenset[str]
    planned: frozenset[str]
    turns: int


def cut(
    state: RunState,
    how: Derivation,
    step_id: str | None,
    *,
    goal: str | None,
    overrides: Mapping[str, JsonObject],
    answered: bool,
    repeat_effects: bool,
) -> Cut:
    """Where to cut. `answered`: the step gets its outcome from an operator, and does not run.

    Raises `StepNeverRan`, `EffectsWouldRepeat`, `InvalidChange`.
    """
    if step_id is not None:
        _check_ran(state, step_id, answered)
    afresh = how is Derivation.RERUN or (goal is not None and state.origin.program is not None)
    if afresh:
        kept = Cut(frozenset(), frozenset(), 0)
    else:
        kept = (_turns if state.origin.program is not None else _rounds)(state, step_id)
    for each in overrides:
        _check_override(state, kept, each)
    again = {
        step.spec.id: what
        for step in state.steps.values()
        if step.spec.id not in kept.steps and not (answered and step.spec.id == step_id)
        if (what := effect_of(step))
    }
    if again and not repeat_effects:
        errors = [{"field": name, "message": what} for name, what in again.items()]
        detail = "; ".join(f"{name} {what}" for name, what in again.items())
        raise EffectsWouldRepeat(detail[:2_000], errors=errors)
    return kept


def effect_of(step: Step) -> str:
    """What a step has done to the world, or may have, that must not happen twice; else nothing."""
    if step.spawned and step.wait is not None:
        return f"has made the child run {step.wait.child_run_id}"
    if not step.spec.effects.must_not_repeat:
        return ""
    effect = EffectState.NONE if step.outcome is None else step.outcome.effect
    if step.phase is Phase.SUCCEEDED or effect is EffectState.DONE:
        return f"({step.spec.skill}) has happened"
    if step.phase is Phase.IN_DOUBT or step.intended or effect is EffectState.UNKNOWN:
        return f"({step.spec.skill}) may have happened"
    return ""


def _check_ran(state: RunState, step_id: str, answered: bool) -> None:
    step = state.steps.get(step_id)
    if step is None:
        raise StepNeverRan(f"run {state.run_id} has no step {step_id!r}")
    if step.phase is Phase.OPEN and not (step.attempts or step.intended or answered):
        raise StepNeverRan(f"step {step_id} of run {state.run_id} was planned and never ran")


def _check_override(state: RunState, kept: Cut, step_id: str) -> None:
    if step_id in kept.steps:
        raise InvalidChange(f"step {step_id} keeps its outcome: its params make no difference")
    if step_id not in kept.planned:
        raise InvalidChange(f"step {step_id} is not in the part of the plan that is kept")
    if state.steps[step_id].plans:
        raise InvalidChange(f"{step_id} is a round of planning: change the goal instead")


def _rounds(state: RunState, step_id: str | None) -> Cut:
    """Of a planned run: rounds up to the change, and in its round what does not depend on it."""
    changed = {each.spec.id for each in state.steps.values() if ends_run(each)}
    if step_id is not None:
        changed.add(step_id)
    last = min((state.steps[each].round for each in changed), default=state.round)
    planned = {each.spec.id for each in state.steps.values() if each.round <= last}
    if any(state.steps[each].plans and state.steps[each].round == last for each in changed):
        own = {each.spec.id for each in state.steps.values() if each.round == last}
        planned -= own - {each for each in own if state.steps[each].plans}
    lost = changed | set(_dependents(state, changed))
    return Cut(
        frozenset(each for each in planned - lost if state.steps[each].over),
        frozenset(planned),
        0,
    )


def _turns(state: RunState, step_id: str | None) -> Cut:
    """Of a program: the turns before it was told how the changed step ended, and before its own
    error, if it ended with one.
    """
    turns = len(state.turns)
    for number, turn in reversed(list(enumerate(state.turns))):
        if step_id in turn.news or turn.advanced.error is not None:
            turns = number
    planned = {spec.id for turn in state.turns[:turns] for spec in turn.advanced.requests}
    kept = {each for each in planned - {step_id} if state.steps[each].over}
    return Cut(frozenset(kept), frozenset(planned), turns)


def _dependents(state: RunState, changed: Iterable[str]) -> Iterator[str]:
    """Every step that needs one of these, at first or at second hand."""
    needed_by: dict[str, list[str]] = {}
    for step_id, step in state.steps.items():
        for needed in step.spec.depends_on:
            needed_by.setdefault(needed, []).append(step_id)
    todo, seen = list(changed), set[str]()
    while todo:
        for step_id in needed_by.get(todo.pop(), ()):
            if step_id not in seen:
                seen.add(step_id)
                todo.append(step_id)
                yield step_id
