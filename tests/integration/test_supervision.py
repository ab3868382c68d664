"""Processes that hang, that cannot be started, that are many: the tree comes back, and nobody who
has nothing to do with it notices.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID, uuid4

import psutil
import pytest
from tests.integration.test_recovery import (
    assert_finished_once,
    start_long_run,
    until_first_fetch,
)
from tests.support.running import RunningAos, eventually, kill

from aos.actors.runs.store import RunStore
from aos.actors.runs.submission import Submission
from aos.api.client.errors import ApiError
from aos.cluster import faults
from aos.cluster.environment import cluster_environment
from aos.skills.contracts import AgentProfile, Dedicated, PlannerChoice, RunLimits

OFFLINE = PlannerChoice(name="rules", model="scripted")

NAPS = """
async def agent(ctx, goal):
    for _ in range(250):
        await ctx.sleep(0.9)
"""
"""Each wait is too short to leave the process for: the agent stays, and costs little."""


@contextmanager
def stopped(pid: int) -> Iterator[psutil.Process]:
    """A process that is there and does nothing (SIGSTOP); afterwards it goes on, if it still is."""
    process = psutil.Process(pid)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield process
    finally:
        if process.is_running():
            os.kill(pid, signal.SIGCONT)


def one_run(aos: RunningAos, agent: str) -> None:
    run = aos.client.runs.create(agent, f"Fetch {aos.site.url('/')} and extract the title")
    assert aos.client.runs.wait(run.id, timeout=60).status == "completed"


def new_agent(aos: RunningAos, **fields: object) -> str:
    name = f"agent-{uuid4().hex[:12]}"
    aos.client.agents.create(AgentProfile(name=name, planner=OFFLINE).model_copy(update=fields))
    return name


def swept_by(aos: RunningAos) -> int:
    """What the janitor has cleared away since it began."""
    tree = aos.client.status().tree
    assert tree is not None
    return int(next(c for c in tree["children"] if c["id"] == "janitor").get("swept", 0))


def told(aos: RunningAos, agent: str) -> list[tuple[str, str]]:
    """Kinds and details of an agent's supervision events, oldest first."""
    child = str(aos.client.agents.get(agent).id)
    events = aos.client.supervision_events(child=child)
    return [(event.kind, event.detail) for event in reversed(events)]


def test_an_agent_that_hangs_is_ended_and_resumes(aos: RunningAos, agent: str) -> None:
    run_id, _ = start_long_run(aos, agent)
    finished = until_first_fetch(aos, run_id)
    before = aos.client.agents.get(agent)
    assert before.pid is not None
    with stopped(before.pid) as process:
        assert_finished_once(aos, run_id, finished)
        process.wait(timeout=10)
    assert aos.client.agents.get(agent).epoch == before.epoch + 1
    assert any(kind == "ended" and "it hangs" in detail for kind, detail in told(aos, agent))


def test_an_agent_that_only_pauses_is_left_alone(aos: RunningAos, agent: str) -> None:
    run_id, _ = start_long_run(aos, agent)
    until_first_fetch(aos, run_id)
    before = aos.client.agents.get(agent)
    assert before.pid is not None
    with stopped(before.pid):
        aos.follow(run_id, lambda e: True)  # a request's time, well below a heartbeat's
    assert aos.client.runs.wait(run_id, timeout=60).status == "completed"
    assert aos.client.agents.get(agent).epoch == before.epoch


@pytest.mark.parametrize("child", ["agents", "front"])
def test_a_member_of_the_tree_that_hangs_is_replaced(
    aos: RunningAos, agent: str, child: str
) -> None:
    pid = aos.pid_of(child)
    with stopped(pid) as process:
        process.wait(timeout=40)
    eventually(aos.is_reachable)
    eventually(lambda: aos.pid_of(child) not in (0, pid))
    one_run(aos, agent)


def test_the_root_that_hangs_is_replaced_and_adopts_the_tree(aos: RunningAos, agent: str) -> None:
    root, front = aos.pid_of(), aos.pid_of("front")
    with stopped(root) as process:
        process.wait(timeout=40)
    eventually(lambda: aos.client.status().tree is not None)
    assert aos.pid_of() != root
    eventually(lambda: aos.pid_of("front") == front)
    one_run(aos, agent)


def test_the_host_manager_that_hangs_is_replaced(aos: RunningAos, agent: str) -> None:
    pid = aos.manager["pid"]
    with stopped(pid) as process:
        process.wait(timeout=40)
    eventually(lambda: aos.manager.get("pid", pid) != pid)
    one_run(aos, agent)


def test_a_start_that_dies_is_tried_again_while_others_are_served(
    aos: RunningAos, agent: str
) -> None:
    """The process ends itself in the middle of becoming the agent."""
    unlucky = new_agent(aos)
    agent_id = str(aos.client.agents.get(unlucky).id)
    faults.arm(aos.faults, "agent.activated", f"kill of {agent_id}")
    run = aos.client.runs.create(unlucky, f"Fetch {aos.site.url('/')} and extract the title")
    eventually(lambda: faults.fired(aos.faults, "agent.activated"))
    one_run(aos, agent)
    assert aos.client.runs.wait(run.id, timeout=60).status == "completed"
    assert ("ended", "start_error") in [
        (event.kind, event.reason) for event in aos.client.supervision_events(child=agent_id)
    ]


