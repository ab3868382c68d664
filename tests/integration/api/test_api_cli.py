"""The command line against a real front: what it prints and what scripts read from it."""

from __future__ import annotations

import json
import signal
from uuid import UUID

import pytest
from tests.support.api_front import Front, Submit
from tests.support.command_line import Cli, cli_of

from aos.actors.runs.events import RunStatus
from aos.cluster.identity import Role
from aos.supervisors.supervisor import RequestRefused


@pytest.fixture
async def cli(front: Front) -> Cli:
    """As on the machine of `aos up`."""
    return await cli_of(front)


async def test_agents_are_created_listed_and_shown(cli: Cli) -> None:
    created = await cli(
        "agent", "create", "reader", "--description", "reads", "--planner", "rules",
        "--skill", "http_call", "--skill", "html_extract", "--json",
    )  # fmt: skip
    assert created.code == 0, created.err
    profile = json.loads(created.out)["profile"]
    assert (profile["planner"]["name"], profile["skills"]) == (
        "rules", ["http_call", "html_extract"],
    )  # fmt: skip
    listed = await cli("agent", "ls")
    assert "reader" in listed.out
    shown = await cli("agent", "show", "reader")
    assert "http_call, html_extract" in shown.out
    again = await cli("agent", "create", "reader")
    assert (again.code, again.out) == (4, "")
    assert again.err.startswith("error AOS-3102: ")
    assert "\nnext: " in again.err


async def test_an_agent_from_a_file(cli: Cli, front: Front) -> None:
    file = front.home / "profile.json"
    file.write_text('{"name": "other", "description": "from a file", "limits": {"max_steps": 7}}')
    made = await cli("agent", "create", "mine", "--file", str(file), "--json")
    profile = json.loads(made.out)["profile"]
    assert (profile["name"], profile["description"]) == ("mine", "from a file")
    assert profile["limits"]["max_steps"] == 7
    file.write_text('{"name": "Not A Name"}')
    wrong = await cli("agent", "create", "mine", "--file", str(file))
    assert (wrong.code, "AOS-1109" in wrong.err) == (2, True)


async def test_a_watched_run_prints_each_event_and_the_report(cli: Cli, submit: Submit) -> None:
    journal = await submit("see this")
    watching = await cli.start("runs", "watch", str(journal.run_id))
    assert watching.stdout is not None
    assert b"accepted for researcher" in await watching.stdout.readline()
    await journal.started()
    await journal.planned("fetch")
    await journal.settled("fetch", code="ERR_HTTP_503", message="busy")
    await journal.settled("fetch", attempt=2)
    await journal.finished("what was asked for")
    out = (await watching.communicate())[0].decode()
    assert watching.returncode == 0
    assert "→ fetch (http_call)" in out
    assert "http_call@1.0.0  ERR_HTTP_503" in out
    assert "attempt 2" in out
    assert "what was asked for" in out.split("Answer")[1]


async def test_a_run_that_fails_has_another_exit_code(cli: Cli, submit: Submit) -> None:
    journal = await submit()
    await journal.started()
    await journal.planned()
    await journal.finished(None, RunStatus.FAILED)
    said = await cli("runs", "watch", str(journal.run_id), "--json")
    assert said.code == 1
    *events, run = [json.loads(line) for line in said.out.splitlines()]
    assert [event["seq"] for event in events] == [1, 2, 3, 4]
    assert run["status"] == "failed"
    shown = await cli("runs", "show", str(journal.run_id))
    assert (shown.code, "failed ERR_INTERNAL" in shown.out) == (0, True)


async def test_interrupting_a_watch_lets_the_run_go_on(cli: Cli, front: Front, agent: UUID) -> None:
    process = await cli.start("run", "x", "--agent", "researcher", "--watch")
    assert process.stdout is not None
    accepted = (await process.stdout.readline()).decode()
    await process.stdout.readline()  # the first event: the stream is open
    process.send_signal(signal.SIGINT)
    err = (await process.communicate())[1].decode()
    run_id = accepted.split()[1]
    assert process.returncode == 130
    assert "the run goes on" in err
    assert f"aos runs watch {run_id}" in err
    http = await front.client()
    assert (await http.get(f"/api/v1/runs/{run_id}")).json()["status"] == "pending"


async def test_submitting_twice_with_a_key_is_one_run(cli: Cli, agent: UUID) -> None:
    command = ("run", "do it", "--agent", "researcher", "--idempotency-key", "k", "--json")
    first, again = [json.loads((await cli(*command)).out)["id"] for _ in range(2)]
    assert first == again
    listed = json.loads((await cli("runs", "ls", "--json")).out)
    assert [run["id"] for run in listed["items"]] == [first]
    assert first in (await cli("runs", "ls", "--status", "pending")).out
    plain = await cli("run", "do it", "--agent", "researcher")
    assert "next: aos runs watch" in plain.out


