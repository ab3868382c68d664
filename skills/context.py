"""`SkillContext`: what a skill is told about its call, and where it reports to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ..cluster.ids import new_id, new_trace_id
from ..cluster.settings import Settings
from .call import UNDO
from .contracts import SideEffect, Usage

MAX_COST_MICROUSD = 10**15
"""A billion dollars: more is an error in a price, and JSON numbers end soon after."""


@dataclass(frozen=True, slots=True)
class Charge:
    """One priced consumption. `cost_microusd` is millionths of a US dollar."""

    usage: Usage
    cost_microusd: int


def _ignore(text: str) -> None:
    """Progress of a direct call has no reader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkillContext:
    """What a skill is told about its call, and where it reports to.

    The executor makes one per attempt; only the skill it was made for writes to it. Made by hand
    (`SkillContext(settings=…)`) it describes a direct call outside any run.

    `idempotency_key` is the name of the effect: the same for the call that makes it, and for those
    that look for it or undo it.
    """

    settings: Settings
    run_id: str = "local"
    step_id: str = "local"
    attempt: int = 1
    idempotency_key: str = field(default_factory=lambda: f"local/{new_id()}")
    seed: int = 0
    tenant: str = "local"
    trace_id: str = field(default_factory=new_trace_id)
    model: str | None = None
    on_progress: Callable[[str], None] = _ignore
    charges: list[Charge] = field(default_factory=list[Charge])
    side_effects: list[SideEffect] = field(default_factory=list[SideEffect])

    @property
    def undo_key(self) -> str:
        """The name under which the effect's compensation may happen once."""
        return self.idempotency_key + UNDO

    def progress(self, text: str) -> None:
        """Show something to whoever watches. Never journaled; may be called from any thread."""
        self.on_progress(text)

    def charge(self, usage: Usage, cost_microusd: int) -> None:
        """Report what was consumed, as soon as it is known: it counts even if the call fails later.

        Raises `ValueError` for a cost that is negative or over a billion dollars.
        """
        if not 0 <= cost_microusd <= MAX_COST_MICROUSD:
            raise ValueError(f"a cost cannot be {cost_microusd} millionths of a dollar")
        self.charges.append(Charge(usage, cost_microusd))

    def side_effect(self, type: str, target: str, reversible: bool = False) -> None:  # noqa: A002 - the contract's field name
        """Record something done to the world, in the order it was done."""
        self.side_effects.append(SideEffect(type=type, target=target, reversible=reversible))
