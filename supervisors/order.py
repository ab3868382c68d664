"""Who is stopped and who is started next. Pure, and level-triggered: it looks at what is, not at
what happened, so that no event can be missed.

Stops come in reverse start order, one at a time; starts in start order. Among grouped children
nobody is started while one of them is still to be stopped, or while one before it is not up yet.
Otherwise only first starts wait for each other: a child that comes back waits for nobody. Dynamic
children have no order at all.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from ..cluster.exits import Exit
from .spec import Restart, Strategy
from .state import Child, Command, Fate, Finish, Origin, Phase, Start, State, Stop

_COMING = (Phase.WAITING, Phase.STARTING)


def with_child(state: State, child: Child) -> State:
    """The state with this child in its place, or as the last one."""
    return replace(state, children={**state.children, child.spec.id: child})


def without_child(state: State, child_id: str) -> State:
    """The state without this child."""
    rest = {key: child for key, child in state.children.items() if key != child_id}
    return replace(state, children=rest)


def at_rest(child: Child) -> Child:
    """The child without a process, and with nothing to wait for."""
    return replace(
        child, phase=Phase.STOPPED, fate=None, until=None, running_since=None, waits_for=""
    )


def is_first_start(child: Child) -> bool:
    """Whether nobody knows yet how the child's first start ends."""
    if child.life == 0:
        return child.phase is Phase.WAITING
    return child.life == 1 and child.phase is Phase.STARTING


def doomed(state: State, ending: Exit) -> State:
    """The supervisor stops everybody and then ends with `ending`."""
    children = {
        child_id: replace(child, fate=Fate.KEEP) if child.phase.alive else at_rest(child)
        for child_id, child in state.children.items()
    }
    return replace(state, children=children, ending=ending)


def regrouped(state: State, failed: str, until: datetime | None) -> tuple[State, list[str]]:
    """Have the siblings that the strategy concerns stopped and started again with the failed one,
    not before `until`; and who they are. As in OTP this also brings back those that were stopped,
    or are about to be, and drops the temporary ones that live.
    """
    ids = list(state.children)
    match state.spec.strategy:
        case Strategy.ONE_FOR_ALL:
            concerned = [child_id for child_id in ids if child_id != failed]
        case Strategy.REST_FOR_ONE:
            concerned = ids[ids.index(failed) + 1 :]
        case _:
            concerned = []
    for child_id in concerned:
        child = state.children[child_id]
        if child.phase.alive:
            leaves = child.spec.restart is Restart.TEMPORARY or child.fate is Fate.FORGET
            child = replace(child, fate=Fate.FORGET if leaves else Fate.RESTART)
        elif child.phase is not Phase.WAITING:  # who waits may have its first start ahead still
            child = replace(child, phase=Phase.WAITING, origin=Origin.RESTARTED)
        state = with_child(state, replace(child, until=until))
    return state, concerned


def advance(state: State, now: datetime) -> tuple[State, tuple[Command, ...]]:
    """What can be done now towards what is wanted."""
    state, stops = _stop(state)
    if state.ending is None:
        state, starts = _start(state, now)
        return state, stops + starts
    if any(child.phase.alive for child in state.children.values()):
        return state, stops
    return replace(state, over=True), (*stops, Finish(state.ending))


def _stop(state: State) -> tuple[State, tuple[Command, ...]]:
    children = list(state.children.values())[::-1]
    todo = [c for c in children if c.fate and c.phase in (Phase.STARTING, Phase.RUNNING)]
    if state.spec.strategy is not Strategy.DYNAMIC:
        busy = any(child.phase is Phase.STOPPING for child in children)
        todo = [] if busy else todo[:1]
    for child in todo:
        state = with_child(state, replace(child, phase=Phase.STOPPING))
    return state, tuple(Stop(c.spec.id, c.life, c.spec.patience) for c in todo)


def _start(state: State, now: datetime) -> tuple[State, tuple[Command, ...]]:
    strategy = state.spec.strategy
    if strategy.grouped and any(c.phase.alive and c.fate for c in state.children.values()):
        return state, ()
    children, starts = dict(state.children), list[Command]()
    somebody_first = False
    for child_id, child in state.children.items():
        has_order = strategy.grouped or (child.life == 0 and strategy is not Strategy.DYNAMIC)
        if _is_due(child, now) and not (has_order and somebody_first):
            born = replace(child, phase=Phase.STARTING, until=None, life=child.life + 1)
            children[child_id] = born
            starts.append(Start(child_id, born.life))
        now_is = children[child_id]
        is_awaited = now_is.phase in _COMING if strategy.grouped else is_first_start(now_is)
        somebody_first = somebody_first or is_awaited
    return (replace(state, children=children) if starts else state), tuple(starts)


def _is_due(child: Child, now: datetime) -> bool:
    return child.phase is Phase.WAITING and (child.until is None or child.until <= now)
