"""What tests of retention ask of a database, and writers that do not wait for anybody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from aos.actors.retention.policy import Policy
from aos.actors.retention.removal import Retention
from aos.actors.retention.store import Removal, RetentionStore
from aos.cluster.ids import new_id
from aos.cluster.postgres import Database

# As `append_journal` takes its locks: the journal first, the run's row last.
_APPEND = """
WITH appended AS (
    INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body)
    VALUES ($1, $2, 'default', 1, 'step_settled', 1, clock_timestamp(), '{"late": true}')
), stored AS (
    INSERT INTO blobs (run_id, hash, tenant_id, content)
    VALUES ($1, 'sha256:' || encode(sha256($3), 'hex'), 'default', $3)
)
UPDATE runs SET last_seq = $2 WHERE run_id = $1
"""
_SUBMIT = """
WITH made AS (
    INSERT INTO runs (run_id, tenant_id, agent_id, root_run_id, goal, planner, trace_id,
                      code_version, last_seq)
    VALUES ($1, 'default', $1, $1, 'g', 'rules', 't', 'v', 1)
)
INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body)
VALUES ($1, 1, 'default', 0, 'run_submitted', 1, clock_timestamp(), '{}')
"""


async def append(database: Database, run_id: UUID, seq: int) -> None:
    """One more event with a large value, as the journal's writer commits it."""
    await database.execute(_APPEND, run_id, seq, f"{run_id}/{seq}".encode())


async def submit(database: Database, run_id: UUID) -> UUID:
    """A run with its first event."""
    await database.execute(_SUBMIT, run_id)
    return run_id


async def finish(database: Database, run_id: UUID, at: str = "now() - interval '60 days'") -> None:
    """End a run, as long ago as is said."""
    await database.execute(
        f"UPDATE runs SET status = 'completed', finished_at = {at} WHERE run_id = $1",  # noqa: S608
        run_id,
    )


async def rows_of(database: Database, run_ids: Sequence[UUID]) -> dict[str, list[Any]]:
    """Everything there is of some runs, in order, all columns."""
    return {
        table: [
            dict(row)
            for row in await database.fetch(
                f"SELECT * FROM {table} WHERE run_id = ANY ($1) ORDER BY {order}",  # noqa: S608
                list(run_ids),
            )
        ]
        for table, order in (
            ("runs", "run_id"), ("journal", "run_id, seq"), ("blobs", "run_id, hash"),
            ("idempotency_keys", "run_id"),
        )
    }  # fmt: skip


def nothing(found: dict[str, list[Any]]) -> bool:
    """Whether there is not a row."""
    return not any(found.values())


async def tables(database: Database) -> set[str]:
    """Tables that hold runs, staged and detached ones too."""
    rows = await database.fetch(
        "SELECT relname::text FROM pg_class "
        "WHERE relkind = 'r' AND relname ~ '^(runs|journal|blobs)_'"
    )
    return {row["relname"] for row in rows}


def retention(database: Database, days: int | None = 30, archive: Path | None = None) -> Retention:
    """As the service has it, without its rests."""

    async def at_once(_: float) -> None:
        await asyncio.sleep(0)

    return Retention(RetentionStore(database), Policy(days, archive), sleep=at_once)


async def begun(database: Database, part: str, days: int = 30) -> Removal:
    """A removal, decided and no more."""
    store = RetentionStore(database)
    before = Policy(days).ended_before(await store.now())
    assert before is not None
    await store.begin(part, before)
    return next(each for each in await store.under_way() if each.part == part)


@dataclass
class Writers:
    """Runs of five steps, one after the other in several tasks, until told to stop."""

    database: Database
    took: list[float] = field(default_factory=list[float])
    done: dict[UUID, int] = field(default_factory=dict[UUID, int])
    stopped: bool = False

    async def write(self) -> None:
        while not self.stopped:
            began = time.monotonic()
            run_id = await submit(self.database, new_id())
            for seq in range(2, 7):
                await append(self.database, run_id, seq)
                self.done[run_id] = seq
            await finish(self.database, run_id, "now()")
            self.took.append(time.monotonic() - began)
