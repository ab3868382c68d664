"""An agent's runs as its process finds them: those that need it, and what was said to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from ...cluster.canonical import readable
from ...cluster.postgres import Database, Row
from .chain import genesis
from .events import decode
from .fold import fold
from .journal import QUERIES
from .mailbox import Message
from .state import IllegalTransition, RunState


@dataclass(frozen=True, slots=True)
class Found:
    """A run that needs a process: its state, the last link of its journal, what was said to it."""

    state: RunState
    chain: bytes
    messages: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """The database's clock, the reason of an emergency stop, the next instant that counts; the runs
    that need a process, with how many messages each has had; those that were told something.
    """

    now: datetime
    halted: str | None
    wake_at: datetime | None
    ready: Mapping[UUID, int]
    told: frozenset[UUID]


class RunQueue:
    """The unfinished runs of one agent."""

    def __init__(self, database: Database, tenant: str, agent_id: UUID) -> None:
        self._database = database
        self._tenant = tenant
        self._agent_id = agent_id

    async def look(
        self, *, known: Iterable[UUID] = (), limit: int = 1, heard: Mapping[UUID, int] | None = None
    ) -> Look:
        """What a process has to know before it drives anything, and at most `limit` runs that need
        one and are not `known`. `heard`: how much known ones have heard.
        """
        heard = heard or {}
        row = await self._database.fetch_one(
            QUERIES.take_up, self._agent_id, self._tenant, list(known), max(0, limit),
            list(heard), list(heard.values()),
        )  # fmt: skip
        if row is None:
            raise LookupError("a query of one row has no row")
        ready = dict(zip(row["ready"], row["messages"], strict=True))
        return Look(row["now"], row["halted"], row["wake_at"], ready, frozenset(row["told"]))

    async def find(self, ready: Mapping[UUID, int]) -> dict[UUID, Found | Exception]:
        """Runs that need a process, each as it was found or as the error that reading its journal
        gave: one broken journal does not hold up the others.
        """
        wanted: dict[UUID, list[Row]] = {run_id: [] for run_id in ready}
        if not wanted:
            return {}
        for row in await self._database.fetch(QUERIES.journals_of, self._tenant, list(wanted)):
            wanted[row["run_id"]].append(row)
        found = {run_id: _found(run_id, journal) for run_id, journal in wanted.items()}
        said = await self.messages(
            {
                run_id: each.state.heard
                for run_id, each in found.items()
                if isinstance(each, Found) and ready[run_id] > each.state.heard
            }
        )
        return {
            run_id: replace(each, messages=tuple(said.get(run_id, ())))
            if isinstance(each, Found)
            else each
            for run_id, each in found.items()
        }

    async def messages(self, heard: Mapping[UUID, int]) -> dict[UUID, list[Message]]:
        """What was said to these runs after what they have heard."""
        said: dict[UUID, list[Message]] = {}
        if not heard:
            return said
        for row in await self._database.fetch(
            QUERIES.messages_of, self._tenant, list(heard), list(heard.values())
        ):
            body: Any = readable(json.loads(row["body"]))
            message = Message(row["number"], row["kind"], row["said_by"], body)
            said.setdefault(row["run_id"], []).append(message)
        return said

    async def has_unfinished(self) -> bool:
        """Whether anything is left, waiting or not."""
        return bool(await self._database.fetch_value(QUERIES.has_unfinished, self._agent_id))


async def prepare_queue(database: Database) -> None:
    """Have the statements of a take-up ready on this connection."""
    nobody = UUID(int=0)
    queue = RunQueue(database, "", nobody)
    await queue.look()
    await database.fetch(QUERIES.journals_of, "", [nobody])
    await queue.messages({nobody: 0})


def _found(run_id: UUID, rows: list[Row]) -> Found | Exception:
    try:
        events = (decode(row["kind"], row["version"], json.loads(row["body"])) for row in rows)
        state = fold(run_id, events)
    except (IllegalTransition, ValueError) as error:
        return error
    # A journal from before there were chains begins one with its next event.
    return Found(state, rows[-1]["chain"] or genesis(run_id))
