"""What a driver works with: the seams between deciding about a run and the world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..cluster.clock import Clock
from ..skills.contracts import JsonObject, JsonValue, SkillDescriptor, StructuredOutcome
from .caller import Caller
from .lanes import Chain, Lane
from .outputs import Outputs
from .pace import Pace
from .planning.admission import Catalog
from .programs.access import Programs
from .runs.journal import Append
from .runs.state import RunState, Step


class Appender(Protocol):
    """The one writer."""

    halted: str | None
    """Why an emergency stop is in force, as far as is known."""

    async def append(self, batch: Append) -> None:
        """Return once committed; raise `LeaseLost` when fenced."""
        ...

    async def look(self) -> str | None:
        """Ask now why an emergency stop is in force, if one is."""
        ...


class Children(Protocol):
    """Other runs, as one run deals with them."""

    async def spawn(self, state: RunState, step: Step, params: JsonObject) -> str | None:
        """Make the child run that a step waits for; that it is there already is fine. The reason
        if it cannot be.
        """
        ...

    async def answer(self, child_run_id: str) -> JsonValue:
        """What a finished child answered."""
        ...

    async def cancel(self, state: RunState) -> None:
        """End the children that a run still waits for, because it ends itself."""
        ...

    async def tell_parent(self, state: RunState) -> None:
        """Say to the parent that this run is over."""
        ...


class Shared(Protocol):
    """Processes that do the calls of many runs."""

    pace: Pace

    def run(
        self, lane: Lane, chain: Chain, descriptors: Sequence[SkillDescriptor]
    ) -> AsyncIterator[tuple[int, StructuredOutcome]]:
        """Outcomes of a chain's links, as they come; `HandedBack` when there will be no more."""
        ...


FindSkill = Callable[[str, str], SkillDescriptor | None]
"""An installed skill by name and version."""


@dataclass(frozen=True, slots=True)
class Environment:
    """What a driver works with."""

    tenant: str
    epoch: int
    catalog: Catalog
    find: FindSkill
    call: Caller
    journal: Appender
    outputs: Outputs
    children: Children
    programs: Programs
    clock: Clock
    blob_threshold: int
    development: bool = False
    lanes: Shared | None = None