def test_a_dedicated_agent_has_an_actor_and_resources_of_its_own(aos: RunningAos) -> None:
    name = new_agent(aos, dedicated=Dedicated(cpus=0.5))
    one_run(aos, name)
    active = aos.client.agents.get(name)
    assert active.host == f"agent:default/{name}@{active.epoch}"
    assert active.pid is not None
    kill(active.pid)
    one_run(aos, name)
    assert aos.client.agents.get(name).host == f"agent:default/{name}@{active.epoch + 1}"


def test_what_no_machine_has_is_waited_for_and_named(aos: RunningAos, agent: str) -> None:
    name = new_agent(aos, dedicated=Dedicated(gpus=4))
    run = aos.client.runs.create(name, f"Fetch {aos.site.url('/')} and extract the title")
    eventually(lambda: ("pending", "needs GPU 4; no machine has it") in told(aos, name))
    one_run(aos, agent)
    assert aos.client.runs.get(run.id).status == "pending"
    kinds = [kind for kind, _ in told(aos, name)]
    assert kinds == ["pending"], "waiting is no failure, and is told once"


@pytest.mark.timeout(300)  # a hundred processes are started, each a second of the machine
def test_fifty_agents_killed_at_once_come_back_and_others_are_served(
    aos: RunningAos, agent: str
) -> None:
    limits = RunLimits(max_steps=300)
    names = [new_agent(aos, limits=limits) for _ in range(50)]
    program = aos.client.programs.keep(f"p-{uuid4().hex[:8]}", "agent", NAPS).name
    runs = [aos.client.runs.create(name, "nap", program=program).id for name in names]

    def pid_at(name: str, epoch: int) -> int:
        found = aos.client.agents.get(name)
        return found.pid or 0 if found.epoch == epoch else 0

    for name in names:
        eventually(lambda name=name: pid_at(name, 1) > 0, 100)
    for pid in [pid_at(name, 1) for name in names]:
        kill(pid)
    one_run(aos, agent)
    for name in names:
        eventually(lambda name=name: pid_at(name, 2) > 0, 100)
    for run in runs:
        aos.client.runs.cancel(run)
    for run in runs:
        ended = aos.client.runs.wait(run, timeout=60)
        assert (ended.status, ended.resumes) == ("cancelled", 1)


def test_a_run_that_kills_its_agent_is_set_aside_and_the_agent_goes_on(
    aos: RunningAos, agent: str
) -> None:
    # A first activation's first commit carries its run's start: dying before it leaves no trace.
    faults.arm(aos.faults, "step.dispatching", "kill*4")
    run = aos.client.runs.create(agent, f"Fetch {aos.site.url('/')} and extract the title")
    eventually(lambda: faults.fired(aos.faults, "step.dispatching"))
    ended = aos.client.runs.wait(run.id, timeout=60)
    assert (ended.status, ended.code) == ("quarantined", "ERR_POISON_RUN")
    one_run(aos, agent)
    assert aos.client.agents.get(agent).state == "active"


async def test_a_start_that_always_fails_is_quarantined_and_nobody_else_notices(
    aos: RunningAos, agent: str
) -> None:
    name = new_agent(aos)
    broken = "UPDATE agents SET profile = $2 WHERE name = $1"
    async with aos.database() as database:
        await database.execute(broken, name, '{"name": "x", "dedicated": {"cpus": "many"}}')
        registered = "SELECT agent_id FROM agents WHERE name = $1"
        child = str(await database.fetch_value(registered, name))
        profile = AgentProfile(name=name, planner=OFFLINE)
        accepted = await RunStore(database).submit(
            Submission(
                tenant="default",
                agent_id=UUID(child),
                profile=profile,
                goal=f"Fetch {aos.site.url('/')} and extract the title",
                planner="rules",
                request_hash="none",
            )
        )

        told = "SELECT kind, reason FROM supervision_events WHERE child = $1"
        events: set[tuple[str, str]] = set()
        while ("quarantined", "start_error") not in events:
            one_run(aos, agent)
            events = {(row["kind"], row["reason"]) for row in await database.fetch(told, child)}
        assert ("restarting", "start_error") in events
        await database.execute(broken, name, profile.model_dump_json())
    aos.client.agents.release(name)
    assert aos.client.runs.wait(accepted.run_id, timeout=60).status == "completed"
    with pytest.raises(ApiError, match="not_quarantined"):
        aos.client.agents.release(name)


def test_a_process_that_nobody_owns_is_cleared_away(aos: RunningAos, agent: str) -> None:
    one_run(aos, agent)
    owned, swept = aos.client.agents.get(agent).pid, swept_by(aos)
    left = subprocess.run(
        [sys.executable, "-m", "tests.support.stray", "aos-host:stray", aos.info["ray_address"]],
        env=cluster_environment(aos.settings), capture_output=True, text=True, check=True,
    )  # fmt: skip
    eventually(lambda: not psutil.pid_exists(int(left.stdout)))
    eventually(lambda: swept_by(aos) == swept + 1)
    assert aos.client.agents.get(agent).pid == owned
