"""OTP's supervisor as a pure function: `decide(state, event, now) → (state, commands)`.

As in OTP (stdlib supervisor, restart/2 and add_restart/3):

* static children are started in order, each when the one before is up, and stopped in reverse
  order, each when the one after is gone; dynamic ones have no order
* one_for_all and rest_for_one stop the siblings they concern before they start anybody again
* a restart is counted when it is decided; a failed start counts like a crash and is tried again
* the window slides; one over the intensity and the supervisor stops its children and ends, which
  is its parent's business then
* temporary children are forgotten when they end; transient ones that ended as intended are kept,
  stopped; significant ones may end the supervisor
* what a sibling's restart or a request stops is no end by itself: it is neither counted nor
  significant

Ours: the delay before a restart, reset by progress or a long life; quarantine of a single child
that goes over its budget, so that one broken agent never takes its neighbours down; and waiting,
uncounted, for a machine that has what a child needs.

Nothing here waits: a child that takes long to start, or never does, keeps nobody from being heard.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from ..cluster.exits import Exit, ExitReason
from .administration import grant
from .budgets import (
    cause_of,
    charged,
    cleared,
    delay_of,
    over_budget,
    quarantine_of,
    too_intense,
)
from .order import advance, at_rest, doomed, regrouped, with_child, without_child
from .spec import AutoShutdown, Restart, Strategy
from .state import (
    Child,
    Command,
    Due,
    Ended,
    Event,
    Fate,
    Ignored,
    Origin,
    Phase,
    Refused,
    Report,
    Request,
    Restored,
    Started,
    State,
    StopAll,
)

CAPACITY_PAUSE = timedelta(seconds=5)
"""How often it is asked again whether a machine has what a child needs."""

Step = tuple[State, tuple[Command, ...]]


def decide(state: State, event: Event, now: datetime) -> Step:
    """What the event makes of the state, and what is to be done about it, in order."""
    if state.over:
        refused = isinstance(event, Request)
        return state, (Refused("shutdown", f"{state.spec.id} has ended"),) if refused else ()
    state, heard = _hear(state, event, now)
    state, done = advance(state, now)
    return state, heard + done


def next_due(state: State) -> datetime | None:
    """When the next `Due` has something to do. Whoever is still to be stopped before it may come
    back waits for that, and not for a time.
    """
    waiting = (child for child in state.children.values() if not child.phase.alive)
    return min((child.until for child in waiting if child.until), default=None)


def _hear(state: State, event: Event, now: datetime) -> Step:
    match event:
        case Started():
            return _started(state, event, now)
        case Ignored():
            return _ignored(state, event)
        case Ended():
            return _ended(state, event, now)
        case Due():
            return _due(state, now)
        case StopAll(exit_):
            return doomed(state, state.ending or exit_), ()
        case Restored():
            return _restored(state, event), ()
        case _:
            return grant(state, event)


def _current(state: State, child_id: str, life: int) -> Child | None:
    """The child that is heard of, unless it is an earlier life of it."""
    child = state.children.get(child_id)
    return child if child is not None and child.life == life and child.phase.alive else None


def _started(state: State, event: Started, now: datetime) -> Step:
    child = _current(state, event.child, event.life)
    if child is None or child.phase is not Phase.STARTING:
        return state, ()
    running = replace(child, phase=Phase.RUNNING, running_since=now, waits_for="")
    return with_child(state, running), (Report(event.child, "started"),)


def _ignored(state: State, event: Ignored) -> Step:
    child = _current(state, event.child, event.life)
    if child is None or child.phase is Phase.RUNNING:
        return state, ()
    report = (Report(event.child, "ignored"),)
    if child.fate is not None:
        return _stopped(state, child, child.fate), report
    return _gone(state, child), report


def _ended(state: State, event: Ended, now: datetime) -> Step:
    child = _current(state, event.child, event.life)
    if child is None:
        return state, ()
    exit_ = event.exit
    ended = Report(event.child, "ended", exit_.reason, exit_.detail)
    if child.fate is not None:
        return _stopped(state, child, child.fate), (ended,)
    if exit_.reason is ExitReason.NO_CAPACITY and child.phase is Phase.STARTING:
        return _pending(state, child, exit_, now)
    child = cleared(child, progressed=event.progressed, state=state, now=now)
    first = child.phase is Phase.STARTING and child.origin is not Origin.RESTARTED
    if first and state.spec.strict_start:
        return _never_started(state, child, exit_, ended)
    if not _comes_back(child.spec.restart, exit_.reason):
        return _left(state, child, ended)
    return _restart(state, child, exit_, now, ended)


def _stopped(state: State, child: Child, fate: Fate) -> State:
    """A child that was to be stopped is gone."""
    match fate:
        case Fate.RESTART:
            again = replace(child, phase=Phase.WAITING, fate=None, origin=Origin.RESTARTED)
            return with_child(state, replace(again, running_since=None))
        case Fate.KEEP:
            return with_child(state, at_rest(child))
        case Fate.FORGET:
            return without_child(state, child.spec.id)


def _pending(state: State, child: Child, exit_: Exit, now: datetime) -> Step:
    """No machine has what it needs: nobody's failure, and reported once."""
    missing = exit_.detail or "capacity"
    report = Report(child.spec.id, "pending", exit_.reason, missing)
    reports = (report,) if child.waits_for != missing else ()
    until = now + CAPACITY_PAUSE
    waiting = replace(child, phase=Phase.WAITING, until=until, waits_for=missing)
    return with_child(state, waiting), reports


