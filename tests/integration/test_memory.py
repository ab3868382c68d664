"""Who dies first when memory runs out: the skill, then the agent, and its supervisors never."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
from tests.support.running import RunningAos, eventually, kill

from aos.api.client.models import RunView
from aos.cluster import faults
from aos.cluster.memory import MIB
from aos.supervisors.governor import Kill, Kind, decide
from aos.supervisors.survey import Survey, survey


def plan(skill: str, how: str, megabytes: int) -> str:
    """A goal of one step, for the planner that takes goals for plans."""
    step = {"id": "s", "skill": skill, "params": {"how": how, "megabytes": megabytes}}
    return json.dumps({"steps": [step], "answer": "{{s.pid}}"})


def hoard(aos: RunningAos, agent: str, how: str, megabytes: int, skill: str = "hoard") -> RunView:
    run = aos.client.runs.create(agent, plan(skill, how, megabytes))
    return aos.client.runs.wait(run.id, timeout=60)


def supervisors(aos: RunningAos) -> dict[str, int]:
    named = {name: aos.pid_of(*([name] if name else [])) for name in ("", "agents", "front")}
    return {**named, "hosts": aos.manager["pid"]}


def who_is(aos: RunningAos, agent: str) -> tuple[int | None, int | None]:
    about = aos.client.agents.get(agent)
    return about.pid, about.epoch


def outcomes(aos: RunningAos, run: RunView) -> list[dict[str, Any]]:
    """Of the step `s`, attempt by attempt, from the journal."""
    return [
        event.fields
        for event in aos.client.runs.events(run.id)
        if event.kind == "step_settled" and event.fields["step_id"] == "s"
    ]


def raylet(aos: RunningAos) -> psutil.Process:
    below = psutil.Process(aos.info["pid"]).children(recursive=True)
    return next(process for process in below if process.name() == "raylet")


def data_sizes(aos: RunningAos) -> list[int]:
    """Of all worker processes there are."""
    sizes: list[int] = []
    for process in raylet(aos).children():
        with suppress(psutil.NoSuchProcess):
            sizes.append(process.memory_info().data)
    return sizes


def score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def test_a_skill_that_leaks_fails_and_nobody_else_notices(
    aos: RunningAos, literal_agent: str
) -> None:
    first = hoard(aos, literal_agent, "pass", 10)
    assert first.status == "completed", first.message
    before, above = who_is(aos, literal_agent), supervisors(aos)
    leaked = hoard(aos, literal_agent, "leak", 10_000)
    assert (leaked.status, leaked.code) == ("failed", "ERR_OUT_OF_MEMORY")
    assert "needed more than the 200 MiB that it declares" in (leaked.message or "")
    again = hoard(aos, literal_agent, "pass", 100)
    assert again.status == "completed", again.message
    assert who_is(aos, literal_agent) == before
    assert supervisors(aos) == above


def test_a_write_that_ran_out_of_memory_is_in_doubt(aos: RunningAos, literal_agent: str) -> None:
    ended = hoard(aos, literal_agent, "leak", 10_000, skill="hoard_unsafely")
    assert (ended.status, ended.code) == ("quarantined", "ERR_IN_DOUBT")
    assert [each["code"] for each in outcomes(aos, ended)] == ["ERR_OUT_OF_MEMORY"]


def test_native_code_that_aborts_takes_its_process_and_no_other(
    aos: RunningAos, literal_agent: str
) -> None:
    hoard(aos, literal_agent, "pass", 10)
    before, above = who_is(aos, literal_agent), supervisors(aos)
    ended = hoard(aos, literal_agent, "abort", 10_000)
    assert (ended.status, ended.code) == ("failed", "ERR_WORKER_DIED")
    assert hoard(aos, literal_agent, "pass", 10).status == "completed"
    assert (who_is(aos, literal_agent), supervisors(aos)) == (before, above)


def test_a_process_in_which_memory_ran_out_is_ended(aos: RunningAos, literal_agent: str) -> None:
    hoard(aos, literal_agent, "pass", 10)
    usual = max(data_sizes(aos))
    hoard(aos, literal_agent, "leak", 10_000)
    eventually(lambda: max(data_sizes(aos)) < usual + 100 * MIB)


@pytest.mark.parametrize("point", ["journal.appending", "journal.appended", "step.outcome"])
def test_an_agent_that_exhausts_its_memory_restarts_and_its_run_completes(
    aos: RunningAos, agent: str, point: str
) -> None:
    goal = f"Fetch {aos.site.url('/')} and extract the title"
    assert aos.client.runs.wait(aos.client.runs.create(agent, goal).id).status == "completed"
    (pid, epoch), above = who_is(aos, agent), supervisors(aos)
    faults.arm(aos.faults, point, "exhaust")
    ended = aos.client.runs.wait(aos.client.runs.create(agent, goal).id, timeout=60)
    assert (ended.status, ended.code) == ("completed", "OK"), ended.message
    eventually(lambda: faults.fired(aos.faults, point), 10)
    (aos.faults / f"{point}.fired").unlink()
    # Its last commit may have been the point: then the run was over before the agent was.
    eventually(lambda: who_is(aos, agent)[1] == (epoch or 0) + 1)
    assert pid is not None
    assert not psutil.pid_exists(pid)
    assert supervisors(aos) == above


def test_the_kernel_is_told_the_order(aos: RunningAos, literal_agent: str) -> None:
    run = hoard(aos, literal_agent, "pass", 1)
    skill = int(str(run.answer))
    agent = aos.client.agents.get(literal_agent).pid
    assert agent is not None
    base = score(raylet(aos).pid)
    assert {score(pid) for pid in supervisors(aos).values()} == {base}
    assert score(skill) == 1000
    assert base < score(agent) < 1000


def test_the_governor_sees_agents_and_skills_and_ends_the_right_one(
    aos: RunningAos, literal_agent: str
) -> None:
    """Shared memory is what no limit of a process counts."""
    run = aos.client.runs.create(literal_agent, plan("hoard", "shared", 400))
    above = supervisors(aos)
    seen: list[Survey] = []
    killed: set[int] = set()

    def is_over() -> bool:
        return aos.client.runs.get(run.id).status == "failed"

    def holds_it() -> bool:
        seen.append(survey({}, 256, raylet(aos).pid))
        held = {each.pid: each for each in seen[-1].processes}
        # What an earlier test's process still holds is none of it.
        hoarders = {p.pid for p in held.values() if p.resident > 400 * MIB and "hoard" in p.name}
        return bool(hoarders - killed) and who_is(aos, literal_agent)[0] in held

    eventually(holds_it)
    agent = who_is(aos, literal_agent)
    while not is_over():
        found = seen[-1]
        kinds = {each.pid: each.kind for each in found.processes}
        assert kinds[agent[0] or 0] is Kind.AGENT
        assert not set(above.values()) & kinds.keys()
        (action,) = decide(found.processes, found.used, found.budget)
        assert isinstance(action, Kill)
        assert "skill:hoard@1.0.0 holds" in action.why
        kill(action.pid)
        killed.add(action.pid)
        # In a process that it shared it would be nobody's failure yet: it is called by itself.
        eventually(lambda: is_over() or holds_it())
    ended = aos.client.runs.get(run.id)
    assert (ended.status, ended.code) == ("failed", "ERR_WORKER_DIED")
    assert len(killed) <= 2
    assert (who_is(aos, literal_agent), supervisors(aos)) == (agent, above)
