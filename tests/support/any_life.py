"""Runs to which anything happens: waits, signals, decisions, children, doubt, repairs, crashes.

Decided by a die, told by the machine: whatever the machine commands is done, or the process dies
over it. For tests of what is made of journals; `run_life` is the one that checks the machine.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from aos.actors.runs.backoff import after
from aos.actors.runs.commands import (
    Advance,
    Begin,
    Command,
    Dispatch,
    Finish,
    Park,
    Record,
    Spawn,
    Stop,
    WaitUntil,
)
from aos.actors.runs.events import (
    ChildSpawned,
    Event,
    IntentWithdrawn,
    OnError,
    Plan,
    PlannedStep,
    ProgramAdvanced,
    ProgramRef,
    RunFinished,
    RunParked,
    RunResumed,
    RunStarted,
    RunWoken,
    Source,
    StepCompensated,
    StepIntended,
    StepReconciled,
    StepSettled,
    Verdict,
)
from aos.actors.runs.fold import apply, fold
from aos.actors.runs.machine import decide
from aos.actors.runs.mailbox import Message, hear
from aos.actors.runs.state import Phase, RunState
from aos.actors.runs.waiting import CHILD, DECISION, SIGNAL, TIMER, begin
from aos.skills.contracts import Effects, EffectState, InDoubtPolicy, RetryPolicy

from .runs import RUN, START, ok, permanent, step, submitted, transient

WAITING: dict[str, dict[str, Any]] = {
    TIMER: {"seconds": 30},
    SIGNAL: {"name": "go"},
    DECISION: {"question": "may I?"},
    CHILD: {"goal": "help"},
}
PROGRAM = ProgramRef(name="p", hash="sha256:" + "0" * 64, entry="agent")


class AnyLife:
    """One run's journal in the making."""

    def __init__(self, seed: int, *, program: bool = False) -> None:
        self.die = Random(seed)  # noqa: S311 - a die, not a secret
        self.now: datetime = START
        self.events: list[Event] = []
        self.state = RunState(RUN)
        policy = self.die.choice(list(InDoubtPolicy))
        origin: dict[str, Any] = {"program": PROGRAM} if program else {}
        self.add(submitted(on_in_doubt=policy, max_rounds=4, run_timeout_s=1e6, **origin))
        self.epoch = 1
        self.add(RunStarted(at=self.now, epoch=1))

    def add(self, event: Event) -> None:
        """Something happened."""
        self.state = apply(self.state, event)
        self.events.append(event)

    def live(self, turns: int = 60) -> list[Event]:
        """Let things happen until the run is over, or for so many turns."""
        for _ in range(turns):
            if self.state.finished is not None:
                break
            if self.die.random() < 0.25:
                self.say()
            elif self.die.random() < 0.08 and self.state.parked is None:
                self.crash()
            else:
                self.turn()
            self.now += timedelta(seconds=self.die.choice([0, 0.1, 2, 40]))
        fold(RUN, self.events)
        return self.events

    def turn(self) -> None:
        """Ask the machine, and do what it says."""
        if self.state.parked is not None:
            self.epoch += 1
            self.add(RunWoken(at=self.now, epoch=self.epoch))
            return
        for command in decide(self.state, self.now):
            if self.state.finished is not None or self.state.parked is not None:
                return
            if self.perform(command):
                return

    def crash(self) -> None:
        """The process dies over whatever is under way."""
        self.epoch += 1
        self.add(RunResumed(at=self.now, epoch=self.epoch))

    def perform(self, command: Command) -> bool:
        """Whether the machine has to be asked again."""
        match command:
            case Dispatch():
                return self.call(command)
            case Begin(step_id):
                each = self.state.steps[step_id]
                self.add(begin(self.state, each, each.spec.params, self.now))
            case Spawn(step_id):
                wait = self.state.steps[step_id].wait
                child = (wait.child_run_id if wait else "") or ""
                self.add(ChildSpawned(at=self.now, step_id=step_id, child_run_id=child))
            case Record(event):
                self.add(event)
            case Advance():
                self.advance()
            case Park() | Finish():
                self.rest(command)
                return True
            case WaitUntil(instant):
                self.now = max(self.now, min(instant, after(self.now, 60_000)))
            case Stop(step_ids):
                for step_id in step_ids:
                    self.settle(step_id, permanent(effect=EffectState.UNKNOWN))
        return False

    def rest(self, command: Park | Finish) -> None:
        """The run needs no process any more."""
        if isinstance(command, Finish):
            status, code, message = command.status, command.code, command.message
            self.add(RunFinished(at=self.now, status=status, code=code, message=message))
        elif not self.state.in_flight:
            self.add(RunParked(at=self.now, until=command.until, reason=command.reason))

    def call(self, command: Dispatch) -> bool:
        """A call is made, and ends in some way, or its process dies."""
        step_id, die = command.step.id, self.die
        if command.mode == "reconcile":
            verdict = die.choice(
                [Verdict.HAPPENED, Verdict.DID_NOT_HAPPEN, Verdict.UNCLEAR, Verdict.UNCLEAR]
            )
            self.add(
                StepReconciled(at=self.now, step_id=step_id, verdict=verdict, source=Source.HOOK)
            )
            return False
        if command.mode == "compensate":
            outcome = die.choice([ok, transient])()
            self.add(
                StepCompensated(
                    at=self.now, step_id=step_id, attempt=command.attempt, outcome=outcome
                )
            )
            return False
        if command.intent_first:
            self.add(
                StepIntended(
                    at=self.now, step_id=step_id, attempt=command.attempt, skill="s",
                    idempotency_key=command.idempotency_key,
                )
            )  # fmt: skip
            if die.random() < 0.1:
                self.add(IntentWithdrawn(at=self.now, step_id=step_id, reason="stop"))
                return False
            if die.random() < 0.25:
                self.crash()
                return True
        self.settle(step_id, die.choice([ok, ok, ok, ok, transient, permanent])())
        return False

    def settle(self, step_id: str, outcome: Any) -> None:
        """An attempt ends."""
        each, die = self.state.steps[step_id], self.die
        plan = None
        if each.plans and outcome.ok:
            plan = self.plan()
        if each.spec.effects in (Effects.UNSAFE, Effects.IDEMPOTENT):
            effect = EffectState.DONE if outcome.ok else die.choice(list(EffectState))
            outcome = outcome.model_copy(update={"effect": effect})
        self.add(
            StepSettled(
                at=self.now, step_id=step_id, attempt=each.attempts + 1,
                effects=each.spec.effects, idempotency_key=self.state.idempotency_key(step_id),
                outcome=outcome.model_copy(update={"cost_microusd": die.choice([0, 5])}),
                plan=plan,
            )
        )  # fmt: skip

    def plan(self) -> Plan:
        """Steps of every kind that need some of those before them."""
        known: list[str] = [each.spec.id for each in self.state.steps.values() if not each.plans]
        made: list[PlannedStep] = []
        for number in range(self.die.choice([0, 1, 2, 4])):
            made.append(self.planned(f"r{self.state.round}s{number}", known))
            known.append(made[-1].id)
        return Plan(steps=tuple(made), answer=self.die.choice([None, "done"]))

    def planned(self, step_id: str, known: list[str]) -> PlannedStep:
        """Any step."""
        die = self.die
        waits = die.random() < 0.35
        skill = die.choice(list(WAITING)) if waits else "do"
        effects = Effects.PURE if waits else die.choice([*Effects, Effects.UNSAFE])
        return step(
            step_id, effects, skill=skill, params=WAITING.get(skill, {}),
            needs=sorted({die.choice(known) for _ in range(die.choice([0, 0, 1, 2])) if known}),
            on_error=die.choice([OnError.CONTINUE, OnError.ABORT]),
            retry=RetryPolicy(max_attempts=1 if waits else die.choice([1, 2]), jitter=0),
            reconciles=die.random() < 0.5, compensates=die.random() < 0.5,
        )  # fmt: skip

    def advance(self) -> None:
        """A program asks for some more, or returns."""
        count = len(self.state.steps)
        ends = count > 6 or (count > 0 and self.die.random() < 0.15)
        asked = tuple(
            self.planned(f"s{count + n + 1}", []).model_copy(update={"on_error": OnError.CONTINUE})
            for n in range(0 if ends else self.die.choice([1, 1, 3]))
        )
        self.add(ProgramAdvanced(at=self.now, requests=asked, finished=ends, answer="done"))

    def say(self) -> None:
        """Somebody says something, sensible or not."""
        if self.state.parked is not None:
            self.epoch += 1
            self.add(RunWoken(at=self.now, epoch=self.epoch))
        kind, body = self.die.choice(self.sayings())
        message = Message(self.state.heard + 1, kind, "ann", body)
        self.add(hear(self.state, message, self.now))

    def sayings(self) -> list[tuple[str, dict[str, Any]]]:
        """What could be said."""
        said: list[tuple[str, dict[str, Any]]] = [
            ("signal", {"name": "go", "payload": self.die.random()}),
            ("signal", {"name": "go", "payload": 1}),
            ("signal", {"name": "other", "payload": 2}),
            ("continue", {}),
            ("pause", {"reason": "lunch"}),
            ("continue", {}),
        ]
        if self.die.random() < 0.05:
            said.append(("cancel", {"reason": "enough"}))
        for step_id, each in self.state.steps.items():
            if each.phase is Phase.WAITING and each.wait is not None:
                if each.wait.question is not None:
                    approved = self.die.random() < 0.7
                    said.append(("decide", {"step_id": step_id, "approved": approved}))
                if each.wait.child_run_id is not None:
                    status = self.die.choice(["completed", "failed"])
                    body = {"step_id": step_id, "child_run_id": each.wait.child_run_id}
                    said.append(("child", {**body, "status": status, "code": "OK"}))
            if each.phase is Phase.IN_DOUBT:
                verdict = self.die.choice(
                    ["happened", "did_not_happen", "retry", "fail", "compensate"]
                )
                said += [("verdict", {"step_id": step_id, "verdict": verdict})] * 3
            if not each.over and not each.plans:
                action = self.die.choice(["skip", "set_result", "redrive"])
                said.append(("repair", {"step_id": step_id, "action": action}))
        return said
