"""Why a run gets a process now, or does not. Pure, but for the one query that gathers the facts.

Read `judge` as a table, first row that applies:

    over                                 nothing is expected of it
    its journal cannot be read           nobody can go on with it
    under way                            a process drives it
    paused, stopped, waiting             until its time, or until somebody says something
    needs a process, and:
      its agent is quarantined           not before the quarantine is over
      as many others go first            when one of them is over or waits
      its agent is there, or coming      about to be taken up
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import UUID

from ...cluster.postgres import Database, Queries, Row
from ...skills.contracts import AgentProfile
from .machine import POISON_AFTER
from .store import RunNotFound

QUERIES = Queries.load(Path(__file__).with_name("eligibility.sql"))
_FINAL = ("completed", "failed", "partial", "cancelled", "quarantined")


class Standing(StrEnum):
    """Where an unfinished run stands on its way to a process."""

    OVER = "over"
    UNREADABLE = "unreadable"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    NOT_INSTALLED = "not_installed"
    IN_DOUBT = "in_doubt"
    WAITING = "waiting"
    AGENT_QUARANTINED = "agent_quarantined"
    QUEUED = "queued"
    STARTING = "starting"


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides. `wake_at` None: only when somebody says something; the past: now. `ahead` of
    the agent's runs go first, of which it drives `width` at once. `crashes` and `unreadable` are
    known only to those who have read the journal.
    """

    run_id: UUID
    agent: str
    status: str
    code: str | None
    now: datetime
    wake_at: datetime | None
    waits_for: str
    unheard: int
    epoch: int
    agent_state: str
    agent_epoch: int
    quarantined_until: datetime | None
    ahead: int
    width: int
    stopped: str | None
    crashes: int = 0
    unreadable: str | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """`eligible`: whether it has a process or will get one as things are. `until`: when that may
    change by itself. `position` in its agent's queue, from 1.
    """

    standing: Standing
    eligible: bool
    why: str
    until: datetime | None = None
    position: int | None = None
    next_action: str = ""


def judge(facts: Facts) -> Judgement:
    """Why a run is eligible, or is not."""
    if facts.status in _FINAL:
        why = f"it is over: {facts.status} {facts.code or ''}".rstrip()
        return Judgement(Standing.OVER, False, why)
    if facts.unreadable is not None:
        why = f"its journal cannot be read: {facts.unreadable}"
        act = "Report it with the run id; `aos runs verify` names the row."
        return Judgement(Standing.UNREADABLE, False, why, next_action=act)
    if _is_resting(facts):
        return _resting(facts)
    if facts.agent_state == "active" and facts.epoch == facts.agent_epoch and _was_begun(facts):
        why = f"a process of {facts.agent} drives it{_crashes(facts)}{_stop(facts)}"
        return Judgement(Standing.RUNNING, True, why)
    return _in_need(facts)


def _is_resting(facts: Facts) -> bool:
    later = facts.wake_at is None or facts.wake_at > facts.now
    return later and not facts.unheard


def _was_begun(facts: Facts) -> bool:
    return facts.status == "running"


def _resting(facts: Facts) -> Judgement:
    why, until = facts.waits_for or "it waits", facts.wake_at
    run = facts.run_id
    if facts.status == "paused":
        act = f"Let it go on with `aos runs continue {run}`."
        return Judgement(Standing.PAUSED, False, why, until, next_action=act)
    if why.startswith("emergency stop"):
        act = "Lift the stop with `aos stop lift` when it is safe."
        return Judgement(Standing.STOPPED, False, why, until, next_action=act)
    if why.startswith("not installed"):
        act = "Install what is missing and restart AOS: it looks again by itself."
        return Judgement(Standing.NOT_INSTALLED, False, why, until, next_action=act)
    if why.startswith("a person has to decide"):
        act = f"Find out, and say so with `aos runs resolve {run} STEP VERDICT`."
        return Judgement(Standing.IN_DOUBT, False, why, until, next_action=act)
    return Judgement(Standing.WAITING, False, why, until)


def _in_need(facts: Facts) -> Judgement:
    until = facts.quarantined_until
    if until is not None and until > facts.now:
        why = f"its agent {facts.agent} is quarantined because it failed too often"
        act = f"See why with `aos tree events {facts.agent}`; `aos agent release {facts.agent}`."
        return Judgement(Standing.AGENT_QUARANTINED, False, why, until, next_action=act)
    position = facts.ahead + 1
    if facts.ahead >= facts.width:
        why = (
            f"{facts.ahead} runs of {facts.agent} go first, and it drives {facts.width} at once"
            f"{_stop(facts)}"
        )
        act = "Raise its priority, or the agent's limits.concurrent_runs."
        return Judgement(Standing.QUEUED, True, why, position=position, next_action=act)
    coming = "about to take it up" if facts.agent_state == "active" else "about to be activated"
    why = f"{facts.agent} is {coming}{_crashes(facts)}{_stop(facts)}"
    return Judgement(Standing.STARTING, True, why, position=position)


def _crashes(facts: Facts) -> str:
    if not facts.crashes:
        return ""
    return (
        f"; its process died {facts.crashes} times without progress, "
        f"after {POISON_AFTER} it is given up"
    )


def _stop(facts: Facts) -> str:
    return f"; its calls are held up by an emergency stop: {facts.stopped}" if facts.stopped else ""


class Standings:
    """Gathers the facts."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def of(self, tenant: str, run_id: UUID) -> Facts:
        """One run's, without what its journal says. Raises `RunNotFound`."""
        row = await self._database.fetch_one(QUERIES.unfinished, tenant, run_id, None, 1)
        if row is None:
            raise RunNotFound(f"no run {run_id}")
        return _facts(row)

    async def page(self, tenant: str, *, after: UUID | None, limit: int) -> list[Facts]:
        """Unfinished runs, oldest first."""
        rows = await self._database.fetch(QUERIES.unfinished, tenant, None, after, limit)
        return [_facts(row) for row in rows]


def wake_time(instant: Any) -> datetime | None:
    """`runs.wake_at` as a time, or None: the infinities are none. Years at the ends stand for them
    (asyncpg's way).
    """
    return None if instant is None or instant.year in (1, 9999) else instant


def _facts(row: Row) -> Facts:
    never = row["wake_at"].year == 9999
    return Facts(
        run_id=row["run_id"],
        agent=row["agent_name"],
        status=row["status"],
        code=row["code"],
        now=row["now"],
        wake_at=None if never else wake_time(row["wake_at"]) or row["now"],
        waits_for=row["waits_for"] or "",
        unheard=row["messages"] - row["heard"],
        epoch=row["epoch"],
        agent_state=row["agent_state"],
        agent_epoch=row["agent_epoch"],
        quarantined_until=row["quarantined_until"],
        ahead=row["ahead"],
        width=AgentProfile.model_validate_json(row["profile"]).limits.concurrent_runs,
        stopped=row["stopped"],
    )
