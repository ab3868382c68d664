"""Figures of supervision: activation, a million registered agents, many active ones, healing.

Each function measures the real system in the state that it is given and returns figures by name.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
from tests.support.running import RunningAos, eventually, kill

from aos.api.client.errors import NotRunning
from aos.cluster.postgres import Database
from aos.skills.contracts import AgentProfile, PlannerChoice

_PACE_SECONDS = 6.5
_QUIET_SECONDS = 70.0

TARGETS: dict[str, float] = {
    "activate_warm_p50_ms": 10,
    "activate_1m_over_1k": 1.2,
    "agents150_gib": 12,
    "tree_heal_s": 3,
    "idle_cpu_pct": 2,
    "idle_statements_s": 5,
}

_REGISTER = """
WITH fresh AS (
    SELECT gen_random_uuid() AS agent_id, 'mass-' || n AS name
    FROM generate_series($1::int, $2::int) n
), registered AS (
    INSERT INTO agents (agent_id, tenant_id, name, profile)
    SELECT agent_id, 'default', name, json_build_object('name', name) FROM fresh
)
INSERT INTO activations (agent_id, tenant_id, epoch, state)
SELECT agent_id, 'default', 1, 'passive' FROM fresh
"""


def measure_activation(aos: RunningAos, repetitions: int) -> dict[str, float]:
    """Activation with a warm host, from asking for one to the agent being there: alone, then among
    a million registered agents. Agents are made passive within two seconds, so hosts come back.
    """
    few = activations(aos, repetitions, register=1_000)
    many = activations(aos, repetitions, register=999_000)
    return {
        "activate_warm_p50_ms": statistics.median(few),
        "activate_warm_p99_ms": percentile(few, 99),
        "activate_1m_p99_ms": percentile(many, 99),
        "activate_1m_over_1k": percentile(many, 99) / percentile(few, 99),
    }


def activations(aos: RunningAos, repetitions: int, register: int) -> list[float]:
    asyncio.run(_register(aos, register))
    log = aos.settings.home / "logs/supervisors.jsonl"
    took: list[float] = []
    for number in range(repetitions + 10):
        name = f"act-{uuid4().hex[:12]}"
        agent = aos.client.agents.create(AgentProfile(name=name, planner=OFFLINE))
        eventually(lambda: aos.manager.get("warm", 0) >= 2 and bool(aos.manager["ready"]))
        read = log.stat().st_size
        run = aos.client.runs.create(name, f"Fetch {aos.site.url('/')} and extract the title")
        assert aos.client.runs.wait(run.id, timeout=60).status == "completed"
        if number >= 10:
            took.append(_activation_of(agent.id, log, read))
    return took


def measure_many(aos: RunningAos, agents: int = 150) -> dict[str, float]:
    """Many active agents that have idled for more than a minute: memory of all processes of this
    AOS together (proportional set size, so that shared pages are counted once).
    """
    began = time.monotonic()
    there = aos.client.status().agents.get("active", 0)
    names = [f"many-{number}" for number in range(there, agents)]
    for name in names:
        aos.client.agents.create(AgentProfile(name=name, planner=OFFLINE))
    goal = f"Fetch {aos.site.url('/')} and extract the title"
    for run in [aos.client.runs.create(name, goal) for name in names]:
        assert aos.client.runs.wait(run.id, timeout=900).status == "completed"
    spent = time.monotonic() - began
    active = aos.client.status().agents.get("active", 0)
    assert active >= agents, f"{active} of {agents} are active"
    eventually(lambda: bool(aos.manager["ready"]))
    time.sleep(_QUIET_SECONDS)
    gib = sum(process.memory_full_info().pss for process in processes(aos)) / 2**30
    print(f"{agents - there} more agents active after {spent:.0f} s: {gib:.2f} GiB for {agents}")
    return {f"agents{agents}_gib": gib}


def measure_idle(aos: RunningAos, seconds: float = 60.0) -> dict[str, float]:
    """What root, agents' supervisor and host manager use together, and what all of AOS asks of
    Postgres, while all active agents idle and nobody looks. Beside it what as many of Ray's actors
    use that do nothing at all: idle agents that nobody calls but for a beat every ten seconds.
    """
    pids = [aos.pid_of(), aos.pid_of("agents"), aos.manager["pid"]]
    others = [pid for n in range(30) if (pid := aos.client.agents.get(f"many-{n}").pid)]
    before, floor, asked = cpu_seconds(pids), cpu_seconds(others), asyncio.run(_transactions(aos))
    began = time.monotonic()
    time.sleep(seconds)
    spent, least = cpu_seconds(pids) - before, cpu_seconds(others) - floor
    elapsed = time.monotonic() - began
    statements = asyncio.run(_transactions(aos)) - asked - 1  # the one that reads the first count
    return {
        "idle_cpu_pct": 100 * spent / elapsed,
        "idle_cpu_floor_pct": 100 * least / elapsed / len(others) * len(pids),
        "idle_statements_s": statements / elapsed,
    }


def measure_healing(aos: RunningAos, repetitions: int) -> dict[str, float]:
    """SIGKILL of the agents' supervisor to the whole tree running again, as a client sees it. Not
    oftener than the root allows: eleven within a minute, and it gives up as OTP's would.
    """
    took: list[float] = []
    killed_at = -_PACE_SECONDS
    for _ in range(repetitions):
        time.sleep(max(0.0, killed_at + _PACE_SECONDS - time.monotonic()))
        eventually(lambda: is_whole(aos, 0) and bool(aos.manager.get("ready")))
        pid = aos.pid_of("agents")
        killed_at = time.monotonic()
        kill(pid)
        eventually(lambda pid=pid: is_whole(aos, pid))
        took.append(time.monotonic() - killed_at)
    return {"tree_heal_s": statistics.median(took), "tree_heal_p99_s": percentile(took, 99)}


def is_whole(aos: RunningAos, gone: int) -> bool:
    try:
        tree = aos.client.status().tree
    except NotRunning:
        return False
    if tree is None:
        return False
    members = list(_members(tree))
    return all(m["state"] == "running" for m in members) and gone not in [
        m.get("pid") for m in members
    ]


OFFLINE = PlannerChoice(name="rules", model="scripted")


def processes(aos: RunningAos) -> Iterator[psutil.Process]:
    """The node, all that hangs on it, and its Postgres."""
    node = psutil.Process(aos.info["pid"])
    postmaster = aos.settings.home / "postgres/data/postmaster.pid"
    server = psutil.Process(int(postmaster.read_text().splitlines()[0]))
    for head in (node, server):
        yield head
        yield from head.children(recursive=True)


def cpu_seconds(pids: list[int]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def percentile(values: list[float], rank: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[rank - 1]


def _members(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for child in tree.get("children", []):
        yield child
        yield from _members(child)


def _activation_of(agent_id: UUID, log: Path, after: int) -> float:
    with log.open() as lines:
        lines.seek(after)
        for line in lines:
            if '"activated"' in line and str(agent_id) in line:
                return float(json.loads(line)["took_ms"])
    raise AssertionError(f"{agent_id} was not activated")


async def _register(aos: RunningAos, count: int) -> None:
    async with aos.database() as database:
        first = await database.fetch_value("SELECT count(*) FROM agents")
        for start in range(first, first + count, 100_000):
            await database.execute(_REGISTER, start, min(start + 99_999, first + count - 1))
        await database.execute("ANALYZE agents")
        await database.execute("ANALYZE activations")


async def _transactions(aos: RunningAos) -> int:
    async with aos.database() as database:
        return await transactions(database)


async def transactions(database: Database) -> int:
    """All that this database has been asked so far."""
    await database.execute("SELECT pg_stat_clear_snapshot()")
    total: int = await database.fetch_value(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database"
        " WHERE datname = current_database()"
    )
    return total
