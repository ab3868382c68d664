"""Which steps may go to a skill's process together. Pure.

A *chain* is a step that is ready and those that become ready when it, or others of the chain, have
succeeded: its process goes on with them by itself instead of asking us each time. What they are
makes the difference invisible: they only read, so doing one again after a crash does no harm, and
they have been quick, so that neither a cancellation nor a failure is heard of much later.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass

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


LaneOf = Callable[[Step], Hashable | None]
"""What a step's process must have in common with others'; None: the step is called by itself."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Calls for one process, each after what it needs. `shared`: others may use it, too."""

    calls: tuple[Dispatch, ...]
    shared: bool = True

    @property
    def step_ids(self) -> tuple[str, ...]:
        """Its steps, in order."""
        return tuple(call.step.id for call in self.calls)


def chains(state: RunState, starts: Iterable[Dispatch], lane_of: LaneOf) -> Iterator[Chain]:
    """The calls to start, together with what may follow each in its process. Every step is in at
    most one chain.
    """
    heads = list(starts)
    taken = {head.step.id for head in heads}
    for head in heads:
        lane = lane_of(state.steps[head.step.id]) if _may_share(state, head) else None
        if lane is None:
            yield Chain((head,), shared=False)
            continue
        steps = list(_followers(state, head, lambda step, lane=lane: lane_of(step) == lane, taken))
        taken.update(step.spec.id for step in steps)
        yield Chain((head, *(dispatch_of(state, step) for step in steps)))


def _may_share(state: RunState, head: Dispatch) -> bool:
    """A write that may be repeated shares a process too, but nothing follows it there: its outcome
    has to be on disk first.
    """
    given_by_hand = head.step.id in state.origin.overrides
    return head.mode is Mode.EXECUTE and not head.intent_first and not given_by_hand


def _followers(
    state: RunState, head: Dispatch, joins: Callable[[Step], bool], taken: set[str]
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
        if known and _may_follow(state, step) and joins(step):
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
