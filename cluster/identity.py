"""Who is asking: pure values, checked in every query."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

DEFAULT_TENANT = "default"


class Role(StrEnum):
    """What a key may do, widest last."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `tenant` goes into the WHERE clause of every statement."""

    tenant: str
    key_id: str
    role: Role

    def may(self, needed: Role) -> bool:
        """Whether this principal's role includes the needed one."""
        order = tuple(Role)
        return order.index(self.role) >= order.index(needed)
