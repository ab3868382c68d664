"""A run, a process that drives it, and what of it is on disk; every decision is checked.

`choose` picks one of several things that may happen: hypothesis does, or a die.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from aos.actors.runs.events import (
    Event,
    OnError,
    Plan,
    PlannedStep,
    RunFinished,
    RunParked,
    RunResumed,
    RunStarted,
    RunStatus,
    RunWoken,
    StepIntended,
    StepReconciled,
    StepSettled,
    Verdict,
)
from aos.actors.runs.fold import apply, fold
from aos.actors.runs.machine import (
    POISON_AFTER,
    Dispatch,
    Finish,
    Park,
    Record,
    WaitUntil,
    decide,
)
from aos.actors.runs.state import dispatched
from aos.skills.contracts import Effects, EffectState, InDoubtPolicy, RetryPolicy

from .ledger import Ledger
from .runs import RUN, START, ok, permanent, step, submitted, transient

Choose = Callable[[Sequence[Any]], Any]

OUTCOMES = ("ok",) * 6 + ("transient", "transient", "later", "permanent")
WRITES = (Effects.IDEMPOTENT, Effects.UNSAFE)


def random_plan(choose: Choose, number: int, earlier: list[str]) -> Plan:
    """Steps that depend on those before them, of this plan or of earlier ones."""
    steps: list[PlannedStep] = []
    for position in range(choose(range(5))):
        known = earlier + [each.id for each in steps]
        steps.append(
            step(
                f"r{number}s{position}",
                choose(list(Effects)),
                needs=sorted({choose(known) for _ in range(choose(range(3)))} if known else ()),
                on_error=choose([OnError.CONTINUE, OnError.CONTINUE, OnError.ABORT]),
                retry=RetryPolicy(
                    max_attempts=choose([1, 2, 3]), initial_delay_ms=choose([0, 100, 300])
                ),
            )
        )
    return Plan(steps=tuple(steps), answer=choose([None, "done"]))


class RunLife:
    """The run. `journal` is on disk, `buffer` is not yet."""

    def __init__(self, policy: InDoubtPolicy, rounds: int, timeout: float) -> None:
        self.journal: list[Event] = [
            submitted(on_in_doubt=policy, max_rounds=rounds, run_timeout_s=timeout)
        ]
        self.buffer: list[Event] = []
        self.now = self.wake_at = START
        self.flying: dict[str, Dispatch] = {}
        self.keys: dict[str, str] = {}
        self.epoch = 0
        self.take_up()

    @property
    def ledger(self) -> Ledger:
        """What happened so far, as this process knows it."""
        return Ledger.of(self.journal + self.buffer)

    @property
    def running(self) -> bool:
        """Whether the run has not ended."""
        return self.state.finished is None

    def record(self, event: Event) -> None:
        """Something happened. It is not on disk yet."""
        self.state = apply(self.state, event)
        self.buffer.append(event)

    def commit(self) -> None:
        """What happened is on disk."""
        self.journal += self.buffer
        self.buffer = []

    def ask(self) -> None:
        """Ask the machine, check what it says, and do it."""
        commands = decide(self.state, self.now)
        self.check_decisions_are_pure(commands)
        self.check_ending(next((each for each in commands if isinstance(each, Finish)), None))
        for command in commands:
            if isinstance(command, Dispatch):
                self.check_dispatch(command)
        for command in commands:
            match command:
                case Finish(status, code, message):
                    self.record(RunFinished(at=self.now, status=status, code=code, message=message))
                    self.commit()
                    self.flying.clear()
                case Dispatch():
                    self.dispatch(command)
                case WaitUntil(instant):
                    assert instant > self.now
                    self.wake_at = instant
                case Park(until, reason, timed):
                    assert not self.flying
                    assert until is not None, "nobody is there who could say something"
                    assert until > self.now
                    self.park(until, reason, timed)
                case Record(StepReconciled(verdict=Verdict.RETRY) as event):
                    assert self.state.origin.profile.on_in_doubt is InDoubtPolicy.RETRY
                    self.record(event)
                case _:
                    raise AssertionError(f"{command} has no place in such a run")

    def park(self, until: datetime, reason: str, timed: bool) -> None:
        """The run holds no process until its time comes."""
        self.record(RunParked(at=self.now, until=until, reason=reason, timed=timed))
        self.commit()
        self.now = self.wake_at = until
        self.take_up()

    def dispatch(self, command: Dispatch) -> None:
        """Begin a call, its intent on disk where that is needed."""
        if command.intent_first:
            self.record(
                StepIntended(
                    at=self.now, step_id=command.step.id, attempt=command.attempt, skill="s",
                    idempotency_key=command.idempotency_key,
                )
            )  # fmt: skip
            self.commit()
        self.state = dispatched(self.state, command.step.id)
        self.flying[command.step.id] = command

    def hear(self, step_id: str, choose: Choose) -> None:
        """A call ends in some way."""
        command = self.flying[step_id]
        kind, plan, effect = choose(OUTCOMES), None, EffectState.NONE
        if command.plans and kind == "ok":
            plan = random_plan(choose, self.state.round, sorted(self.ledger.specs))
        if command.step.effects in WRITES:
            effect = choose(list(EffectState))
        self.land(step_id, kind, effect, plan)

    def land(self, step_id: str, kind: str, effect: EffectState, plan: Plan | None) -> None:
        """A call ends in this way."""
        command = self.flying.pop(step_id)
        outcome = {
            "ok": lambda: ok(effect=effect),
            "transient": lambda: transient(effect=effect),
            "later": lambda: transient(effect=effect, retry_after_ms=5_000),
            "permanent": lambda: permanent(effect=effect),
        }[kind]()
        self.record(
            StepSettled(
                at=self.now, step_id=step_id, attempt=command.attempt,
                effects=command.step.effects, idempotency_key=command.idempotency_key,
                outcome=outcome, plan=plan,
            )
        )  # fmt: skip
        if command.step.effects is not Effects.PURE:
            self.commit()

    def take_up(self) -> None:
        """An activation finds the run as it is on disk."""
        self.epoch += 1
        self.state, self.buffer, self.flying = fold(RUN, self.journal), [], {}
        if self.state.parked is not None:
            self.record(RunWoken(at=self.now, epoch=self.epoch))
            self.commit()
        elif self.state.epoch == 0:
            self.record(RunStarted(at=self.now, epoch=self.epoch))
        else:
            self.record(RunResumed(at=self.now, epoch=self.epoch))
            self.commit()

    def crash(self) -> None:
        """The process dies with its buffer, and the next activation takes the run up."""
        self.take_up()

    def later(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    def end_well(self) -> None:
        """From here on everything goes well: then the run must come to its end."""
        for _ in range(60):
            if not self.running:
                return
            self.ask()
            if self.running and not self.flying:
                self.now = max(self.now, self.wake_at)
            for step_id, command in list(self.flying.items()):
                plan = Plan(answer="done") if command.plans else None
                self.land(step_id, "ok", EffectState.NONE, plan)
        raise AssertionError(f"the run does not end: {self.state}")

    # what must hold

    def check_decisions_are_pure(self, commands: tuple[object, ...]) -> None:
        """The same state and instant give the same commands; so does the journal alone."""
        assert decide(self.state, self.now) == commands
        again = replace(fold(RUN, self.journal + self.buffer), in_flight=self.state.in_flight)
        assert decide(again, self.now) == commands

    def check_dispatch(self, command: Dispatch) -> None:
        """Nothing is repeated, nothing begins before what it needs, and keys are the steps' own."""
        step_id, ledger = command.step.id, self.ledger
        assert step_id not in ledger.over, "an outcome that stands is never repeated"
        assert step_id not in ledger.doubtful, "nor is an effect that may have happened"
        assert step_id not in self.flying
        assert set(command.step.depends_on) <= ledger.succeeded
        assert command.attempt == ledger.settled.get(step_id, 0) + 1
        assert command.attempt <= command.step.retry.max_attempts
        assert self.now >= ledger.not_before.get(step_id, START)
        assert command.intent_first == (command.step.effects is Effects.UNSAFE)
        key = self.keys.setdefault(step_id, command.idempotency_key)
        assert key == command.idempotency_key, "all attempts stand for one effect"
        assert len(set(self.keys.values())) == len(self.keys)

    def check_ending(self, ending: Finish | None) -> None:
        """The run ends when the ledger says so, and how."""
        allowed = self.allowed_endings()
        assert (ending is None) == (not allowed), allowed
        if ending is not None:
            assert (ending.status, ending.code) in allowed
            assert ending.status.final

    def allowed_endings(self) -> set[tuple[RunStatus, str]]:
        """How the run may end now; empty if it must go on."""
        origin, ledger = self.state.origin, self.ledger
        fails = origin.profile.on_in_doubt is InDoubtPolicy.FAIL
        doubt = (RunStatus.FAILED if fails else RunStatus.QUARANTINED, "ERR_IN_DOUBT")
        doubted = {doubt} if ledger.doubtful or ledger.intended else set()
        if ledger.crashes >= POISON_AFTER:
            return {(RunStatus.QUARANTINED, "ERR_POISON_RUN")} | doubted
        limit = timedelta(seconds=origin.profile.limits.run_timeout_s)
        if self.now >= origin.at + limit:
            return {(RunStatus.FAILED, "ERR_RUN_TIMEOUT")} | doubted
        if self.flying:
            return set()
        if ledger.doubtful:
            again = origin.profile.on_in_doubt is InDoubtPolicy.RETRY
            return set() if again and ledger.may_repeat() else {doubt}
        if ledger.fatal:
            return {(RunStatus.FAILED, code) for code in ledger.fatal.values()}
        if not ledger.round_over:
            return set()
        if ledger.plans[-1].answer is not None:
            return {(RunStatus.PARTIAL if ledger.lost() else RunStatus.COMPLETED, "OK")}
        if len(ledger.plans) == origin.profile.limits.max_rounds:
            return {(RunStatus.FAILED, "ERR_TOO_MANY_ROUNDS")}
        return set()
