"""What removing old runs costs those that are under way: `python benchmarks/retention.py`.

A server of its own with 100,000 finished runs of five steps in weeks that are over, and some that
still wait. A workload of five-step runs goes through `RunStore` and `JournalWriter`, as the door
and agents commit them, without HTTP and Ray: what remains is Postgres's time, which is all that
removing competes for, so the ratio is worse than a client would see. The removing process is one
of its own, as the root is, and starts when the workload has been measured alone; afterwards it is
measured alone again, and both together are what it is compared with.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support import removing
from tests.support.api_front import ACTIVATE
from tests.support.old_runs import insert_runs, make_week
from tests.support.runs import History, ok, step

from aos.actors.roster import AgentStore
from aos.actors.runs.chain import chained, genesis
from aos.actors.runs.events import Event
from aos.actors.runs.fold import apply
from aos.actors.runs.journal import Append, JournalWriter
from aos.actors.runs.state import RunState
from aos.actors.runs.store import RunStore
from aos.actors.runs.submission import Submission
from aos.cluster.postgres import Database, EmbeddedPostgres, migrate
from aos.skills.contracts import AgentProfile

TARGETS: dict[str, float] = {"retention_p99_ratio": 1.5}

_STEPS = 5
_WEEKS = 4
_WAITING = 50
_TENANT = "default"


def measure_retention(
    runs: int = 100_000, *, concurrency: int = 4, alone_seconds: float = 20.0, archive: bool = True
) -> dict[str, float]:
    """The workload's latency while old runs are archived and removed, over its latency alone."""
    return asyncio.run(_measure(runs, concurrency, alone_seconds, archive=archive))


async def _measure(runs: int, concurrency: int, alone: float, *, archive: bool) -> dict[str, float]:
    async with _server() as (home, dsn), Database(dsn, max_connections=concurrency + 1) as database:
        for weeks_ago in range(10, 10 + _WEEKS):
            old = await make_week(database, weeks_ago)
            await insert_runs(database, old.monday, runs // _WEEKS)
            await insert_runs(database, old.monday, _WAITING, finished=False, first=2**40)
        await database.execute("ANALYZE")
        await database.execute("CHECKPOINT")
        load = Load(database)
        remover = await Remover.started(dsn, home / "archive" if archive else None)
        workers = [asyncio.create_task(load.work(number)) for number in range(concurrency)]
        await asyncio.sleep(2)  # statements are prepared, connections are open
        before = await load.during(asyncio.sleep(alone))
        began = time.monotonic()
        with_it = await load.during(remover.remove(runs))
        took = time.monotonic() - began
        after = await load.during(asyncio.sleep(alone))
        load.stopped = True
        await asyncio.gather(*workers)
        left = await database.fetch_value(
            "SELECT count(*) FROM runs WHERE finished_at < now() - interval '30 days'"
        )
        assert left == 0, f"{left} runs are still there"
    return _figures(before + after, with_it, took, runs)


def _figures(alone: list[float], together: list[float], took: float, runs: int) -> dict[str, float]:
    return {
        "retention_p99_ratio": percentile(together, 99) / percentile(alone, 99),
        "retention_p50_ratio": statistics.median(together) / statistics.median(alone),
        "retention_p99_ms": 1000 * percentile(together, 99),
        "retention_max_ms": 1000 * max(together),
        "retention_alone_p99_ms": 1000 * percentile(alone, 99),
        "retention_alone_max_ms": 1000 * max(alone),
        "retention_runs_s": runs / took,
    }


class Load:
    """Five-step runs, one after the other per worker, each of whose commits is waited for."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._took: list[float] = []
        self.stopped = False

    async def during(self, other: Awaitable[object]) -> list[float]:
        """How long the runs took that ended while something else went on, in seconds."""
        self._took.clear()
        await other
        return list(self._took)

    async def work(self, number: int) -> None:
        profile = AgentProfile(name=f"worker-{number}")
        agent = (await AgentStore(self._database).register(_TENANT, profile)).agent_id
        epoch = await self._database.fetch_value(ACTIVATE, agent, _TENANT)
        writer = JournalWriter(self._database, agent, _TENANT, epoch)
        while not self.stopped:
            began = time.monotonic()
            await self._one(agent, profile, writer)
            self._took.append(time.monotonic() - began)

    async def _one(self, agent: UUID, profile: AgentProfile, writer: JournalWriter) -> None:
        submission = Submission(_TENANT, agent, profile, "do it", "scripted", "h")
        accepted = await RunStore(self._database).submit(submission)
        state, before = apply(RunState(accepted.run_id), _WORK[0]), genesis(accepted.run_id)
        for event in _WORK[1:]:
            state = apply(state, event)
            rows = chained(before, state.seq, [event])
            before = rows[-1].chain
            await writer.append(Append(state, rows))


def _history() -> tuple[Event, ...]:
    steps = [step(f"s{number}") for number in range(_STEPS)]
    history = History()
    history.now = datetime.now(UTC)
    history.started().planned(*steps, answer="done")
    for each in steps:
        history.settled(each.id, ok({"text": "words " * 20}))
    return tuple(history.finished().events)


_WORK = _history()


class Remover:
    """The removing process, which is there before it is needed, as the root is."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def started(cls, dsn: str, archive: Path | None) -> Remover:
        process = await asyncio.create_subprocess_exec(
            sys.executable, removing.__file__, dsn, "30", *([str(archive)] if archive else []),
            env=dict(os.environ), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        return cls(process)

    async def remove(self, runs: int) -> None:
        output, _ = await self._process.communicate(b"go\n")
        assert self._process.returncode == 0
        assert int(output.splitlines()[-1]) == runs, "a partition was in use for too long"


@asynccontextmanager
async def _server() -> AsyncGenerator[tuple[Path, str]]:
    home = _home()
    server = EmbeddedPostgres(home)
    try:
        await server.start()
        async with Database(server.dsn) as database:
            await migrate(database)
        yield home, server.dsn
    finally:
        await server.stop()
        shutil.rmtree(home)


def _home() -> Path:
    """A short path, since a socket lies in it, that the server's user can enter."""
    home = Path(tempfile.mkdtemp(prefix="aos-", dir="/tmp"))
    home.chmod(0o711)
    return home


def percentile(values: list[float], rank: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[rank - 1]


if __name__ == "__main__":
    for archive in (False, True):
        print("with archives" if archive else "without archives")
        figures = measure_retention(int(*sys.argv[1:] or [100_000]), archive=archive)
        for name, value in figures.items():
            print(f"  {name:24} {value:10.2f}", flush=True)
