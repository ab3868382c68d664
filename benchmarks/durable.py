"""Figures of durable runs: what they commit, what waiting costs, how soon they wake, hear, stop and
come back.

Each function measures the real system in the state that it is given and returns figures by name.
Its runs are made of the skills of `tests/plugin/aos_ledger_skills.py`; the ledger that they write
to is a process of its own and says when an effect was.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from supervision import percentile, transactions
from tests.support.effect_ledger import EffectLedger
from tests.support.node import Node, node
from tests.support.noting import chain, note, plan

from aos.actors.runs.chain import Row, genesis, link
from aos.actors.runs.inbox import Inbox
from aos.actors.runs.store import RunStore
from aos.actors.runs.waiting import SIGNAL, TIMER
from aos.api.client import NotRunning
from aos.cluster.ids import new_id
from aos.cluster.postgres import Database
from aos.skills.contracts import AgentProfile, JsonValue, PlannerChoice

TARGETS: dict[str, float] = {
    "commits_per_run5": 3,
    "waiting10k_statements_s": 1,
    "wake_p99_ms": 250,
    "signal_p50_ms": 30,
    "cancel_s": 1,
    "total_loss_resume_s": 15,
}
PLUGIN = str(Path(__file__).parents[1] / "tests/plugin")
_AT_ONCE = 500
_SETTLE_SECONDS = 20.0
"""Until what the agents before have left behind is done with."""

_CLONE_RUNS = """
INSERT INTO runs
SELECT (json_populate_record(r, json_build_object('run_id', fresh, 'root_run_id', fresh))).*
FROM runs r, unnest($2::uuid[]) fresh WHERE r.run_id = $1
"""
_CLONE_JOURNAL = """
INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body, chain)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::bigint[], $5::text[], $6::smallint[],
                     $7::timestamptz[], $8::json[], $9::bytea[])
