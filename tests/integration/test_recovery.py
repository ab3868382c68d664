"""Whatever dies, an accepted run is finished, and what was finished is not done again."""

from __future__ import annotations

import os
import signal
from uuid import UUID, uuid4

import psutil
from tests.support.running import RunningAos, eventually, kill

from aos.actors.runs.store import RunStore
from aos.actors.runs.submission import Submission
from aos.cluster.faults import arm
from aos.cluster.postgres import EmbeddedPostgres
from aos.skills.contracts import AgentProfile, PlannerChoice


def start_long_run(aos: RunningAos, agent: str, pages: int = 6) -> tuple[UUID, str]:
    """A run of several slow pages; returns it and the marker in its pages' addresses."""
    marker = uuid4().hex
    urls = ", ".join(aos.site.url(f"/slow/{marker}{number}") for number in range(pages))
    goal = f"Fetch {urls}, extract the headings and summarise them"
    return aos.client.runs.create(agent, goal).id, marker


def fetched(aos: RunningAos, run_id: UUID) -> set[str]:
    """Paths whose fetch has an outcome in the journal, read directly."""
    journal = aos.client.runs.events(run_id)
    return {
        str(event.fields["output"]["url"]).removeprefix(aos.site.url(""))
        for event in journal
        if event.kind == "step_settled" and str(event.fields["step_id"]).startswith("fetch")
    }


def until_first_fetch(aos: RunningAos, run_id: UUID) -> set[str]:
    """Wait for the first committed fetch; returns the paths that are finished by then."""
    event = aos.follow(
        run_id,
        lambda e: e.kind == "step_settled" and str(e.fields["step_id"]).startswith("fetch"),
    )
    return {str(event.fields["output"]["url"]).removeprefix(aos.site.url(""))}


def assert_finished_once(aos: RunningAos, run_id: UUID, finished: set[str], pages: int = 6) -> None:
    run = aos.client.runs.wait(run_id, timeout=90)
    assert (run.status, run.code) == ("completed", "OK"), run.message
    assert len(fetched(aos, run_id)) == pages
    assert {path: aos.site.times_answered(path) for path in finished} == dict.fromkeys(finished, 1)


def test_the_agent_is_killed(aos: RunningAos, agent: str) -> None:
    run_id, _ = start_long_run(aos, agent)
    finished = until_first_fetch(aos, run_id)
    before = aos.client.agents.get(agent)
    assert before.pid is not None
    kill(before.pid)
    assert_finished_once(aos, run_id, finished)
    after = aos.client.agents.get(agent)
    assert after.epoch == before.epoch + 1
    assert aos.client.runs.get(run_id).resumes == 1
    kinds = [event.kind for event in aos.client.supervision_events(child=str(after.id))]
    assert kinds[:3] == ["started", "restarting", "ended"]


def test_the_agents_supervisor_is_killed_and_no_agent_notices(aos: RunningAos, agent: str) -> None:
    run_id, _ = start_long_run(aos, agent)
    finished = until_first_fetch(aos, run_id)
    before = aos.client.agents.get(agent)
    supervisor = aos.pid_of("agents")
    kill(supervisor)
    assert_finished_once(aos, run_id, finished)
    after = aos.client.agents.get(agent)
    assert (after.pid, after.epoch) == (before.pid, before.epoch)
    eventually(lambda: aos.pid_of("agents") != supervisor)
    again = aos.client.runs.create(agent, f"Fetch {aos.site.url('/')} and extract the title")
    assert aos.client.runs.wait(again.id, timeout=60).status == "completed"


def test_the_host_manager_is_killed_and_agents_resume(aos: RunningAos, agent: str) -> None:
    run_id, _ = start_long_run(aos, agent)
    finished = until_first_fetch(aos, run_id)
    kill(aos.manager["pid"])
    assert_finished_once(aos, run_id, finished)


def test_the_root_is_killed_and_comes_back_by_itself(aos: RunningAos, agent: str) -> None:
    root, front = aos.pid_of(), aos.pid_of("front")
    kill(root)

    def whole() -> bool:
        tree = aos.client.status().tree
        return (
            tree is not None
            and tree["pid"] != root
            and [child["state"] for child in tree["children"]] == ["running"] * 5
        )

    eventually(whole)
    assert aos.pid_of("front") == front, "the living front was adopted"
    run = aos.client.runs.create(agent, f"Fetch {aos.site.url('/')} and extract the title")
    assert aos.client.runs.wait(run.id, timeout=60).status == "completed"


