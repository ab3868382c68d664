"""Teams on a real AOS: what is killed comes back as its team's strategy has it, and nothing is done
twice over it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from tests.integration.test_recovery import fetched, start_long_run, until_first_fetch
from tests.integration.test_supervision import new_agent, one_run, stopped
from tests.support.running import RunningAos, eventually, kill

from aos.api.client import ApiError, TeamChildView, TeamView

Make = Callable[..., TeamView]


@pytest.fixture
def make(aos: RunningAos) -> Iterator[Make]:
    """Makes teams, and removes them afterwards."""
    made: list[TeamView] = []

    def make(*children: dict[str, Any], **fields: Any) -> TeamView:
        name = f"team-{uuid4().hex[:12]}"
        team = aos.client.teams.create({"name": name, "children": list(children), **fields})
        made.append(team)
        return team

    yield make
    for team in made:
        try:
            aos.client.teams.delete(team.id)
        except ApiError as error:
            assert error.code == "AOS-4123", "it was removed by the test"  # noqa: PT017


def child(team: TeamView, *path: str) -> TeamChildView:
    children = team.children
    for name in path[:-1]:
        children = next(each for each in children if each.id == name).children
    return next(each for each in children if each.id == path[-1])


def standing(aos: RunningAos, team: TeamView, *path: str) -> TeamChildView:
    return child(aos.client.teams.get(team.id), *path)


def all_run(aos: RunningAos, team: TeamView) -> bool:
    children = aos.client.teams.get(team.id).children
    return all(each.state == "running" and each.pid for each in children)


def epochs(aos: RunningAos, team: TeamView) -> list[int]:
    return [each.epoch or 0 for each in aos.client.teams.get(team.id).children]


def member(child_id: str, agent: str, **fields: Any) -> dict[str, Any]:
    return {"id": child_id, "agent": agent, **fields}


def three(aos: RunningAos) -> list[dict[str, Any]]:
    return [member(name, new_agent(aos)) for name in ("first", "second", "third")]


def answered_once(aos: RunningAos, finished: set[str]) -> bool:
    return {aos.site.times_answered(path) for path in finished} == {1}


def test_one_for_all_restarts_everybody_and_repeats_nothing(aos: RunningAos, make: Make) -> None:
    members = three(aos)
    team = make(*members, strategy="one_for_all")
    eventually(lambda: all_run(aos, team))
    runs = [start_long_run(aos, each["agent"])[0] for each in members]
    finished = set[str]().union(*(until_first_fetch(aos, run_id) for run_id in runs))
    before = epochs(aos, team)
    victim = standing(aos, team, "second").pid
    assert victim is not None
    kill(victim)
    for run_id in runs:
        assert aos.client.runs.wait(run_id, timeout=90).status == "completed"
        assert len(fetched(aos, run_id)) == 6
    assert answered_once(aos, finished)
    eventually(lambda: all_run(aos, team))
    assert all(now > then for now, then in zip(epochs(aos, team), before, strict=True))


def test_rest_for_one_restarts_those_that_came_later(aos: RunningAos, make: Make) -> None:
    team = make(*three(aos), strategy="rest_for_one")
    eventually(lambda: all_run(aos, team))
    before = aos.client.teams.get(team.id).children
    kill(before[1].pid or 0)
    eventually(lambda: standing(aos, team, "second").restarts == 1 and all_run(aos, team))
    after = aos.client.teams.get(team.id).children
    assert (after[0].pid, after[0].epoch) == (before[0].pid, before[0].epoch)
    assert all(now.epoch > then.epoch for now, then in zip(after[1:], before[1:], strict=True))


def test_a_significant_planner_that_is_done_ends_its_team(aos: RunningAos, make: Make) -> None:
    goal = f"Fetch {aos.site.url('/')} and extract the title"
    planner, scribe = new_agent(aos), new_agent(aos)
    team = make(
        member("planner", planner, restart="transient", significant=True, goal=goal),
        member("scribe", scribe),
        auto_shutdown="any_significant",
    )
    run_id = child(team, "planner").run_id
    assert run_id is not None
    assert aos.client.runs.wait(run_id, timeout=60).status == "completed"
    eventually(lambda: aos.client.teams.get(team.id).state == "ended")
    ended = aos.client.teams.get(team.id)
    assert (ended.reason, ended.detail) == ("shutdown", "auto_shutdown")
    assert [each.state for each in ended.children] == ["stopped", "stopped"]
    for name in (planner, scribe):
        eventually(lambda name=name: aos.client.agents.get(name).state == "passive")
    one_run(aos, scribe)  # an ended team binds nobody
    # The goal is reached: started again, the planner finds nothing to do, and the team ends again.
    aos.client.teams.start(team.id)
    eventually(lambda: aos.client.teams.get(team.id).state == "ended")
    assert aos.client.runs.list(agent=planner).items[0].id == run_id


def test_a_service_that_always_crashes_ends_its_team_and_nobody_else(
    aos: RunningAos, make: Make, agent: str
) -> None:
    member_name = new_agent(aos)
    run_id, _ = start_long_run(aos, agent)
    team = make(
        member("scribe", member_name),
        {"id": "pump", "service": "harbour:Leaky"},
        intensity={"restarts": 2, "period_s": 60},
        backoff={"first_s": 0, "longest_s": 0},
    )
    eventually(lambda: aos.client.teams.get(team.id).state == "ended")
    ended = aos.client.teams.get(team.id)
    assert ended.reason == "shutdown"
    assert "reached_max_restart_intensity: more than 2 in 60 s" in ended.detail
    told = [e for e in aos.client.supervision_events(child="pump") if e.kind == "ended"]
    assert {event.detail for event in told} == {"RuntimeError: water in the engine room"}
    assert aos.client.runs.wait(run_id, timeout=60).status == "completed"
    assert aos.client.runs.get(run_id).resumes == 0
    one_run(aos, member_name)


def test_an_inner_team_is_a_subtree_of_its_own(aos: RunningAos, make: Make) -> None:
    alice, bob = new_agent(aos), new_agent(aos)
    desk = {"strategy": "one_for_all", "children": [member("alice", alice), member("bob", bob)]}
    team = make(
        member("scribe", new_agent(aos)),
        {"id": "desk", "team": desk},
        {"id": "night", "team": "shift"},
        teams={"shift": {"children": [member("owl", new_agent(aos))]}},
    )
    inner = [("scribe",), ("desk", "alice"), ("desk", "bob"), ("night", "owl")]
    eventually(lambda: all(standing(aos, team, *path).pid for path in inner))
    before = {path: standing(aos, team, *path).pid for path in inner}
    kill(before["desk", "alice"] or 0)
    eventually(lambda: standing(aos, team, "desk", "alice").restarts == 1)
    eventually(lambda: all(standing(aos, team, *path).state == "running" for path in inner))
    after = {path: standing(aos, team, *path).pid for path in inner}
    assert {path for path in inner if before[path] != after[path]} == {inner[1], inner[2]}
    one_run(aos, bob)
    aos.client.teams.terminate(team.id, "desk/bob")
    eventually(lambda: standing(aos, team, "desk", "bob").state == "stopped")
    aos.client.teams.restart(team.id, "desk/bob")
    eventually(lambda: standing(aos, team, "desk", "bob").state == "running")


@pytest.mark.parametrize(
    ("service", "why"),
    [
        ("nowhere.at.all:Clock", "No module named 'nowhere'"),
        ("harbour:Submarine", "has no attribute 'Submarine'"),
        ("harbour:Buoy", "has no `async def run(self)`"),
        ("reef:Reef", "cannot be imported: SystemExit: 7"),
        ("harbour:Clock", "its constructor does not take these args"),
    ],
)
def test_a_service_that_cannot_be_used_is_refused(
    aos: RunningAos, make: Make, service: str, why: str
) -> None:
    with pytest.raises(ApiError) as refused:
        make({"id": "clock", "service": service})
    assert (refused.value.status, refused.value.code) == (422, "AOS-4119")
    assert refused.value.errors[0]["field"] == "children[0].service"
    assert why in refused.value.detail


def test_what_no_machine_has_is_waited_for_and_named(aos: RunningAos, make: Make) -> None:
    team = make(
        {"id": "dive", "service": "harbour:Moored", "resources": {"bathyscaphe": 1}},
        {"id": "moored", "service": "harbour:Moored", "resources": {"CPU": 0.01}},
    )
    eventually(lambda: standing(aos, team, "moored").state == "running")
    waiting = standing(aos, team, "dive")
    assert (waiting.state, waiting.restarts) == ("waiting", 0)
    assert waiting.waits_for == "needs bathyscaphe 1; no machine has it"


def ticks(log: Path) -> list[tuple[int, float, str]]:
    lines = log.read_text().splitlines() if log.exists() else []
    return [(int(pid), float(at), what) for pid, at, what in map(str.split, lines)]


def test_the_agents_supervisor_is_killed_and_the_team_is_taken_over(
    aos: RunningAos, make: Make, tmp_path: Path
) -> None:
    log, scribe = tmp_path / "log", new_agent(aos)
    team = make(
        member("scribe", scribe),
        {"id": "clock", "service": "harbour:Clock", "args": {"log": str(log)}},
        strategy="one_for_all",
    )
    eventually(lambda: all_run(aos, team))
    run_id, _ = start_long_run(aos, scribe)
    finished = until_first_fetch(aos, run_id)
    before = aos.client.teams.get(team.id).children
    kill(aos.pid_of("agents"))
    assert aos.client.runs.wait(run_id, timeout=60).status == "completed"
    assert answered_once(aos, finished)
    eventually(lambda: aos.client.teams.get(team.id).phase == "running" and all_run(aos, team))
    after = aos.client.teams.get(team.id).children
    assert (after[0].pid, after[0].epoch) == (before[0].pid, before[0].epoch), "adopted"
    assert after[1].pid != before[1].pid, "its process belonged to the one that was killed"
    eventually(lambda: ticks(log)[-1][0] == after[1].pid)
    eventually(lambda: not psutil.pid_exists(before[1].pid or 0))
    old = max(at for pid, at, _ in ticks(log) if pid == before[1].pid)
    new = min(at for pid, at, _ in ticks(log) if pid == after[1].pid)
    assert old < new, "never two of them"


def test_a_team_is_stopped_started_and_removed(aos: RunningAos, make: Make, tmp_path: Path) -> None:
    log, scribe = tmp_path / "log", new_agent(aos)
    team = make(
        member("scribe", scribe),
        {"id": "clock", "service": "harbour:Clock", "args": {"log": str(log)}},
    )
    eventually(lambda: all_run(aos, team))
    assert aos.client.teams.stop(team.name).state == "stopped"
    eventually(lambda: aos.client.teams.get(team.id).phase is None)
    assert aos.client.teams.stop(team.name).state == "stopped", "again changes nothing"
    assert ticks(log)[-1][2] == "stopped", "it was asked, and had the time"
    eventually(lambda: aos.client.agents.get(scribe).state == "passive")
    one_run(aos, scribe)  # as an agent like any other
    single = aos.client.agents.get(scribe)
    assert aos.client.teams.start(team.name).state == "running"
    eventually(lambda: all_run(aos, team))
    assert (standing(aos, team, "scribe").epoch or 0) > single.epoch, "it left its own life first"
    clock = standing(aos, team, "clock").pid
    aos.client.teams.delete(team.id)
    with pytest.raises(ApiError, match="AOS-4123"):
        aos.client.teams.get(team.id)
    eventually(lambda: not psutil.pid_exists(clock or 0))
    one_run(aos, scribe)


def test_what_otp_refuses_is_refused_with_its_word(aos: RunningAos, make: Make) -> None:
    scribe = new_agent(aos)
    team = make(member("scribe", scribe), {"id": "ferry", "service": "harbour:Moored"})
    eventually(lambda: all_run(aos, team))

    def refused(act: Callable[[], Any]) -> tuple[int, str, str]:
        with pytest.raises(ApiError) as error:
            act()
        return error.value.status, error.value.code, error.value.why

    teams = aos.client.teams
    assert refused(lambda: teams.restart(team.id, "scribe")) == (409, "AOS-4102", "running")
    assert refused(lambda: teams.release(team.id, "scribe")) == (
        409, "AOS-4102", "not_quarantined",
    )  # fmt: skip
    assert refused(lambda: teams.restart(team.id, "nobody"))[:2] == (404, "AOS-4124")
    teams.terminate(team.id, "scribe")
    eventually(lambda: standing(aos, team, "scribe").state == "stopped")
    run = aos.client.runs.create(scribe, f"Fetch {aos.site.url('/')} and extract the title")
    teams.terminate(team.id, "scribe")  # again changes nothing
    one_run(aos, new_agent(aos))
    assert aos.client.runs.get(run.id).status == "pending", "whom a person has stopped stays so"
    teams.restart(team.id, "scribe")
    assert aos.client.runs.wait(run.id, timeout=60).status == "completed"
    teams.stop(team.id)
    eventually(lambda: teams.get(team.id).phase is None)
    assert refused(lambda: teams.restart(team.id, "scribe"))[:2] == (409, "AOS-4125")


def test_a_member_in_quarantine_is_released(aos: RunningAos, make: Make) -> None:
    scribe = new_agent(aos)
    once = {"restarts": 0, "period_s": 60, "for_s": 600}
    team = make(member("scribe", scribe), member("other", new_agent(aos)), quarantine=once)
    eventually(lambda: all_run(aos, team))
    for release in (
        lambda: aos.client.teams.release(team.id, "scribe"),
        lambda: aos.client.agents.release(scribe),
    ):
        kill(standing(aos, team, "scribe").pid or 0)
        eventually(lambda: standing(aos, team, "scribe").state == "quarantined")
        assert standing(aos, team, "scribe").until is not None
        assert standing(aos, team, "other").state == "running"
        release()
        eventually(lambda: standing(aos, team, "scribe").state == "running")


def test_services_end_as_they_end(aos: RunningAos, make: Make) -> None:
    team = make(
        {"id": "ferry", "service": "harbour:Ferry", "restart": "transient"},
        {"id": "quitter", "service": "harbour:Quitter", "restart": "temporary"},
        {"id": "wreck", "service": "harbour:Wreck", "restart": "temporary"},
        {
            "id": "hoarder",
            "service": "harbour:Hoarder",
            "restart": "temporary",
            "resources": {"memory": 2e8},
        },
        {"id": "moored", "service": "harbour:Moored"},
    )
    eventually(lambda: standing(aos, team, "moored").state == "running")
    for name in ("ferry", "quitter", "wreck", "hoarder"):
        eventually(lambda name=name: standing(aos, team, name).state == "stopped")
    ends = {
        name: next(e.detail for e in aos.client.supervision_events(child=name) if e.kind == "ended")
        for name in ("quitter", "wreck")
    }
    assert "it sank at its launch" in ends["wreck"]
    told = [e.reason for e in aos.client.supervision_events(child="hoarder") if e.kind == "ended"]
    assert told == ["out_of_memory"]
    assert aos.client.teams.get(team.id).state == "running"
    moored = standing(aos, team, "moored").pid
    kill(moored or 0)
    eventually(lambda: standing(aos, team, "moored").restarts == 1)
    eventually(lambda: standing(aos, team, "moored").pid not in (None, moored))


def test_user_code_that_keeps_its_loop_is_still_supervised(aos: RunningAos, make: Make) -> None:
    team = make({"id": "sleeper", "service": "harbour:Sleeper", "shutdown": 0.5})
    eventually(lambda: standing(aos, team, "sleeper").state == "running")
    pid = standing(aos, team, "sleeper").pid or 0
    with stopped(pid):
        pass  # a pause of the whole process, which nobody takes for an end
    assert standing(aos, team, "sleeper").pid == pid
    aos.client.teams.stop(team.id)
    eventually(lambda: not psutil.pid_exists(pid), seconds=10)
