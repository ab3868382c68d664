"""The demo's crash: a run of many pages, killed in its middle, and what can be said afterwards.

What was repeated is counted by the web site. What was finished is what the journal had committed
when the signal was sent.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from ..client import AosClient
from ..client.models import RunEvent, RunView
from .site import DemoSite

_PAGES = (*(f"/slow/{number}" for number in range(1, 8)), "/flaky")
_PAGES_BEFORE_THE_KILL = 3


@dataclass(frozen=True)
class CrashReport:
    """How the crash went. Times are milliseconds after the signal."""

    status: str
    noticed_ms: float
    resumed_ms: float
    next_outcome_ms: float
    epochs: tuple[int, int]
    finished: frozenset[str]
    answered: dict[str, int]

    def problems(self) -> list[str]:
        """Every promise that was broken."""
        broken = [
            f"{path} was finished and yet fetched {self.answered[path]} times"
            for path in sorted(self.finished)
            if self.answered[path] != 1
        ]
        if self.status != "completed":
            broken.append(f"the run ended {self.status}")
        if self.epochs[1] <= self.epochs[0]:
            broken.append("no new activation took the run over")
        return broken


@dataclass
class Crash:
    """One run, followed from its submission over the kill to its end."""

    client: AosClient
    site: DemoSite
    seen: int = 0
    finished: set[str] = field(default_factory=set[str])
    _run_id: UUID | None = None
    _agent: str = ""
    _epoch: int = 0
    _killed_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def submit(self, agent: str) -> UUID:
        """Submit a goal that needs many pages."""
        pages = ", ".join(self.site.url(page) for page in _PAGES)
        goal = f"Fetch {pages}, extract the headings and summarise them"
        self._agent = agent
        self._run_id = self.client.runs.create(agent, goal).id
        return self._run_id

    def wait_for_the_middle(self, timeout: float) -> int:
        """Return the agent's process id once some pages are finished, and others under way."""
        urls = {self.site.url(page): page for page in _PAGES}
        for event in self.client.runs.events(str(self._run_id), timeout=timeout):
            self.seen = event.seq
            if (page := _fetched(event, urls)) is not None:
                self.finished.add(page)
            if len(self.finished) >= _PAGES_BEFORE_THE_KILL:
                break
        self._await_next_request()
        agent = self.client.agents.get(self._agent)
        self._epoch = agent.epoch
        if agent.pid is None:
            raise RuntimeError("the agent is not active in the middle of its run")
        return agent.pid

    def kill(self, pid: int) -> None:
        """SIGKILL. The instant is noted before: what comes after it goes first on a busy machine,
        so a note made afterwards would be later than what it is compared with.
        """
        self._killed_at = datetime.now(UTC)
        os.kill(pid, signal.SIGKILL)

    def report(self, run: RunView) -> CrashReport:
        """What can be said once the run is over."""
        urls = {self.site.url(page): page for page in _PAGES}
        after: list[RunEvent] = []
        for event in self.client.runs.events(run.id):
            if event.at >= self._killed_at:
                after.append(event)
            elif (page := _fetched(event, urls)) is not None:
                self.finished.add(page)
        agent = self.client.agents.get(self._agent)
        ends = [
            event.at
            for event in self.client.supervision_events(child=str(agent.id))
            if event.kind == "ended" and event.at >= self._killed_at
        ]
        return CrashReport(
            status=run.status,
            noticed_ms=self._since(min(ends, default=None)),
            resumed_ms=self._since(_first(after, "run_resumed")),
            next_outcome_ms=self._since(_first(after, "step_settled")),
            epochs=(self._epoch, agent.epoch),
            finished=frozenset(self.finished),
            answered={page: self.site.times_answered(page) for page in _PAGES},
        )

    def _await_next_request(self) -> None:
        """Another page is being fetched: that is the middle."""
        self.site.await_arrival(
            lambda arrival: (
                self.site.times_answered(arrival.path) == 0 and arrival.path not in self.finished
            )
        )

    def _since(self, instant: datetime | None) -> float:
        if instant is None:
            return float("nan")
        return (instant - self._killed_at).total_seconds() * 1000


def _fetched(event: RunEvent, urls: dict[str, str]) -> str | None:
    """The page whose fetch this event says to be finished."""
    fields = event.fields
    if event.kind != "step_settled" or fields.get("status") != "success":
        return None
    output = fields.get("output")
    if not isinstance(output, dict):
        return None
    return urls.get(str(cast("dict[str, Any]", output).get("url")))


def _first(events: list[RunEvent], kind: str) -> datetime | None:
    return next((event.at for event in events if event.kind == kind), None)
