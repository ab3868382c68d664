"""What removing old runs costs those that are under way: `python benchmarks/retention.py`.

A server of its own with 100,000 finished runs of five steps in weeks that are over, and some that
still wait. A workload of five-step runs goes through `RunStore` and `JournalWriter`, as the door
and agents commit them, without HTTP and Ray: what remains is Postgres's time, which is all that
removing competes for, so the ratio is worse than a client would see. The removing process is one
of its own, as the root is. It removes a week, then the workload has some seconds alone, and so on
in turn: whatever else the machine does falls upon both alike.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.support import removing
from tests.support.api_front import ACTIVATE
from tests.support.old_runs import insert_runs, make_week, week
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
_WEEKS = 8
_OLDEST = 20
_WAITING = 50
_WARM_SECONDS = 3.0
_SHORTEST_REST, _LONGEST_REST = 5.0, 15.0
_TENANT = "default"


def measure_retention(
    runs: int = 100_000, *, concurrency: int = 4, archive: bool = True
) -> dict[str, float]:
    """The workload's latency while old runs are archived and removed, over its latency alone."""
    return asyncio.run(_measure(runs, concurrency, archive=archive))


async def _measure(runs: int, concurrency: int, *, archive: bool) -> dict[str, float]:
    alone, together = list[float](), list[float]()
    took = 0.0
    async with _server() as (home, dsn), Database(dsn, max_connections=concurrency + 1) as database:
        await _fill(database, runs // _WEEKS)
        remover = await Remover.started(dsn, home / "archive" if archive else None)
        load = Load(database)
        workers = [asyncio.create_task(load.work(number)) for number in range(concurrency)]
        await load.during(asyncio.sleep(_WARM_SECONDS))
        for weeks_ago in range(_OLDEST, _OLDEST - _WEEKS, -1):
            began = time.monotonic()
            together += await load.during(remover.remove(weeks_ago, runs // _WEEKS))
            took += (lasted := time.monotonic() - began)
            rest = min(max(lasted, _SHORTEST_REST), _LONGEST_REST)
            alone += await load.during(asyncio.sleep(rest))
        load.stopped = True
        await asyncio.gather(*workers)
        await remover.close()
    return _figures(alone, together, took, runs)


async def _fill(database: Database, runs: int) -> None:
    """So many runs in each of the old weeks, and some that wait."""
    for weeks_ago in range(_OLDEST, _OLDEST - _WEEKS, -1):
        old = await make_week(database, weeks_ago)
        await insert_runs(database, old.monday, runs)
        await insert_runs(database, old.monday, _WAITING, finished=False, first=2**40)
    await database.execute("ANALYZE")
    await database.execute("CHECKPOINT")


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
            sys.executable, removing.__file__, dsn, *([str(archive)] if archive else []),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        it = cls(process)
        assert await it._line() == b"ready\n"
        return it

    async def remove(self, weeks_ago: int, runs: int) -> None:
        """Have the runs of one week removed: of all weeks that are so old, it is the youngest."""
        assert self._process.stdin is not None
        over = datetime.now(UTC) - week(weeks_ago).monday - timedelta(days=7)
        self._process.stdin.write(f"{over.days - 1}\n".encode())  # and a day of grace
        went = int(await self._line())
        assert went == runs, f"{went} of {runs} runs went: the partition was in use"

    async def close(self) -> None:
        await self._process.communicate(b"")  # with an end of its input

    async def _line(self) -> bytes:
        assert self._process.stdout is not None
        return await self._process.stdout.readline()


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
