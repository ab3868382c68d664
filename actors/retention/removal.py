"""Removing: the five steps, performed one after the other and taken up wherever they were left."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any
from uuid import UUID

from ...cluster import faults
from ...cluster.postgres import QueryFailed, Row
from ...cluster.telemetry import logger
from .archive import ArchiveWriter, Header, Written
from .policy import DEFAULT_PART, Policy, Stock, Verdict, judge, old_enough
from .store import Removal, RetentionStore

_RUNS_AT_ONCE = 100
_KEYS_AT_ONCE = 1_000
_TRIES = 60
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 3.0
_RESTS, _LONGEST_REST = 4, 2.0

_BUSY = {"55P03", "40P01"}
"""Locks not to be had within the bound, or a deadlock: try again later."""

Sleep = Callable[[float], Awaitable[None]]

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Judged:
    """A partition, and what is to become of it."""

    stock: Stock
    verdict: Verdict


class Retention:
    """Removes what a policy lets go. `removed` counts runs since this object was made.

    It works a fifth of the time at most: after each page it rests for four times as long as the
    page took, because what it does can wait and everybody else's work cannot.
    """

    def __init__(
        self, store: RetentionStore, policy: Policy, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self.policy = policy
        self.removed = 0
        self._store = store
        self._sleep = sleep

    async def survey(self) -> list[Judged]:
        """All partitions that are old enough, and what a round would do with each."""
        now = await self._store.now()
        before = self.policy.ended_before(now)
        if before is None:
            return []
        found: list[Judged] = []
        for part in await self._store.parts():
            if old_enough(part, before):
                stock = await self._store.stock(part, before)
                found.append(Judged(stock, judge(stock, now)))
        return found

    async def round(self) -> int:
        """Finish what was begun, then remove what may go; how many runs went. Raises what Postgres
        raises, and `ArchiveUnwritable`: what was begun is then taken up in the next round.
        """
        went = 0
        before = self.policy.ended_before(await self._store.now())
        for removal in await self._store.under_way():
            if removal.state == "begun" and (before is None or removal.ended_before > before):
                await self._store.abandon(removal)  # the policy has become longer since
            else:
                went += await self._remove(removal)
        if before is None:
            return went
        for judged in await self.survey():
            if judged.verdict is Verdict.REMOVE:
                went += await self._begin(judged.stock.part.name)
        return went

    async def _begin(self, part: str) -> int:
        before = self.policy.ended_before(await self._store.now())
        if before is None:
            return 0
        await self._store.begin(part, before)
        faults.point("retention.begun")
        begun = [each for each in await self._store.under_way() if each.part == part]
        return sum([await self._remove(removal) for removal in begun])

    async def _remove(self, removal: Removal) -> int:
        """The steps that are left. How many runs went: none if the locks could not be had."""
        if removal.state == "begun":
            if self.policy.archive is not None:
                await self._archive(removal, self.policy.archive)
            await self._release_keys(removal)
            if not await self._swap(removal):
                return 0
        await self._store.finish(removal)
        faults.point("retention.dropped")
        self.removed += removal.runs
        log.info("runs removed", part=removal.part, runs=removal.runs, kept=removal.kept)
        return removal.runs

    async def _archive(self, removal: Removal, directory: Path) -> None:
        there = await self._store.written(removal)
        for tenant in await self._store.tenants(removal):
            if tenant in there and await asyncio.to_thread(_lies_there, *there[tenant]):
                continue
            header = Header(tenant, removal.part, removal.removal_id)
            written = await self._write(removal, directory, header)
            faults.point("retention.written")
            await self._store.record(removal, tenant, written)
            log.info("runs archived", path=str(written.path), runs=written.runs)
        faults.point("retention.archived")

    async def _write(self, removal: Removal, directory: Path, header: Header) -> Written:
        writer = ArchiveWriter(directory, header)
        await asyncio.to_thread(writer.__enter__)
        try:
            last: UUID | None = None
            while True:
                began = time.monotonic()
                runs = await self._store.doomed(removal, header.tenant, last, _RUNS_AT_ONCE)
                if not runs:
                    return await asyncio.to_thread(writer.finish)
                last = runs[-1]["run_id"]
                await self._write_page(writer, header.tenant, runs)
                faults.point("retention.archiving")
                await self._rest(began)
        finally:
            await asyncio.to_thread(writer.__exit__, None, None, None)

    async def _write_page(self, writer: ArchiveWriter, tenant: str, runs: list[Row]) -> None:
        ids = [row["run_id"] for row in runs]
        events = _by_run(await self._store.events(tenant, ids))
        blobs = _by_run(await self._store.blobs(tenant, ids))
        for row in runs:
            run_id: UUID = row["run_id"]
            lines = [event["line"] for event in events.get(run_id, ())]
            await asyncio.to_thread(_put, writer, row["line"], lines)
            for blob in blobs.get(run_id, ()):
                content = await self._store.blob(tenant, run_id, blob["hash"])
                await asyncio.to_thread(writer.blob, str(run_id), blob["hash"], content)

    async def _release_keys(self, removal: Removal) -> None:
        last: UUID | None = None
        while True:
            began = time.monotonic()
            last = await self._store.release_keys(removal, last, _KEYS_AT_ONCE)
            if last is None:
                break
            await self._rest(began)
        faults.point("retention.released")

    async def _swap(self, removal: Removal) -> bool:
        """Whether the partition has left. Somebody who reads for long may hold it: then not yet."""
        if removal.kept or removal.part == DEFAULT_PART:
            await self._stage(removal)
        pause = _FIRST_PAUSE
        for _ in range(_TRIES):
            began = time.monotonic()
            try:
                answer = await self._store.swap(removal)
            except QueryFailed as error:
                if error.context.get("sqlstate") not in _BUSY:
                    raise
                await self._sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - only jitter
                pause = min(2 * pause, _LONGEST_PAUSE)
                continue
            if answer == "stage":
                await self._stage(removal)
                continue
            took_ms = round(1000 * (time.monotonic() - began), 1)
            log.info("partition detached", part=removal.part, answer=answer, took_ms=took_ms)
            faults.point("retention.swapped")
            return answer == "detached"
        log.warning("the partition is in use, trying again in the next round", part=removal.part)
        return False

    async def _stage(self, removal: Removal) -> None:
        await self._store.stage(removal)
        faults.point("retention.staged")

    async def _rest(self, since: float) -> None:
        await self._sleep(min(_LONGEST_REST, _RESTS * (time.monotonic() - since)))


def _put(writer: ArchiveWriter, run: str, events: list[str]) -> None:
    writer.runs([run])
    writer.events(events)


def _by_run(rows: list[Row]) -> dict[Any, list[Row]]:
    """Rows are in the order of their runs."""
    return {run_id: list(group) for run_id, group in groupby(rows, lambda row: row["run_id"])}


def _lies_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size
