"""Whom to ask, and whom to end, when a machine's memory runs low. Pure.

Limits of single processes cannot see their sum, nor what is not theirs alone: shared memory, child
processes. So once a second somebody looks (`survey`) and asks here what to do.

* Above 80 % of the budget idle agents are made passive, those idle longest first, until what they
  hold would bring it down to 75 %. Nothing is lost by it; asking again asks for the same ones.
* Above 88 % one process is killed as well: a skill before any agent, the worst offender first,
  which is the one furthest over its contract; where nobody is over it, the largest. A supervisor is
  not in the list and cannot be chosen. One a round: what it held is free before the next.

Behind it stands the kernel, at 100 %. Ray's own killer, which would begin with the root supervisor,
is off (docs/design/0008-who-dies-first.md).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

PASSIVATE_ABOVE, PASSIVATE_TO, KILL_ABOVE = 0.80, 0.75, 0.88

_MIB = 1024 * 1024


class Kind(StrEnum):
    """What may be asked to go. Supervisors have no kind."""

    SKILL = "skill"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Process:
    """One process and its children.

    `resident` is what its end would give back, `contract` what it may have: bytes. `idle` is for
    how many seconds it has had nothing to do; None: it works, or nobody knows.
    """

    pid: int
    kind: Kind
    name: str
    resident: int
    contract: int = 0
    idle: float | None = None

    @property
    def excess(self) -> int:
        """Bytes over the contract."""
        return max(0, self.resident - self.contract)

    @property
    def worth_killing(self) -> bool:
        """An idle skill process within its contract is one that is kept warm: it frees nothing that
        is not soon taken again.
        """
        return self.kind is Kind.AGENT or self.idle is None or self.excess > 0


@dataclass(frozen=True, slots=True)
class Passivate:
    """Make an idle agent passive: its process ends, its row stays."""

    pid: int
    why: str


@dataclass(frozen=True, slots=True)
class Kill:
    """End a process at once."""

    pid: int
    why: str


Action = Passivate | Kill


def decide(processes: Sequence[Process], used: int, budget: int) -> tuple[Action, ...]:
    """What to do now, about memory of which `used` of `budget` bytes are taken. At most one `Kill`,
    and it comes last. Raises `ValueError` for a budget that is not positive.
    """
    if budget <= 0:
        raise ValueError(f"a budget of {budget} bytes cannot be kept")
    actions: list[Action] = []
    if used > PASSIVATE_ABOVE * budget:
        actions += _passivations(processes, used, budget)
    if used > KILL_ABOVE * budget:
        going = {action.pid for action in actions}
        actions += _kill([each for each in processes if each.pid not in going], used, budget)
    return tuple(actions)


def _passivations(processes: Sequence[Process], used: int, budget: int) -> Iterator[Passivate]:
    idle = [
        (each.idle, each) for each in processes if each.kind is Kind.AGENT and each.idle is not None
    ]
    left = used
    for seconds, each in sorted(idle, key=lambda pair: (-pair[0], pair[1].pid)):
        if left <= PASSIVATE_TO * budget:
            return
        left -= each.resident
        yield Passivate(each.pid, f"{_fill(used, budget)}; {each.name} idle for {seconds:.0f} s")


def _kill(processes: Sequence[Process], used: int, budget: int) -> list[Kill]:
    candidates = [each for each in processes if each.worth_killing]
    if not candidates:
        return []
    worst = max(
        candidates,
        key=lambda each: (each.kind is Kind.SKILL, each.excess, each.resident, -each.pid),
    )
    over = f", {_size(worst.excess)} over its contract" if worst.excess else ""
    why = f"{_fill(used, budget)}; {worst.name} holds {_size(worst.resident)}{over}"
    return [Kill(worst.pid, why)]


def _fill(used: int, budget: int) -> str:
    return f"{_size(used)} of {_size(budget)} are used ({used / budget:.0%})"


def _size(count: int) -> str:
    return f"{count / _MIB:,.0f} MiB"
