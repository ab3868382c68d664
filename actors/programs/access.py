"""How a run finds the code that it began with."""

from __future__ import annotations

from typing import Protocol

from ..runs.events import ProgramRef


class Programs(Protocol):
    """Where sources are kept."""

    async def source(self, tenant: str, program: ProgramRef) -> str | None:
        """The source of a program, or None if it is gone."""
        ...
