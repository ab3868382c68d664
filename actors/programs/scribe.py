"""What a turn has beside its requests: its instant, its patches, and what it says to the log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from .protocol import Advanced


class Scribe:
    """Written by the execution, asked by the context. `replayed` is the record of the turn that is
    executed again; without one the turn is new.
    """

    def __init__(self, on_log: Callable[[str], None]) -> None:
        self.replayed: Advanced | None = None
        self.silent = False
        self.at: datetime | None = None
        self.patches: list[str] = []
        self._on_log = on_log
        self._known: dict[str, bool] = {}

    @property
    def replaying(self) -> bool:
        """Whether this turn was executed before."""
        return self.replayed is not None

    def begin_turn(self, at: datetime) -> None:
        """The next turn, at an instant."""
        self.at, self.patches = at, []

    def patched(self, name: str) -> bool:
        """Whether the run takes a change: the first question decides for the rest of it."""
        if name not in self._known:
            wanted = self.replayed is None or name in self.replayed.patches
            self._known[name] = wanted
            if wanted:
                self.patches.append(name)
        return self._known[name]

    def log(self, text: str) -> None:
        """Say it, unless it was said before or the program is being dropped."""
        if self.replayed is None and not self.silent:
            self._on_log(text)
