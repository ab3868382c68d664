"""Durable programs on a whole AOS: driven, killed while they wait, executed again."""

from __future__ import annotations

from pathlib import Path

from tests.support.running import RunningAos, eventually, kill

from aos.skills.contracts import AgentProfile

EXAMPLE = Path(__file__).parents[2] / "examples" / "durable_agent.py"


def test_the_example_survives_the_death_of_its_process(aos: RunningAos) -> None:
    client, site = aos.client, aos.site
    program = client.programs.keep("durable_agent", "agent", EXAMPLE.read_text())
    client.agents.create(AgentProfile(name="durable"))
    goal = f"{site.url('/')} {site.url('/')}"
    run = client.runs.create("durable", goal, program=program.hash)
    eventually(lambda: client.runs.get(run.id).status == "waiting")
    pid = client.agents.get(run.agent).pid
    if pid is not None:  # it may have been made passive by now: then nothing has to die
        kill(pid)
    step = next(each.id for each in client.runs.get(run.id).steps if each.skill == "wait.decision")
    client.runs.decide(run.id, step, approved=True)
    ended = client.runs.wait(run.id, timeout=60)
    assert (ended.status, ended.code) == ("completed", "OK"), ended.message
    answer = ended.answer
    assert isinstance(answer, list)
    assert len(answer) == 2
    fetched = [each for each in ended.steps if each.skill == "http_call"]
    assert [each.attempts for each in fetched] == [1, 1], "what has an outcome is not called again"
