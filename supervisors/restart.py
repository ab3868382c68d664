"""OTP's supervisor as a pure function: `decide(state, event, now) → (state, commands)`.

What holds, as in OTP's supervisor (stdlib, restart/2 and add_restart/3):

* a restart is counted when it is decided; a failed start counts like a crash and is tried again
* the window slides: entries older than the period are dropped before counting
* one over the intensity and the supervisor gives up: all its children are to be stopped, in reverse
  order, and its own end is reported to whoever keeps it
* temporary children are forgotten when they end, transient ones when they end as intended

Ours: the delay before a restart (`Backoff`), reset by progress or a long life; and quarantine of a
single child that goes over `child_intensity`, so that one broken agent never takes its neighbours
down.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from ..cluster.exits import Exit, ExitReason
from .spec import ChildSpec, Intensity, Restart, SupervisorSpec

LONGEST_QUARANTINE = timedelta(hours=1)


class Phase(StrEnum):
    """Where a child stands."""

    STARTING = "starting"
    RUNNING = "running"
    BACKING_OFF = "backing_off"
    QUARANTINED = "quarantined"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Child:
    """A child and its recent history."""

    spec: ChildSpec
    phase: Phase = Phase.STARTING
    restarts: tuple[datetime, ...] = ()
    failures: int = 0
    quarantines: int = 0
    until: datetime | None = None
    running_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class State:
    """A supervisor at one instant. `given_up`: it stops its children and ends."""

    spec: SupervisorSpec
    children: Mapping[str, Child] = field(default_factory=dict[str, Child])
    restarts: tuple[datetime, ...] = ()
    given_up: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """A child is to be there: a static one at the start, a dynamic one on demand."""

    spec: ChildSpec


@dataclass(frozen=True, slots=True)
class Started:
    """A start came to its good end."""

    child: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A child's process ended, or its start failed."""

    child: str
    exit: Exit
    progressed: bool = False


@dataclass(frozen=True, slots=True)
class Due:
    """Time has passed: whoever waits may be due."""


@dataclass(frozen=True, slots=True)
class Dismissed:
    """A child is to be stopped and forgotten."""

    child: str


Event = Wanted | Started | Ended | Due | Dismissed


@dataclass(frozen=True, slots=True)
class Start:
    """Start the child now."""

    child: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop the child, killing it after its shutdown time."""

    child: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Stop everything and end: the supervisor's own keeper decides what then."""

    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """What OTP would log, and we keep as rows."""

    child: str
    kind: str
    reason: str = ""
    detail: str = ""
    delay: timedelta = timedelta(0)


Command = Start | Stop | GiveUp | Report


def decide(state: State, event: Event, now: datetime) -> tuple[State, tuple[Command, ...]]:
    """What the event makes of the state, and what is to be done about it, in order."""
    if state.given_up:
        return state, ()
    match event:
        case Wanted(spec):
            return _wanted(state, spec)
        case Started(child):
            return _started(state, child, now)
        case Ended():
            return _ended(state, event, now)
        case Due():
            return _due(state, now)
        case Dismissed(child):
            return _dismissed(state, child)


def next_due(state: State) -> datetime | None:
    """When the next `Due` has something to do."""
    return min((child.until for child in state.children.values() if child.until), default=None)


def _wanted(state: State, spec: ChildSpec) -> tuple[State, tuple[Command, ...]]:
    limit = state.spec.max_children
    full = limit is not None and len(state.children) >= limit
    if full or spec.id in state.children:
        return state, ()
    return _with(state, Child(spec)), (Start(spec.id),)


def _started(state: State, child_id: str, now: datetime) -> tuple[State, tuple[Command, ...]]:
    child = state.children.get(child_id)
    if child is None or child.phase is Phase.STOPPING:
        return state, (Stop(child_id),)  # dismissed while it was starting
    if child.phase is not Phase.STARTING:
        return state, ()
    running = replace(child, phase=Phase.RUNNING, running_since=now)
    return _with(state, running), (Report(child_id, "started"),)


def _ended(state: State, event: Ended, now: datetime) -> tuple[State, tuple[Command, ...]]:
    child = state.children.get(event.child)
    if child is None:
        return state, ()
    reason, detail = event.exit.reason, event.exit.detail
    ended = Report(event.child, "ended", reason, detail)
    if child.phase is Phase.STOPPING or not _comes_back(child.spec.restart, reason):
        return _without(state, event.child), (ended,)
    return _restart(state, child, event, now, ended)


