"""Between deciding upon a call and making it: what must be on disk, what stands in the way."""

from __future__ import annotations

from ..cluster.telemetry import logger
from ..skills.call import Mode
from ..skills.contracts import Effects, SkillDescriptor
from .calls import Calls
from .environment import Environment
from .lanes import Lane, lane_of
from .recording import Recording
from .runs.commands import HALTED, LOOK_AGAIN, NOT_INSTALLED
from .runs.events import IntentWithdrawn, PlannedStep, StepIntended
from .runs.fusion import chains
from .runs.machine import Dispatch, Park
from .runs.state import Step

log = logger(__name__)


class Dispatching:
    """One run's way to its calls. `held_up`: how it could be parked, if nothing can be called."""

    def __init__(self, environment: Environment, run: Recording, calls: Calls) -> None:
        self._env = environment
        self._run = run
        self._calls = calls
        self.held_up: Park | None = None

    async def start(self, starts: list[Dispatch]) -> bool:
        """Make the calls that can be made. False: none can."""
        free, obstacle = await self._free(starts)
        self.held_up = Park(self._env.clock.now() + LOOK_AGAIN, obstacle) if obstacle else None
        if not free:
            return False
        if any(map(_writes, free)):
            await self._intend(free)
            if (halted := self._env.journal.halted) is not None:
                await self._withdraw(free, halted)
                return True
        if self._run.urgent:
            await self._run.commit()
        decided = self._run.state
        for chain in chains(decided, free, self._lane_of):
            for command in chain.calls:
                log.debug("step dispatched", step=command.step.id, attempt=command.attempt)
                self._run.dispatched(command.step.id)
            self._calls.start(decided, chain)
        return True

    def _lane_of(self, step: Step) -> Lane | None:
        """What has been quick lately, or mostly waited, shares a process with its like."""
        lanes = self._env.lanes
        if lanes is None or step.spec.id in self._calls.suspect:
            return None
        manner = lanes.pace.manner(step.spec.skill)
        descriptor = self._descriptor(step.spec, step.plans)
        return None if manner is None or descriptor is None else lane_of(descriptor, manner)

    def _descriptor(self, spec: PlannedStep, plans: bool) -> SkillDescriptor | None:
        if plans:
            return self._env.catalog.get(spec.skill)
        return self._env.find(spec.skill, spec.version)

    async def _free(self, starts: list[Dispatch]) -> tuple[list[Dispatch], str]:
        """Those that nothing stands in the way of, and what stands in the way of the others."""
        halted = self._env.journal.halted
        if halted is None and any(map(_repeats_harmlessly, starts)):
            # No commit goes before such a write, so nothing else would tell us in time.
            halted = await self._env.journal.look()
        if halted is not None:
            return [], f"{HALTED}{halted}"
        missing = [command for command in starts if not self._is_installed(command)]
        if not missing:
            return starts, ""
        names = ", ".join(f"{each.step.skill}@{each.step.version}" for each in missing[:3])
        return [each for each in starts if each not in missing], f"{NOT_INSTALLED}{names}"

    def _is_installed(self, command: Dispatch) -> bool:
        return self._descriptor(command.step, command.plans) is not None

    async def _intend(self, starts: list[Dispatch]) -> None:
        """A write happens only when everything that led to it is on disk, and an unsafe one only
        when its intent is, too.
        """
        now = self._env.clock.now()
        for command in starts:
            if command.intent_first:
                self._run.add(
                    StepIntended(
                        at=now, step_id=command.step.id, attempt=command.attempt,
                        skill=f"{command.step.skill}@{command.step.version}",
                        idempotency_key=command.idempotency_key,
                    )
                )  # fmt: skip
        await self._run.commit()

    async def _withdraw(self, starts: list[Dispatch], why: str) -> None:
        """An emergency stop came between the intent and the call: nothing is called."""
        now = self._env.clock.now()
        for command in starts:
            if command.intent_first:
                self._run.add(IntentWithdrawn(at=now, step_id=command.step.id, reason=why))
        await self._run.commit()


def _writes(command: Dispatch) -> bool:
    return command.mode is Mode.COMPENSATE or command.step.effects in (
        Effects.IDEMPOTENT,
        Effects.UNSAFE,
    )


def _repeats_harmlessly(command: Dispatch) -> bool:
    return _writes(command) and not command.intent_first