def test_the_http_front_is_killed_and_the_stream_goes_on(aos: RunningAos, agent: str) -> None:
    run_id, _ = start_long_run(aos, agent, pages=3)
    kill(aos.pid_of("front"))
    assert aos.client.runs.wait(run_id, timeout=60).status == "completed"


def test_postgres_is_killed_and_everybody_waits_for_it(aos: RunningAos, agent: str) -> None:
    run_id, _ = start_long_run(aos, agent)
    finished = until_first_fetch(aos, run_id)
    before = aos.client.agents.get(agent)
    pid = EmbeddedPostgres(aos.settings.home).status().pid
    assert pid is not None
    kill(pid)
    assert_finished_once(aos, run_id, finished)
    after = aos.client.agents.get(agent)
    assert (after.pid, after.epoch) == (before.pid, before.epoch), "an outage costs no activation"


async def test_a_run_that_nobody_was_told_of_is_found(aos: RunningAos, agent: str) -> None:
    async with aos.database() as database:
        profile = AgentProfile(name=agent, planner=PlannerChoice(name="rules", model="scripted"))
        accepted = await RunStore(database).submit(
            Submission(
                tenant="default",
                agent_id=aos.client.agents.get(agent).id,
                profile=profile,
                goal=f"Fetch {aos.site.url('/tides')} and extract the tables",
                planner="rules",
                request_hash="none",
            )
        )
    assert aos.client.runs.wait(accepted.run_id, timeout=60).status == "completed"


async def test_a_fenced_agent_writes_nothing_and_leaves(aos: RunningAos, agent: str) -> None:
    """A zombie: stopped, taken over by a higher epoch, and let go on."""
    run_id, _ = start_long_run(aos, agent)
    finished = until_first_fetch(aos, run_id)
    before = aos.client.agents.get(agent)
    assert before.pid is not None
    zombie = psutil.Process(before.pid)
    os.kill(before.pid, signal.SIGSTOP)
    async with aos.database() as database:
        await database.execute(
            "UPDATE activations SET epoch = epoch + 10 WHERE agent_id = $1", before.id
        )
        written = "SELECT count(*) FROM journal WHERE run_id = $1 AND epoch = $2"
        stopped_at = await database.fetch_value(written, run_id, before.epoch)
        os.kill(before.pid, signal.SIGCONT)
        zombie.wait(timeout=30)
        assert await database.fetch_value(written, run_id, before.epoch) == stopped_at
    assert_finished_once(aos, run_id, finished)
    assert aos.client.agents.get(agent).epoch == before.epoch + 11


def test_an_agent_that_meets_a_bug_says_which_and_resumes(aos: RunningAos, agent: str) -> None:
    """On a busy machine a last word may come too late, but not three in a row."""
    child = str(aos.client.agents.get(agent).id)
    told: list[tuple[str, str]] = []
    while ("crash", "FaultInjected: journal.appending") not in told:
        assert len(told) < 3, told
        run_id, _ = start_long_run(aos, agent)
        finished = until_first_fetch(aos, run_id)
        arm(aos.faults, "journal.appending", "raise")
        assert_finished_once(aos, run_id, finished)
        (aos.faults / "journal.appending.fired").unlink()
        assert aos.client.runs.get(run_id).resumes == 1
        events = aos.client.supervision_events(child=child)
        told = [(event.reason, event.detail) for event in events if event.kind == "ended"]


def test_an_idle_agent_is_made_passive_and_comes_back_when_there_is_work(
    aos: RunningAos, agent: str
) -> None:
    goal = f"Fetch {aos.site.url('/')} and extract the title"
    assert aos.client.runs.wait(aos.client.runs.create(agent, goal).id).status == "completed"
    before = aos.client.agents.get(agent)
    assert before.pid is not None
    eventually(lambda: aos.client.agents.get(agent).state == "passive")
    assert aos.client.runs.wait(aos.client.runs.create(agent, goal).id).status == "completed"
    assert aos.client.agents.get(agent).epoch == before.epoch + 2, "one to fence, one to activate"
    told = [(e.kind, e.reason) for e in aos.client.supervision_events(child=str(before.id))]
    assert ("ended", "start_error") not in told
