"""What operators do: dead letters, emergency stops, priorities. Each deed is on record."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from uuid import UUID

from ...cluster.canonical import canonical
from ...cluster.errors import Blame, InputError, RunError
from ...cluster.postgres import Database, Queries, Row, Transaction
from ...skills.contracts import JsonObject
from .store import RunNotFound

QUERIES = Queries.load(Path(__file__).with_name("operators.sql"))


class NotADeadLetter(InputError):
    """The run was not given up, or somebody has dealt with it."""

    code = "AOS-3015"
    title = "This run is no dead letter."
    next_action = "See which are: `aos dead ls`. Other runs: `aos runs rerun`, `aos runs fork`."


class NoStop(InputError):
    """There is nothing to lift."""

    code = "AOS-3018"
    title = "No emergency stop is in force."
    next_action = "See what is: `aos stop show`; everybody's is lifted with `--everyone`."


class RunOver(RunError):
    """Nothing can be said to a run that has come to its end."""

    code = "AOS-3010"
    title = "The run is over."
    next_action = "Make another run of it: `aos runs rerun`, `aos runs fork`, `aos runs repair`."
    blame = Blame.CALLER


@dataclass(frozen=True, slots=True)
class Deed:
    """What an operator does, and why."""

    tenant: str
    by: str
    action: str
    reason: str = ""
    run_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """An emergency stop in force. `tenant` None: everybody's."""

    number: int
    tenant: str | None
    reason: str
    by: str
    since: datetime


async def record(transaction: Transaction, deed: Deed, **detail: str | int | None) -> None:
    """Put a deed on record, together with what it does."""
    body: JsonObject = dict(detail)
    await transaction.execute(
        QUERIES.record_action, deed.tenant, deed.run_id, deed.action, deed.by, deed.reason,
        canonical(body).decode(),
    )  # fmt: skip


async def take_dead_letter(transaction: Transaction, tenant: str, run_id: UUID) -> None:
    """Be the one who deals with a dead letter, until the transaction ends. Raises `RunNotFound`,
    `NotADeadLetter`.
    """
    row = await transaction.fetch_one(QUERIES.lock_run, tenant, run_id)
    if row is None:
        raise RunNotFound(f"no run {run_id}")
    if row["status"] != "quarantined":
        raise NotADeadLetter(f"run {run_id} is {row['status']}")
    dealt = await transaction.fetch_one(QUERIES.dealt_with, run_id)
    if dealt is not None:
        done = {"requeue": "put back", "discard": "discarded"}[dealt["action"]]
        raise NotADeadLetter(f"run {run_id} was {done} by {dealt['by_whom']}")


class Operators:
    """An operator's hands. Every query names the tenant, but for everybody's stop."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def dead_letters(self, tenant: str, *, before: UUID | None, limit: int) -> list[Row]:
        """Runs that were given up, and not dealt with; newest first."""
        return await self._database.fetch(QUERIES.dead_letters, tenant, before, limit)

    async def discard(self, deed: Deed, run_id: UUID) -> None:
        """Have a dead letter off the list. Its journal stays. Raises `NotADeadLetter`."""
        async with self._database.transaction() as transaction:
            await take_dead_letter(transaction, deed.tenant, run_id)
            await record(transaction, deed)

    async def actions(self, tenant: str, run_id: UUID) -> list[Row]:
        """What was done with a run, in order."""
        return await self._database.fetch(QUERIES.actions_of_run, tenant, run_id)

    async def children(
        self, tenant: str, run_id: UUID, *, after: UUID | None, limit: int
    ) -> list[Row]:
        """The runs that a run has made."""
        return await self._database.fetch(QUERIES.children, tenant, run_id, after, limit)

    async def set_priority(self, deed: Deed, run_id: UUID, priority: int) -> UUID | None:
        """The run's agent; None if there is no such run, or it is over."""
        async with self._database.transaction() as transaction:
            agent_id: UUID | None = await transaction.fetch_value(
                QUERIES.set_priority, deed.tenant, run_id, priority
            )
            if agent_id is not None:
                await record(transaction, deed, priority=priority)
        return agent_id

    async def stop(self, deed: Deed, *, everyone: bool) -> bool:
        """No new effects from now on. False: that is so already, and stays as it is."""
        whom = None if everyone else deed.tenant
        async with self._database.transaction() as transaction:
            made = await transaction.fetch_value(QUERIES.stop, whom, deed.reason, deed.by)
            if made is not None:
                await record(transaction, deed, stop=made, everyone=int(everyone))
            await transaction.fetch_value(QUERIES.call_active_agents, whom)
        return made is not None

    async def lift(self, deed: Deed, *, everyone: bool) -> int:
        """Let effects happen again. How many runs go on at once. Raises `NoStop`."""
        whom = None if everyone else deed.tenant
        async with self._database.transaction() as transaction:
            lifted = await transaction.fetch_value(QUERIES.lift, whom, deed.by)
            if lifted is None:
                whose = "for everyone" if everyone else f"of tenant {deed.tenant}"
                raise NoStop(f"there is no stop {whose}")
            await record(transaction, deed, stop=lifted, everyone=int(everyone))
        # In a statement of its own: a run that parks in between sees that the stop is lifted.
        woken: int = await self._database.fetch_value(QUERIES.wake_stopped, whom)
        return woken

    async def stops(self, tenant: str) -> list[Stop]:
        """What holds a tenant's effects up now."""
        rows = await self._database.fetch(QUERIES.stops_in_force, tenant)
        return [
            Stop(r["stop_id"], r["tenant_id"], r["reason"], r["stopped_by"], r["stopped_at"])
            for r in rows
        ]
