"""What may be asked of a supervisor, with OTP's answers. Pure.

`already_started`, `already_present`, `running`, `restarting`, `not_found` mean what they mean in
OTP's start_child, restart_child and delete_child; `max_children` is Elixir's. `not_quarantined` and
`quarantined` are ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .order import at_rest, with_child, without_child
from .spec import ChildSpec, ChildType, InvalidSpec, Restart, Strategy
from .state import (
    Child,
    Command,
    DeleteChild,
    Dismissed,
    Fate,
    Origin,
    Phase,
    Refused,
    Released,
    Report,
    Request,
    RestartChild,
    StartChild,
    State,
    TerminateChild,
    Wanted,
)

Step = tuple[State, tuple[Command, ...]]
_Act = Callable[[State, Child], Step]


@dataclass(frozen=True, slots=True)
class Counts:
    """OTP's count_children: `active` have a process and are not being restarted."""

    specs: int
    active: int
    supervisors: int
    workers: int


def count(state: State) -> Counts:
    """How many children there are."""
    children = list(state.children.values())
    supervisors = sum(child.spec.type is ChildType.SUPERVISOR for child in children)
    active = sum(child.phase in (Phase.RUNNING, Phase.STOPPING) for child in children)
    return Counts(len(children), active, supervisors, len(children) - supervisors)


def grant(state: State, request: Request) -> Step:
    """What a request makes of the state, or why it is refused."""
    if state.ending is not None:
        return state, (Refused("shutdown", f"{state.spec.id} is stopping"),)
    match request:
        case StartChild(spec):
            return _start(state, spec)
        case Wanted(spec):
            return _want(state, spec)
        case TerminateChild(child_id):
            return _on(state, child_id, _terminate)
        case RestartChild(child_id):
            return _on(state, child_id, _restart)
        case DeleteChild(child_id):
            return _on(state, child_id, _delete)
        case Released(child_id):
            return _on(state, child_id, _release)
        case Dismissed(child_id):
            return _dismiss(state, child_id)


def _refuse(state: State, why: str, detail: str) -> Step:
    return state, (Refused(why, detail),)


def _on(state: State, child_id: str, act: _Act) -> Step:
    child = state.children.get(child_id)
    if child is None:
        return _refuse(state, "not_found", f"{state.spec.id} has no child {child_id}")
    return act(state, child)


def _start(state: State, spec: ChildSpec) -> Step:
    if (known := state.children.get(spec.id)) is not None:
        why = "already_started" if _not_stopped(known) == "running" else "already_present"
        return _refuse(state, why, f"{spec.id} is there and {known.phase}")
    try:
        state.spec.check(spec)
    except InvalidSpec as error:
        return _refuse(state, "invalid_child_spec", error.detail)
    limit = state.spec.max_children
    if limit is not None and len(state.children) >= limit:
        return _refuse(state, "max_children", f"{state.spec.id} has {limit} children already")
    return with_child(state, Child(spec, origin=Origin.ADDED)), ()


def _want(state: State, spec: ChildSpec) -> Step:
    known = state.children.get(spec.id)
    if known is None:
        return _start(state, spec)
    if known.phase is Phase.STOPPED:
        return with_child(state, replace(known, phase=Phase.WAITING, origin=Origin.REQUESTED)), ()
    if known.phase.alive and known.fate in (Fate.KEEP, Fate.FORGET):  # it is leaving: turn it round
        # Among grouped children it may have been its siblings' restart that was to end it.
        ends = known.phase is Phase.STOPPING or state.spec.strategy.grouped
        turned = Fate.RESTART if ends else None
        return with_child(state, replace(known, fate=turned, until=None)), ()
    return state, ()


def _terminate(state: State, child: Child) -> Step:
    forgotten = child.spec.restart is Restart.TEMPORARY or state.spec.strategy is Strategy.DYNAMIC
    if child.phase.alive:
        fate = Fate.FORGET if forgotten or child.fate is Fate.FORGET else Fate.KEEP
        return with_child(state, replace(child, fate=fate)), ()
    if forgotten:
        return without_child(state, child.spec.id), ()
    return with_child(state, at_rest(child)), ()


def _restart(state: State, child: Child) -> Step:
    if (why := _not_stopped(child)) is not None:
        return _refuse(state, why, f"{child.spec.id} is {child.phase}")
    again = replace(child, phase=Phase.WAITING, origin=Origin.REQUESTED, until=None)
    return with_child(state, again), ()


def _delete(state: State, child: Child) -> Step:
    if (why := _not_stopped(child)) is not None:
        return _refuse(state, why, f"{child.spec.id} is {child.phase}")
    return without_child(state, child.spec.id), ()


def _not_stopped(child: Child) -> str | None:
    """OTP's word for a child that is not stopped."""
    match child.phase:
        case Phase.STOPPED:
            return None
        case Phase.QUARANTINED:
            return "quarantined"
        case Phase.WAITING:
            return "restarting"
        case Phase.STARTING:
            return "restarting" if child.origin is Origin.RESTARTED else "running"
        case Phase.RUNNING | Phase.STOPPING:
            return "running"


def _release(state: State, child: Child) -> Step:
    if child.phase is not Phase.QUARANTINED:
        return _refuse(state, "not_quarantined", f"{child.spec.id} is {child.phase}")
    free = replace(
        child,
        phase=Phase.WAITING, origin=Origin.RESTARTED, until=None,
        endings=(), failures=0, quarantines=0,
    )  # fmt: skip
    return with_child(state, free), (Report(child.spec.id, "released"),)


def _dismiss(state: State, child_id: str) -> Step:
    child = state.children.get(child_id)
    if child is None:
        return state, ()
    if child.phase.alive:
        return with_child(state, replace(child, fate=Fate.FORGET)), ()
    return without_child(state, child_id), ()
