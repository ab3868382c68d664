"""Children of different kinds under one supervisor: who starts a child is said by its `start`."""

from __future__ import annotations

from collections.abc import Mapping

from .children import Running, Starter
from .spec import ChildSpec, InvalidSpec


class ByKind:
    """A starter that leaves each child to the starter of its kind. The mapping may be filled later:
    some starters need the supervisor that is made with this one.
    """

    def __init__(self, starters: Mapping[str, Starter[Running]]) -> None:
        self._starters = starters

    async def start(self, spec: ChildSpec) -> Running:
        """As the starter of the child's kind. Raises `InvalidSpec` if there is none."""
        return await self._starter(spec).start(spec)

    async def progressed(self, spec: ChildSpec) -> bool:
        """As the starter of the child's kind says."""
        return await self._starter(spec).progressed(spec)

    def _starter(self, spec: ChildSpec) -> Starter[Running]:
        starter = self._starters.get(spec.start)
        if starter is None:
            known = ", ".join(self._starters)
            raise InvalidSpec(f"{spec.id} starts from {spec.start!r}; known here: {known}")
        return starter
