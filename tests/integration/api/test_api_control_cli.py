"""Control on the command line and through both SDKs, against a real front."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.integration.api.test_api_cli import cli  # noqa: F401 - a fixture
from tests.integration.api.test_api_control import planned, step
from tests.integration.api.test_api_derived import ended
from tests.support.api_front import Front, Submit
from tests.support.command_line import Cli

from aos.actors.runs.events import RunStatus
from aos.api.client import AosClient, ApiError, AsyncAosClient
from aos.cluster.identity import Role
from aos.skills.contracts import Effects

PROGRAM = "async def agent(ctx, goal):\n    return goal\n"


async def test_a_run_is_controlled(cli: Cli, submit: Submit) -> None:  # noqa: F811
    journal = await submit()
    run = str(journal.run_id)
    await journal.started()
    await planned(journal, step("pay", "pay", effects=Effects.UNSAFE), step("a"))
    await journal.in_doubt("pay")
    for number, words in enumerate(
        (
            ["signal", run, "go", '{"a": 1}'],
            ["signal", run, "go", "plain words"],
            ["pause", run, "lunch"],
            ["continue", run],
            ["resolve", run, "pay", "did-not-happen", "--reason", "asked the bank"],
            ["repair", run, "a", "set-result", "--output", "7"],
            ["cancel", run, "enough"],
        ),
        1,
    ):
        said = await cli("runs", *words, "--json")
        assert (said.code, said.err) == (0, ""), words
        assert json.loads(said.out)["number"] == number
    low = await cli("runs", "priority", run, "-7")
    assert (low.code, low.out.split()[:2]) == (0, ["priority:", "run"])
    refused = await cli("runs", "decide", run, "a", "yes")
    assert refused.code == 4
    assert "AOS-3011" in refused.err
    why = await cli("runs", "why", run)
    assert (why.code, "running" in why.out) == (0, True)
    pending = await cli("runs", "pending")
    assert run in pending.out


async def test_runs_are_made_of_runs(cli: Cli, submit: Submit) -> None:  # noqa: F811
    journal = await submit()
    run = str(journal.run_id)
    await ended(journal, RunStatus.QUARANTINED)
    made = await cli("runs", "fork", run, "b", "--params", '{"url": "x"}', "--json")
    assert json.loads(made.out)["derived_how"] == "fork"
    wrong = await cli("runs", "fork", run, "b", "--params", "[1]")
    assert (wrong.code, "AOS-1121" in wrong.err) == (2, True)
    said = await cli("runs", "rerun", run)
    assert f"rerun of {run}" in said.out
    said = await cli("runs", "repair", run, "b", "skip")
    assert f"goes on for {run}" in said.out
    listed = await cli("dead", "ls")
    assert run in listed.out
    assert "AOS-" not in (await cli("dead", "show", run)).err
    assert (await cli("dead", "requeue", run)).code == 0
    again = await cli("dead", "discard", run)
    assert (again.code, "AOS-3015" in again.err) == (4, True)
    assert (await cli("runs", "children", run)).out.strip() == "no runs"


async def test_everything_is_stopped_and_goes_on(cli: Cli) -> None:  # noqa: F811
    assert "no emergency stop" in (await cli("stop", "show")).out
    stopped = await cli("stop", "--everyone", "the bank is on fire")
    assert (stopped.code, "for everyone: the bank is on fire" in stopped.out) == (0, True)
    assert (await cli("stop", "lift")).code == 4
    assert "0 runs go on" in (await cli("stop", "lift", "--everyone")).out


async def test_a_program_is_uploaded_and_run(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    file = tmp_path / "Echo It.py"
    file.write_text(PROGRAM)
    for _ in range(2):
        said = await cli("run", "--program", f"{file}:agent", "--json")
        assert said.code == 0, said.err
        run = json.loads(said.out)
        assert (run["agent"], run["program"], run["goal"]) == ("echo-it", "echo-it", "run echo-it")
    named = await cli("run", "say it", "--program", "echo-it", "--json")
    assert json.loads(named.out)["goal"] == "say it"
    for words in (["x"], ["--program", str(file)], ["--program", "nowhere.py:agent"]):
        wrong = await cli("run", *words)
        assert (wrong.code, "error AOS-112" in wrong.err) == (2, True), wrong.err


async def test_both_clients_have_the_same_control(front: Front, submit: Submit) -> None:
    journal = await submit()
    key = await front.key(Role.ADMIN)
    async with AsyncAosClient(front.url, key) as aos:
        said = await aos.runs.signal(journal.run_id, "go", {"a": 1}, key="k")
        assert (await aos.runs.signal(journal.run_id, "go", {"a": 1}, key="k")) == said
        assert (await aos.runs.pause(journal.run_id)).number == 2
        assert (await aos.runs.resume(journal.run_id)).number == 3
        assert (await aos.runs.why(journal.run_id)).eligible
        await ended(journal)
        fork = await aos.runs.fork(journal.run_id, "b", overrides={"b": {"x": 1}})
        assert fork.derived_from == journal.run_id
        with pytest.raises(ApiError, match="AOS-3010"):
            await aos.runs.cancel(journal.run_id)
        assert (await aos.emergency_stop.begin("fire")).stops[0].reason == "fire"
        assert (await aos.emergency_stop.lift()).stops == []
        made = await aos.programs.keep("echo", "agent", PROGRAM)
        assert (await aos.programs.list()).items == [made]


def test_the_clients_have_the_same_methods() -> None:
    for name in ("runs", "dead_letters", "emergency_stop", "programs"):
        sync = AosClient("http://127.0.0.1:1", "aos_x")
        asynchronous = AsyncAosClient("http://127.0.0.1:1", "aos_x")
        ours, theirs = (
            {each for each in dir(getattr(client, name)) if not each.startswith("_")}
            for client in (sync, asynchronous)
        )
        assert ours == theirs
        sync.close()
