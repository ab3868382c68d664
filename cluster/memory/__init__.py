"""Memory as the kernel sees it: limits, who is killed first, and what the machine has.

Three defences stand one behind the other, so that what leaks dies before what supervises it.

* **Limits** (`limits`). A skill's attempt, and an agent for its whole life, may have so many bytes
  of data more than they began with. The kernel refuses what is over it; in Python that is a
  `MemoryError`, inside the process that leaks, and nobody else notices anything.
* **The governor** (`supervisors/governor`), which looks at whole processes once a second: for what
  no limit of a process can see, because it is shared memory, or many children, or simply the sum.
* **The kernel's own killer**, when all else was too slow. `order` tells it whom to take first.

Linux only. A system that takes a limit and does not enforce it is refused, not put up with.
"""

from .limits import (
    MIB,
    LimitNotEnforced,
    data_size,
    lift,
    limit,
    limited,
    resident,
    under_limit,
)
from .machine import MachineMemory, machine_memory
from .order import Rank, take_rank

__all__ = [
    "MIB",
    "LimitNotEnforced",
    "MachineMemory",
    "Rank",
    "data_size",
    "lift",
    "limit",
    "limited",
    "machine_memory",
    "resident",
    "take_rank",
    "under_limit",
]
