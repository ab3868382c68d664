"""An agent process's signs of life, and its own end when nobody asks for them any more."""

from __future__ import annotations

import asyncio
import os
import threading
import time

from ..cluster.telemetry import logger

EXIT_ORPHANED = 74

_CHECKS = 4

log = logger(__name__)


class Pulse:
    """Made in the thread of the event loop that does the work; `beat` is called in another one."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._heard = time.monotonic()
        self._asked: float | None = None

    def begin(self, orphan_seconds: float) -> None:
        """From now on: watch this loop, and end the process when no beat is asked for in so long.
        A machine that was believed dead, or a manager that is, would else leave it running beside
        its successor; what it could still write is fenced either way. Beginning twice is fine.
        """
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._heard = time.monotonic()
            threading.Thread(target=self._guard, args=(orphan_seconds,), daemon=True).start()

    def beat(self) -> float:
        """Seconds for which the loop has not come round to what it was asked by an earlier beat."""
        now = self._heard = time.monotonic()
        if self._asked is not None:
            return now - self._asked
        if self._loop is not None:
            self._asked = now
            self._loop.call_soon_threadsafe(self._come_round)
        return 0.0

    def _come_round(self) -> None:
        self._asked = None

    def _guard(self, orphan_seconds: float) -> None:
        while time.monotonic() - self._heard < orphan_seconds:
            time.sleep(orphan_seconds / _CHECKS)
        log.error("nobody asks for this process any more, leaving", after_s=orphan_seconds)
        os._exit(EXIT_ORPHANED)
