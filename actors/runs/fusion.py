"""Which steps may go to a skill's process together. Pure.

A *chain* is a step that is ready and those that become ready when it, or others of the chain, have
succeeded: its process goes on with them by itself instead of asking us each time. What they are
makes the difference invisible: they only read, so doing one again after a crash does no harm, and
they have been quick, so that neither a cancellation nor a failure is heard of much later. Calls
that mostly wait may share a process, too, but nothing follows them there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from ...skills.call import Mode
from ...skills.contracts import Effects
from .commands import Dispatch
from .machine import dispatch_of
from .references import referenced
from .state import Phase, RunState, Step
from .waiting import is_wait

LONGEST = 64
"""Steps of a chain."""

_REPEATABLE = (Effects.PURE, Effects.READ)


class Shared(Protocol):
    """What calls have in common that may share a process; equal for those that may."""

    @property
    def chained(self) -> bool:
        """Whether a step's followers go on in its process."""
        ...


L = TypeVar("L", bound=Shared)


@dataclass(frozen=True, slots=True)
class Chain(Generic[L]):
    """Calls for one process, each after what it needs. Without a `lane` it is theirs alone."""

    calls: tuple[Dispatch, ...]
    lane: L | None = None

    @property
    def step_ids(self) -> tuple[str, ...]:
        """Its steps, in order."""
        return tuple(call.step.id for call in self.calls)


def chains(
    state: RunState, starts: Iterable[Dispatch], lane_of: Callable[[Step], L | None]
) -> Iterator[Chain[L]]:
    """The calls to start, together with what may follow each in its process. Every step is in at
    most one chain.
    """
    heads = list(starts)
    taken = {head.step.id for head in heads}
    for head in heads:
        lane = lane_of(state.steps[head.step.id]) if _may_share(state, head) else None
        if lane is None:
            yield Chain((head,))
            continue
        steps = list(_followers(state, head, lane_of, lane, taken)) if lane.chained else []
        taken.update(step.spec.id for step in steps)
        yield Chain((head, *(dispatch_of(state, step) for step in steps)), lane)


def _may_share(state: RunState, head: Dispatch) -> bool:
    """A write that may be repeated shares a process too, but nothing follows it there: its outcome
    has to be on disk first.
    """
    given_by_hand = head.step.id in state.origin.overrides
    return head.mode is Mode.EXECUTE and not head.intent_first and not given_by_hand


def _followers(
    state: RunState, head: Dispatch, lane_of: Callable[[Step], L | None], lane: L, taken: set[str]
) -> Iterator[Step]:
    if head.plans or head.step.effects not in _REPEATABLE:
        return
    here = {head.step.id}
    for step in state.steps.values():  # in the order of the plan, which mostly is that of needs
        if len(here) == LONGEST:
            return
        before = [need for need in step.spec.depends_on if need not in here]
        if len(before) == len(step.spec.depends_on) or step.spec.id in taken:
            continue
        known = all(state.steps[need].phase is Phase.SUCCEEDED for need in before)
        if known and _may_follow(state, step) and lane_of(step) == lane:
            here.add(step.spec.id)
            yield step


def _may_follow(state: RunState, step: Step) -> bool:
    return (
        step.phase is Phase.OPEN
        and step.retry_at is None
        and step.spec.id not in state.in_flight
        and step.spec.id not in state.origin.overrides
        and step.spec.effects in _REPEATABLE
        and not is_wait(step)
        and not step.spec.large
        and not any(state.steps[used].large for used in used_by(step))
    )


def used_by(step: Step) -> frozenset[str]:
    """Steps whose output this one is given. One that is stored apart would have to be sent along,
    and then nothing is saved.
    """
    return frozenset() if step.spec.literal else referenced(step.spec.params)
