"""A run driven again, from its recording alone: facts are recorded, decisions are made anew. Pure.

The clock reads what the recorded process read, as long as both do the same. What is not in the
recording is not known: a call without a recorded outcome stays under way, and ends the replay.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

from ..runs.commands import (
    Advance,
    Begin,
    Command,
    Dispatch,
    Finish,
    Park,
    Record,
    Spawn,
    WaitUntil,
)
from ..runs.events import (
    ChildSpawned,
    Event,
    Heard,
    RunParked,
    RunWoken,
)
from ..runs.fold import apply
from ..runs.machine import decide
from ..runs.state import IllegalTransition, RunState, dispatched
from .contents import Contents
from .expected import expected, finished, intended
from .facts import adapted, is_refusal, outcome_of
from .instants import instants, is_written, makes
from .script import Script
from .walk import LIFECYCLE

_MOST_TURNS = 100_000
_LATE = timedelta(seconds=5)
"""By how much a process may have been busy with something else when a wait's time came."""

Known = Callable[[RunState, Dispatch], str | None]
"""Why a call is not the recorded one, or None: then its outcome is."""


def _as_recorded(state: RunState, command: Dispatch) -> str | None:
    del state, command
    return None


class Rerun:
    """One run, driven again. `made` is the journal that comes of it; `wanted` the calls that were
    asked for and are not in the recording, with the reason; `stuck` what could not happen.
    """

    def __init__(
        self,
        run_id: UUID,
        script: Script,
        contents: Contents,
        *,
        known: Known = _as_recorded,
        change: Callable[[RunState, Event], Event] = lambda _, event: event,
        strict: bool = True,
    ) -> None:
        self.made: list[Event] = []
        self.state = RunState(run_id)
        self.wanted: dict[str, tuple[Dispatch | Spawn, str]] = {}
        self.answered: list[str] = []
        self.stuck: tuple[str, str] | None = None
        self._script, self._contents = script, contents
        self._known, self._change, self._strict = known, change, strict
        self._calls: dict[str, Dispatch] = {}
        self._now: datetime = script.events[0].at
        self._alarm: datetime | None = None
        self._late = _LATE if strict else timedelta()

    def run(self) -> RunState:
        """To the end, or until nothing that is known can happen."""
        for _ in range(_MOST_TURNS):
            if self.state.finished is not None or self.stuck is not None:
                break
            if not (self._turn() or self._go_on()):
                break
        return self.state

    # what the machine does

    def _turn(self) -> bool:
        if not self.state.epoch:
            return False
        commands = self._asked()
        times = [each.instant for each in commands if isinstance(each, WaitUntil)]
        self._alarm = times[0] if times else None
        moved = False
        # As the driver does: calls are begun when everything else of the turn is done.
        for command in sorted(commands, key=lambda each: isinstance(each, Dispatch)):
            moved = self._perform(command) or moved
            if self.state.finished is not None or self.state.parked is not None:
                break
        return moved

    def _asked(self) -> tuple[Command, ...]:
        """What the machine says; if the recorded process decided something next, then at an instant
        at which it says that, if there is one: events are written a little after their decision.
        """
        wanted = self._script.decision if self._strict else None
        if wanted is not None:
            heard = [
                decide(self.state, instant)
                for instant in instants(self.state, self._now, wanted.at)
            ]
            for first_only in (True, False):
                for commands in heard:
                    if _would_make(wanted, commands, first_only=first_only):
                        return commands
        return decide(self.state, self._now)

    def _perform(self, command: Command) -> bool:
        match command:
            case Dispatch():
                return self._dispatch(command)
            case Finish():
                return self._decide(
                    "run_finished",
                    make=lambda at: finished(self.state, command, at, self._contents),
                )
            case Park(until, reason, timed):
                return self._park(until, reason, timed)
            case Record(event):
                step_id = getattr(event, "step_id", "")
                return self._decide(event.kind, step_id=step_id, make=lambda _: event)
            case Begin(step_id):
                return self._begin(step_id)
            case Spawn():
                return self._spawn(command)
            case Advance():
                found = self._script.counterpart("program_advanced")
                return found is not None and self._decide(
                    "program_advanced", make=lambda at: found[1]
                )
            case _:
                return False

    def _decide(self, *kinds: str, step_id: str = "", make: Callable[[datetime], Event]) -> bool:
        """Take a decision, at the instant at which it was taken, unless the world comes first."""
        found = self._script.counterpart(*kinds, step_id=step_id)
        later = self._listens() if found is None else self._script.is_later(found[0])
        if later:
            return False
        if found is not None:
            self._now = max(self._now, found[1].at)
            self._script.taken(found[0])
        self._add(make(self._now))
        return True

    def _listens(self) -> bool:
        """Whether the world has something to say before the process decides what the recorded one
        did not: about now, for nobody decides at once, or because it was said before the run was
        taken up.
        """
        fact = self._script.fact
        told = bool(self.made) and isinstance(self.made[-1], (*LIFECYCLE, Heard))
        if fact is None:
            return False
        return fact.at <= self._now + self._late or (told and isinstance(fact, Heard))

    def _begin(self, step_id: str) -> bool:
        begin = Begin(step_id)
        return self._decide(
            "wait_began",
            "step_closed",
            step_id=step_id,
            make=lambda at: expected(self.state, begin, at, self._contents)[0],
        )

    def _spawn(self, command: Spawn) -> bool:
        found = self._script.counterpart("child_spawned", "step_closed", step_id=command.step_id)
        if found is None or (found[1].kind == "step_closed" and not is_refusal(found[1])):
            self._want(command, "the child run is not in the recording")
            return False

        def make(at: datetime) -> Event:
            wait = self.state.steps[command.step_id].wait
            child = (wait.child_run_id if wait else None) or ""
            spawned = ChildSpawned(at=at, step_id=command.step_id, child_run_id=child)
            return found[1] if is_refusal(found[1]) else spawned

        return self._decide(found[1].kind, step_id=command.step_id, make=make)

    def _park(self, until: datetime | None, reason: str, timed: bool) -> bool:
        found = self._script.counterpart("run_parked")
        if found is None and not isinstance(self._script.fact, RunWoken):
            return False  # the recorded process did not rest here, and nothing hangs on it
        return self._decide(
            "run_parked",
            make=lambda at: RunParked(at=at, until=until, reason=reason, timed=timed),
        )

    def _dispatch(self, command: Dispatch) -> bool:
        step_id = command.step.id
        if step_id in self.wanted:
            return False
        if (why := self._known(self.state, command)) is not None:
            self._want(command, why)
            return False
        if not self._script.answers(command):
            if not self._strict and self._script.fact is None:
                self._want(command, "the recording has no such attempt")
            return False
        if command.intent_first and not self._decide(
            "step_intended", step_id=step_id, make=lambda at: intended(command, at)
        ):
            return False
        self.state = dispatched(self.state, step_id)
        self._calls[step_id] = command
        return True

    def _want(self, command: Dispatch | Spawn, why: str) -> None:
        step_id = command.step.id if isinstance(command, Dispatch) else command.step_id
        self.wanted.setdefault(step_id, (command, why))

    # what the world does

    def _go_on(self) -> bool:
        """Let the world do what it does next, or time pass. False: nothing is known to happen."""
        fact, decision = self._script.fact, self._script.decision
        if decision is not None and self._strict:
            return self._await(decision, fact)
        if fact is None:
            return not self.wanted and not self._strict and self._sleep(None)
        if self._sleep(fact.at):
            return True  # a retry may be due before
        step_id = "" if self._script.copies else outcome_of(fact)
        if step_id and step_id not in self._calls:
            return self._cannot(fact, "the machine makes no such call")
        self._now = max(self._now, fact.at)
        return self._happen(fact)

    def _await(self, decision: Event, fact: Event | None) -> bool:
        """The recorded process decided next: at its instant, or the machine's, or not at all."""
        if self._now < decision.at:
            self._now = decision.at
            return True
        if not self._sleep(fact.at if fact is not None else None):
            self._script.skip_decision()
        return True

    def _sleep(self, until: datetime | None) -> bool:
        if self._alarm is None or self._alarm <= self._now or self.state.parked is not None:
            return False
        if until is not None and self._alarm > until:
            return False
        self._now = self._alarm
        return True

    def _happen(self, fact: Event) -> bool:
        event = fact if self._script.copies else adapted(self.state, self._change(self.state, fact))
        try:
            self._add(event)
        except IllegalTransition as error:
            return self._cannot(fact, error.detail)
        self._script.happened()
        if (step_id := outcome_of(event)) and step_id in self._calls:
            del self._calls[step_id]
            self.answered.append(step_id)
        if not self.state.in_flight:
            self._calls.clear()
        return True

    def _cannot(self, fact: Event, why: str) -> bool:
        """A recorded fact that has no place any more: the end of a strict replay."""
        self._script.happened()
        if self._strict:
            self.stuck = (getattr(fact, "step_id", ""), why)
            return False
        return True

    def _add(self, event: Event) -> None:
        self.state = apply(self.state, event)
        self.made.append(event)


def _would_make(wanted: Event, commands: tuple[Command, ...], *, first_only: bool) -> bool:
    """Whether an event is what one of these commands becomes; or the first that becomes any."""
    for command in sorted(commands, key=lambda each: isinstance(each, Dispatch)):
        if makes(command, wanted):
            return True
        if first_only and is_written(command):
            return False
    return False
