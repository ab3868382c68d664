"""The journal's table as far as its writer sees it, with outages at will and no Postgres."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

from aos.actors.runs.journal import QUERIES


class JournalTable:
    """Keeps what is appended. `troubles` are raised, statement by statement, None being no trouble;
    an ambiguous one that is in `landing` takes effect all the same. A closed `gate` holds commits.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.groups: list[list[tuple[UUID, int]]] = []
        self.rows: list[dict[str, Any]] = []
        self.arguments: list[tuple[Any, ...]] = []
        self.lookups = 0
        self.troubles: list[Exception | None] = []
        self.landing: list[Exception] = []
        self.fenced = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self, query: str, *args: Any) -> list[dict[str, Any]]:
        """As a `Database`, for the writer's two statements."""
        await self.gate.wait()
        trouble = self.troubles.pop(0) if self.troubles else None
        if trouble is not None and trouble not in self.landing:
            raise trouble
        if query == QUERIES.landed_sequences:
            return self._landed(*args)
        assert query == QUERIES.append_journal
        if self.fenced:
            return []
        self._write(args)
        if trouble is not None:
            raise trouble
        return [{"held": 1, "halted": None}]

    def _write(self, args: tuple[Any, ...]) -> None:
        self.arguments.append(args)
        names = ("run_id", "seq", "kind", "version", "at", "body", "chain")
        rows = [dict(zip(names, row, strict=True)) for row in zip(*args[3:10], strict=True)]
        known = {(row["run_id"], row["seq"]) for row in self.rows}
        assert not known & {(row["run_id"], row["seq"]) for row in rows}, "written twice"
        self.groups.append([(row["run_id"], row["seq"]) for row in rows])
        self.rows += rows

    def _landed(self, runs: list[UUID], epoch: int) -> list[dict[str, Any]]:
        self.lookups += 1
        assert epoch == self.epoch
        reach: dict[UUID, int] = {}
        for row in self.rows:
            if row["run_id"] in runs:
                reach[row["run_id"]] = max(reach.get(row["run_id"], 0), row["seq"])
        return [{"run_id": run_id, "seq": seq} for run_id, seq in reach.items()]