async def test_refusals_and_usage_have_their_exit_codes(
    cli: Cli, front: Front, agent: UUID
) -> None:
    unknown = await cli("run", "x", "--agent", "nobody")
    assert (unknown.code, "AOS-3101" in unknown.err) == (4, True)
    too_long = await cli("run", "x" * 10_001, "--agent", "researcher")
    assert (too_long.code, "goal: " in too_long.err) == (4, True)
    assert (await cli("run", "x")).code == 2
    assert (await cli("fly")).code == 2
    viewer = Cli({**cli.environment, "AOS_API_KEY": await front.key(Role.VIEWER)})
    refused = await viewer("run", "x", "--agent", "researcher")
    assert (refused.code, "AOS-2003" in refused.err) == (4, True)


async def test_status_shows_the_tree(cli: Cli, front: Front) -> None:
    front.bell.shown = {
        "id": "root", "state": "running", "pid": 7, "children": [
            {"id": "agents", "state": "running", "pid": 8, "restarts": 2, "children": []},
        ],
    }  # fmt: skip
    said = await cli("status")
    assert said.code == 0
    assert "agents  running  process 8  2 restarts" in said.out
    assert "aos tree events" in said.out
    assert json.loads((await cli("status", "--json")).out)["tree"]["pid"] == 7


async def test_what_is_no_run_id_is_told_so(cli: Cli) -> None:
    for verb in ("show", "watch"):
        said = await cli("runs", verb, "nothing")
        assert (said.code, said.out) == (4, "")
        assert "error AOS-1111: 'nothing' is not the id of a run" in said.err
        assert "next: List the runs with their ids: `aos runs ls`." in said.err


async def test_the_tree_and_its_events(cli: Cli, front: Front, agent: UUID) -> None:
    front.bell.shown = {"id": "root", "state": "running", "pid": 7, "children": [
        {"id": "agents", "state": "running", "children": [
            {"id": str(agent), "state": "waiting", "waits_for": "needs GPU 1"},
        ]},
    ]}  # fmt: skip
    assert "researcher  waiting  needs GPU 1" in (await cli("tree")).out
    assert json.loads((await cli("tree", "--json")).out)["children"][0]["id"] == "agents"
    await front.database.execute(
        "INSERT INTO supervision_events (at, tenant_id, supervisor, child, kind, reason)"
        " VALUES (now() - interval '2 hours', 'default', 'agents', $1, 'pending', 'no_capacity')",
        str(agent),
    )
    said = await cli("tree", "events", "researcher")
    assert said.out.startswith("researcher waits: needs GPU 1.")
    assert "no_capacity" in said.out
    for window, events in (("1h", 0), ("3h", 1), ("2026-01-01", 1)):
        found = await cli("tree", "events", "--since", window, "--json")
        assert len(json.loads(found.out)["items"]) == events, window
    assert (await cli("tree", "events", "--kind", "started")).out == "no events\n"
    for wrong, code, word in (
        (("--since", "soon"), 2, "10m"), (("nobody",), 4, "AOS-1110"), (("--cursor", "x"), 4, ""),
    ):  # fmt: skip
        refused = await cli("tree", "events", *wrong)
        assert (refused.code, word in refused.err + refused.out) == (code, True), wrong


async def test_an_agent_is_released(cli: Cli, front: Front, agent: UUID) -> None:
    said = await cli("agent", "release", "researcher")
    assert said.code == 0
    assert "agent researcher is released" in said.out
    assert "aos tree events researcher" in said.out
    assert front.bell.released == [("default", agent)]
    front.bell.refusal = RequestRefused("not_quarantined: it runs", why="not_quarantined")
    refused = await cli("agent", "release", "researcher")
    assert (refused.code, refused.out) == (4, "")
    assert "error AOS-4102: not_quarantined" in refused.err
    assert "next: Look with `aos tree`" in refused.err


async def test_doctor_finds_a_front_that_answers_and_one_that_does_not(
    cli: Cli, front: Front
) -> None:
    checks = {check["name"]: check for check in json.loads((await cli("doctor", "--json")).out)}
    assert checks["http"]["level"] == "ok"
    (front.home / "credentials").chmod(0o644)
    (front.home / "credentials").write_text('{"api_key": "aos_old"}')
    said = await cli("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(said.out)}
    assert said.code == 1
    assert (checks["http"]["level"], checks["home"]["level"]) == ("fail", "fail")
    assert "chmod 600" in checks["home"]["next_action"]


async def test_nothing_there(cli: Cli, front: Front) -> None:
    await front.served.stop()
    for command in (("run", "x", "--agent", "researcher"), ("status",), ("agent", "ls")):
        said = await cli(*command)
        assert (said.code, said.out) == (3, "")
        assert "error AOS-6102: nothing listens" in said.err
        assert "next: Start it with `aos up`" in said.err