def _comes_back(restart: Restart, reason: ExitReason) -> bool:
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return not reason.intended
        case Restart.TEMPORARY:
            return False


def _restart(
    state: State, child: Child, event: Ended, now: datetime, ended: Report
) -> tuple[State, tuple[Command, ...]]:
    lived = now - child.running_since if child.running_since else timedelta(0)
    if event.progressed or lived > state.spec.backoff.longest:
        child = replace(child, failures=0, quarantines=0, restarts=())
    child = replace(child, running_since=None)
    own = _slide(child.restarts, state.spec.child_intensity, now)
    all_of_them = _slide(state.restarts, state.spec.intensity, now)
    child = replace(child, restarts=own, failures=child.failures + 1)
    state = replace(state, restarts=all_of_them)
    if _over(all_of_them, state.spec.intensity):
        return _give_up(state, ended)
    # Delays grow beyond the window, so failures in a row count as well: else a child that always
    # dies would be started again for ever, never often enough to be noticed.
    limit = state.spec.child_intensity
    if _over(own, limit) or (limit is not None and child.failures > limit.restarts):
        return _quarantine(state, child, now, ended)
    delay = state.spec.backoff.delay(child.failures, _fraction(child))
    restarting = Report(child.spec.id, "restarting", event.exit.reason, "", delay)
    if not delay:
        starting = replace(child, phase=Phase.STARTING, until=None)
        return _with(state, starting), (ended, restarting, Start(child.spec.id))
    waiting = replace(child, phase=Phase.BACKING_OFF, until=now + delay)
    return _with(state, waiting), (ended, restarting)


def _give_up(state: State, ended: Report) -> tuple[State, tuple[Command, ...]]:
    limit = state.spec.intensity
    reason = f"more than {limit.restarts} restarts in {limit.period}" if limit else ""
    stops = tuple(Stop(child_id) for child_id in reversed(list(state.children)))
    report = Report(ended.child, "gave_up", reason)
    return replace(state, given_up=True), (ended, report, *stops, GiveUp(reason))


def _quarantine(
    state: State, child: Child, now: datetime, ended: Report
) -> tuple[State, tuple[Command, ...]]:
    time = min(LONGEST_QUARANTINE, state.spec.quarantine * 2**child.quarantines)
    shut = replace(
        child,
        phase=Phase.QUARANTINED,
        until=now + time,
        restarts=(),
        quarantines=min(child.quarantines + 1, 16),
    )
    return _with(state, shut), (ended, Report(child.spec.id, "quarantined", ended.reason, "", time))


def _due(state: State, now: datetime) -> tuple[State, tuple[Command, ...]]:
    commands: list[Command] = []
    for child_id, child in state.children.items():
        if child.until is not None and child.until <= now:
            state = _with(state, replace(child, phase=Phase.STARTING, until=None))
            commands.append(Start(child_id))
    return state, tuple(commands)


def _dismissed(state: State, child_id: str) -> tuple[State, tuple[Command, ...]]:
    child = state.children.get(child_id)
    if child is None:
        return state, ()
    if child.until is not None:
        return _without(state, child_id), ()
    return _with(state, replace(child, phase=Phase.STOPPING)), (Stop(child_id),)


def _slide(
    restarts: tuple[datetime, ...], intensity: Intensity | None, now: datetime
) -> tuple[datetime, ...]:
    if intensity is None:
        return ()
    return (*(at for at in restarts if at >= now - intensity.period), now)


def _over(restarts: tuple[datetime, ...], intensity: Intensity | None) -> bool:
    return intensity is not None and len(restarts) > intensity.restarts


def _fraction(child: Child) -> float:
    """Full jitter, from the child and its history: the same history waits alike."""
    seed = f"{child.spec.id}:{child.failures}:{child.restarts[-1] if child.restarts else ''}"
    return int.from_bytes(hashlib.sha256(seed.encode()).digest()[:4], "big") / 2**32


def _with(state: State, child: Child) -> State:
    return replace(state, children={**state.children, child.spec.id: child})


def _without(state: State, child_id: str) -> State:
    rest = {key: child for key, child in state.children.items() if key != child_id}
    return replace(state, children=rest)