"""


def durable() -> Iterator[dict[str, float]]:
    """What needs agents that are there."""
    with bed(AOS_LOG_LEVEL="debug") as (aos, ledger):
        yield measure_commits(aos)
        yield measure_signals(aos)
        yield measure_cancel(aos, ledger)
        yield measure_total_loss(aos, ledger)


def waiting() -> Iterator[dict[str, float]]:
    """What is measured of agents that leave as soon as they only wait."""
    with bed(AOS_AGENT_IDLE_SECONDS="1") as (aos, _):
        yield measure_wakes(aos)
        yield measure_waiting(aos)


@contextmanager
def bed(**environment: str) -> Iterator[tuple[Node, EffectLedger]]:
    """A fresh AOS that has the skills with effects, and the ledger of these."""
    path = os.pathsep.join([PLUGIN, os.environ.get("PYTHONPATH", "")])
    with (
        tempfile.TemporaryDirectory() as folder,
        EffectLedger(Path(folder) / "effects") as ledger,
        node(PYTHONPATH=path, **environment) as aos,
    ):
        yield aos, ledger


def measure_commits(aos: Node, repetitions: int = 40) -> dict[str, float]:
    """Transactions that write to the journal of a run of five reading steps, its submission
    included; and all transactions of the system while it goes, reading ones included, per run.
    """
    agent = _agent(aos, "commits")
    goal = chain("", 0, *["read"] * 5).goal
    for _ in range(5):
        _completed(aos, agent, goal)
    before = asyncio.run(_transactions(aos))
    runs = [_completed(aos, agent, goal) for _ in range(repetitions)]
    after = asyncio.run(_transactions(aos))

    async def written() -> list[int]:
        query = "SELECT count(DISTINCT xmin::text) FROM journal WHERE run_id = $1"
        async with aos.database() as database:
            return [await database.fetch_value(query, run) for run in runs]

    counts = asyncio.run(written())
    return {
        "commits_per_run5": statistics.mean(counts),
        "commits_per_run5_max": max(counts),
        "transactions_per_run5": (after - before) / repetitions,
    }


def measure_signals(aos: Node, repetitions: int = 60) -> dict[str, float]:
    """From saying a signal to the next step dispatched, by the log of the agent, which is active
    and waits.
    """
    agent = _agent(aos, "signals")
    log = aos.settings.home / "logs/agents.jsonl"
    gate: dict[str, JsonValue] = {"id": "gate", "skill": SIGNAL, "params": {"name": "go"}}
    goal = plan(gate, note("", "read", 0, 1, needs=["gate"]), answer="{{read-0.value}}")

    async def say(run: UUID) -> float:
        async with aos.database() as database:
            await database.wait_ready(5)
            began = time.time()
            body: dict[str, JsonValue] = {"name": "go", "payload": 1}
            await Inbox(database).say("default", run, "signal", body, by="bench")
            return began

    took: list[float] = []
    for _ in range(repetitions + 5):
        run = aos.client.runs.create(agent, goal).id
        _await_status(aos, run, "waiting")
        read = log.stat().st_size
        began = asyncio.run(say(run))
        assert aos.client.runs.wait(run, timeout=30).status == "completed"
        took.append(_dispatched(log, read, run, "read-0") - began)
    took = took[5:]
    return {
        "signal_p50_ms": 1000 * statistics.median(took),
        "signal_p99_ms": 1000 * percentile(took, 99),
    }


def measure_cancel(aos: Node, ledger: EffectLedger, repetitions: int = 5) -> dict[str, float]:
    """Cancelling a run whose step blocks its process for 30 seconds: until the process is gone."""
    agent = _agent(aos, "cancelled")
    took = [_cancel_once(aos, ledger, agent) for _ in range(repetitions)]
    return {"cancel_s": max(took), "cancel_p50_s": statistics.median(took)}


def _cancel_once(aos: Node, ledger: EffectLedger, agent: str) -> float:
    work = chain(ledger.url, 1, "unsafe", after_ms=30_000, blocks=True)
    run = aos.client.runs.create(agent, work.goal).id
    _until(lambda: bool(ledger.done(str(run))))
    (victim,) = aos.those("skill")

    async def say() -> float:
        async with aos.database() as database:
            began = time.monotonic()
            await Inbox(database).say("default", run, "cancel", {}, by="bench")
            return began

    began = asyncio.run(say())
    psutil.wait_procs([victim], timeout=40)
    took = time.monotonic() - began
    ended = aos.client.runs.wait(run, timeout=30)
    assert (ended.status, ended.code) == ("cancelled", "ERR_CANCELLED"), ended
    assert str(run) in (ended.message or ""), "it says which effect may have happened"
    return took


def measure_total_loss(aos: Node, ledger: EffectLedger, repetitions: int = 3) -> dict[str, float]:
    """SIGKILL of every process, Postgres included, then `aos up`: until the first effect of a run
    that was under way.
    """
    agent = _agent(aos, "survivor")
    resumed, ups = [], []
    for number in range(repetitions):
        work = chain(ledger.url, number, *["idempotent"] * 6, before_ms=300)
        runs = [aos.client.runs.create(agent, work.goal).id for _ in range(4)]
        _until(lambda runs=runs: all(ledger.done(str(run)) for run in runs))
        aos.lose_everything(postgres=True)
        seen, began, wall = len(ledger.done()), time.monotonic(), time.time()
        aos.up()
        ups.append(time.monotonic() - began)
        _until(lambda seen=seen: len(ledger.done()) > seen)
        resumed.append(datetime.fromisoformat(ledger.done()[seen].at).timestamp() - wall)
        for run in runs:
            assert aos.client.runs.wait(run, timeout=60).status == "completed"
    return {"total_loss_resume_s": max(resumed), "total_loss_up_s": statistics.median(ups)}


def measure_wakes(aos: Node, timers: int = 300, agents: int = 10) -> dict[str, float]:
    """How late timers end, of agents that are passive by then: what a run waited until, against
    what its journal says about when the wait was over.
    """
    names = [_agent(aos, f"sleeper-{number}") for number in range(agents)]
    runs: list[UUID] = []
    for number in range(timers):
        seconds = 10 + number * 20 / timers
        wait = {"id": "w", "skill": TIMER, "params": {"seconds": seconds}}
        runs.append(aos.client.runs.create(names[number % agents], plan(wait, answer="ok")).id)

    async def late() -> list[float]:
        async with aos.database() as database:
            return [await _lateness(database, run) for run in runs]

    for run in runs:
        assert aos.client.runs.wait(run, timeout=120).status == "completed"
    lates = asyncio.run(late())
    return {
        "wake_p50_ms": 1000 * statistics.median(lates),
        "wake_p99_ms": 1000 * percentile(lates, 99),
    }


async def _lateness(database: Database, run: UUID) -> float:
    events = [each.event for each in await RunStore(database).events("default", run)]
    until = next(e.until for e in events if e.kind == "wait_began")
    closed = next(e.at for e in events if e.kind == "step_closed")
    assert until is not None
    return (closed - until).total_seconds()


def measure_waiting(aos: Node, runs: int = 10_000, seconds: float = 60.0) -> dict[str, float]:
    """What ten thousand waiting runs cost in statements, over what the system asks without them."""
    agent = _agent(aos, "patient")
    wait: dict[str, JsonValue] = {"id": "w", "skill": SIGNAL, "params": {"name": "never"}}
    template = aos.client.runs.create(agent, plan(wait, answer="ok")).id
    _await_status(aos, template, "waiting")
    _until(lambda: aos.client.status().agents.get("active", 0) == 0)
    time.sleep(_SETTLE_SECONDS)
    without = asyncio.run(_statements(aos, seconds))
    asyncio.run(_park(aos, template, runs))
    with_them = asyncio.run(_statements(aos, seconds))
    active = aos.client.status().agents.get("active", 0)
    assert active == 0, f"{active} agents are active though all runs wait"
    return {
        "waiting10k_statements_s": with_them - without,
        "waiting10k_without_statements_s": without,
        "waiting10k_processes": float(active),
    }


async def _park(aos: Node, template: UUID, runs: int) -> None:
    """As many runs as this one that waits: rows and journals, with chains of their own."""
    async with aos.database() as database:
        journal = await RunStore(database).links("default", template)
        for first in range(0, runs, _AT_ONCE):
            fresh = [new_id() for _ in range(min(_AT_ONCE, runs - first))]
            await database.execute(_CLONE_RUNS, template, fresh)
            rows = [row for run in fresh for row in _copied(journal, template, run)]
            await database.execute(_CLONE_JOURNAL, *map(list, zip(*rows, strict=True)))
        await database.execute("ANALYZE runs")


def _copied(journal: list[Row], template: UUID, run: UUID) -> Iterator[tuple[Any, ...]]:
    before = genesis(run)
    for row in journal:
        body = row.body.replace(str(template), str(run))
        before = link(before, row.seq, row.kind, row.version, body)
        yield run, row.seq, "default", 1, row.kind, row.version, row.at, body, before


async def _statements(aos: Node, seconds: float) -> float:
    async with aos.database(1) as database:
        before, began = await transactions(database), time.monotonic()
        await asyncio.sleep(seconds)
        return (await transactions(database) - before - 1) / (time.monotonic() - began)


async def _transactions(aos: Node) -> int:
    await asyncio.sleep(1.5)  # statistics are a second late
    async with aos.database(1) as database:
        return await transactions(database)


def _agent(aos: Node, name: str) -> str:
    aos.client.agents.create(AgentProfile(name=name, planner=PlannerChoice(name="literal")))
    return name


def _completed(aos: Node, agent: str, goal: str) -> UUID:
    run = aos.client.runs.create(agent, goal)
    ended = aos.client.runs.wait(run.id, timeout=60)
    assert ended.status == "completed", (ended.code, ended.message)
    return run.id


def _await_status(aos: Node, run: UUID, status: str) -> None:
    _until(lambda: aos.client.runs.get(run).status == status)


def _until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if holds():
                return
        except NotRunning:
            pass
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)


def _dispatched(log: Path, after: int, run: UUID, step: str) -> float:
    """When a step was dispatched, by the log from a byte position on: Unix seconds."""
    with log.open() as lines:
        lines.seek(after)
        for line in lines:
            if '"step dispatched"' in line and str(run) in line and f'"{step}"' in line:
                return datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp()
    raise AssertionError(f"{step} of {run} was not dispatched")