def _never_started(state: State, child: Child, exit_: Exit, ended: Report) -> Step:
    """OTP's answers to a first start that fails."""
    failed = at_rest(child)
    match child.origin:
        case Origin.BOOT:
            why = f"failed_to_start_child {child.spec.id}: {exit_.detail}"
            return doomed(with_child(state, failed), Exit(ExitReason.SHUTDOWN, why)), (ended,)
        case Origin.ADDED:
            return without_child(state, child.spec.id), (ended,)
        case _:
            return with_child(state, failed), (ended,)


def _comes_back(restart: Restart, reason: ExitReason) -> bool:
    match restart:
        case Restart.PERMANENT:
            return True
        case Restart.TRANSIENT:
            return not reason.intended
        case Restart.TEMPORARY:
            return False


def _left(state: State, child: Child, ended: Report) -> Step:
    """A child ended by itself and does not come back."""
    state = _gone(state, child)
    if child.spec.significant and _is_enough(state):
        report = Report(child.spec.id, "auto_shutdown", state.spec.auto_shutdown)
        return doomed(state, Exit(ExitReason.SHUTDOWN, "auto_shutdown")), (ended, report)
    return state, (ended,)


def _gone(state: State, child: Child) -> State:
    """No process, and none wanted: forgotten or kept, as its restart type has it."""
    if child.spec.restart is Restart.TEMPORARY or state.spec.strategy is Strategy.DYNAMIC:
        return without_child(state, child.spec.id)
    return with_child(state, at_rest(child))


def _is_enough(state: State) -> bool:
    """Whether a significant end is the one that ends the supervisor. Who is being stopped for good
    counts as gone: in OTP, which waits for a stop, it would be.
    """
    match state.spec.auto_shutdown:
        case AutoShutdown.NEVER:
            return False
        case AutoShutdown.ANY_SIGNIFICANT:
            return True
        case AutoShutdown.ALL_SIGNIFICANT:
            return not any(
                child.spec.significant
                and child.phase is not Phase.STOPPED
                and child.fate not in (Fate.KEEP, Fate.FORGET)
                for child in state.children.values()
            )


def _restart(state: State, child: Child, exit_: Exit, now: datetime, ended: Report) -> Step:
    cause = cause_of(exit_.reason)
    state, child = charged(state, child, cause, now)
    child = at_rest(child)
    if too_intense(state):
        why = f"reached_max_restart_intensity: more than {state.spec.intensity}"
        report = Report(child.spec.id, "gave_up", why)
        given_up = doomed(with_child(state, child), Exit(ExitReason.SHUTDOWN, why))
        return given_up, (ended, report)
    if over_budget(state, child, cause):
        return _quarantine(state, child, exit_, now, ended)
    delay = delay_of(state, child, cause)
    until = now + delay if delay else None
    waiting = replace(
        child,
        phase=Phase.WAITING, origin=Origin.RESTARTED, until=until, restarts=child.restarts + 1,
    )  # fmt: skip
    state, siblings = regrouped(with_child(state, waiting), child.spec.id, until)
    detail = f"with {', '.join(siblings)}" if siblings else ""
    return state, (ended, Report(child.spec.id, "restarting", exit_.reason, detail, delay))


def _quarantine(state: State, child: Child, exit_: Exit, now: datetime, ended: Report) -> Step:
    time = quarantine_of(state, child)
    shut = replace(
        child,
        phase=Phase.QUARANTINED, until=now + time, endings=(), quarantines=child.quarantines + 1,
    )  # fmt: skip
    report = Report(child.spec.id, "quarantined", exit_.reason, exit_.detail, time)
    return with_child(state, shut), (ended, report)


def _restored(state: State, event: Restored) -> State:
    if event.spec.id in state.children or state.ending is not None:
        return state
    child = Child(
        event.spec,
        phase=Phase.QUARANTINED, until=event.until, quarantines=max(1, event.quarantines),
        origin=Origin.RESTARTED,
    )  # fmt: skip
    return with_child(state, child)


def _due(state: State, now: datetime) -> Step:
    """Whoever waited long enough may be started; after a quarantine that is a trial."""
    said: list[Command] = []
    for child in list(state.children.values()):
        if child.until is None or child.until > now:
            continue
        if child.phase is Phase.QUARANTINED:
            said.append(Report(child.spec.id, "trial"))
            child = replace(child, origin=Origin.RESTARTED, phase=Phase.WAITING)  # noqa: PLW2901 - the next line stores it
        state = with_child(state, replace(child, until=None))
    return state, tuple(said)
