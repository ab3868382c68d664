"""One run's program, as its driver deals with it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ...skills.contracts import JsonValue
from ..runs.events import Event
from ..runs.state import RunState


class ProgramRun:
    """The program of one run under one activation. Made at its first turn."""

    def __init__(self, environment: Any) -> None:
        self._env = environment

    async def advance(self, state: RunState, now: datetime) -> list[Event]:
        """One more turn, as events."""
        raise NotImplementedError

    async def answer(self, state: RunState) -> JsonValue:
        """What the program returned."""
        raise NotImplementedError

    def close(self) -> None:
        """Let the program go."""
