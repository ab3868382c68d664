"""Following a run over broken connections: what both clients do between two attempts.

A stream ends with `run_finished`. One that ends earlier, for whatever reason, is opened again after
the last event that was seen; the caller notices nothing but the pause.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from uuid import UUID

import httpx

from ...cluster.errors import AosError
from .calls import PATIENCE, STREAM_TIMEOUT
from .errors import ApiError
from .models import RunEvent, RunSummary
from .sse import Decoder, Message

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
_LOOK_AT_CLOCK = 5.0


class Following:
    """Where a follower stands: the last event seen, and how long nothing has been heard."""

    def __init__(
        self,
        run_id: UUID | str,
        after: int,
        *,
        deadline: float | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = f"/api/v1/runs/{run_id}/events"
        self.seen = after
        self.finished = False
        self._run_id = run_id
        self._deadline = deadline
        self._now = now
        self._heard = now()
        self._pause = _FIRST_PAUSE

    @property
    def headers(self) -> dict[str, str]:
        """How the server is told where to go on."""
        return {"Last-Event-ID": str(self.seen), "Accept": "text/event-stream"}

    @property
    def timeout(self) -> httpx.Timeout:
        """Not longer than the caller wants to wait."""
        if self._deadline is None:
            return STREAM_TIMEOUT
        left = max(0.05, self._deadline - self._now())
        return httpx.Timeout(min(10.0, left), read=min(_LOOK_AT_CLOCK, left))

    def connected(self) -> None:
        """The server has accepted the stream: it is alive, whatever it says next."""
        self._heard = self._now()
        self._pause = _FIRST_PAUSE

    def complete(self, run: RunSummary) -> bool:
        """Whether a stream that has ended had nothing more to tell."""
        return run.final and self.seen >= run.last_seq

    def events(self, decoder: Decoder, chunk: bytes) -> Iterator[RunEvent]:
        """The new events in a chunk. Raises `TimeoutError` past the deadline."""
        self._heard = self._now()
        self.check_deadline()
        for message in decoder.feed(chunk):
            if (event := self._event(message)) is not None:
                yield event

    def lost(self, error: Exception) -> float:
        """How long to wait before the next attempt. Raises the error once patience is at an end, at
        once if the door has refused for good, and `TimeoutError` past the deadline.
        """
        if isinstance(error, ApiError) and not error.retryable:
            raise error
        self.check_deadline()
        if self._now() - self._heard > PATIENCE:
            raise error
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_PAUSE)
        return pause

    def check_deadline(self) -> None:
        """Raises `TimeoutError` if the caller does not want to wait any more."""
        if self._deadline is not None and self._now() >= self._deadline:
            raise TimeoutError(f"run {self._run_id} has not finished in time; it goes on")

    def _event(self, message: Message) -> RunEvent | None:
        event = RunEvent.model_validate_json(message.data)
        if event.seq <= self.seen:
            return None
        self.seen = event.seq
        self.finished = event.kind == "run_finished"
        return event


LOST = (AosError, ApiError)
"""What a broken or refused stream is raised as."""
