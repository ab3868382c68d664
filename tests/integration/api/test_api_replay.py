"""Replay over HTTP, from Python and from the command line, against a real front."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from tests.support.api_front import Front
from tests.support.driving import World
from tests.support.runs import RUN, ok

from aos.actors.replay.trace import read_trace, verify_trace
from aos.actors.runs.submission import CODE_VERSION, insert_run
from aos.api.client import ApiError, AsyncAosClient
from aos.cluster.identity import DEFAULT_TENANT, Role
from aos.cluster.postgres import Database
from aos.skills.contracts import EffectState

LARGE = {"body": "tide " * 500}


@pytest.fixture
async def aos(front: Front) -> AsyncIterator[AsyncAosClient]:
    async with AsyncAosClient(front.url, await front.key()) as client:
        yield client


@pytest.fixture
async def world(database: Database, agent: UUID) -> World:
    """A finished run whose journal is in the database as it was written, large value and all."""
    world = World(
        {"id": "a", "skill": "look"},
        {"id": "b", "skill": "pay", "params": {"text": "{{a.body}}"}},
        answer="{{b}}", agent_id=str(agent), permissions=("money:spend",),
        code_version=CODE_VERSION,
    )  # fmt: skip
    world.replies |= {"a": [ok(LARGE, cost_microusd=9)], "b": [ok(7, effect=EffectState.DONE)]}
    await world.drive()
    async with database.transaction() as transaction:
        assert await insert_run(transaction, DEFAULT_TENANT, RUN, world.events)
        await transaction.execute(
            "UPDATE runs SET status = 'completed', finished_at = now(), code = 'OK'"
            " WHERE run_id = $1", RUN,
        )  # fmt: skip
        for digest, content in world.blobs.items():
            await transaction.execute(
                "INSERT INTO blobs (run_id, hash, tenant_id, content) VALUES ($1, $2, $3, $4)",
                RUN, digest, DEFAULT_TENANT, content,
            )  # fmt: skip
    return world


async def test_a_run_is_verified_and_driven_again(aos: AsyncAosClient, world: World) -> None:
    found = await aos.replays.verify(RUN)
    assert (found.holds, found.chain, found.unchecked) == (True, "intact", [])
    assert (found.events, found.status) == (len(world.rows), "completed")
    assert found.last_link == world.rows[-1].chain.hex()
    again = await aos.replays.mock(RUN)
    assert again.same
    assert again.recorded == found.signature
    assert again.cost_microusd == 9


async def test_what_if_names_what_it_would_call(aos: AsyncAosClient, world: World) -> None:
    found = await aos.replays.what_if(RUN, params={"b": {"text": "short"}})
    assert not found.same
    assert [(each.step_id, each.skill) for each in found.would_call] == [("b", "pay@1.0.0")]
    assert (await aos.replays.what_if(RUN, limits={"max_steps": 1})).code == "ERR_INVALID_PLAN"
    for wrong in ({"params": {"zz": {"x": 1}}}, {"limits": {"zz": 1}}, {}):
        with pytest.raises(ApiError) as refused:
            await aos.replays.what_if(RUN, **wrong)
        assert (refused.value.status, refused.value.code) == (422, "AOS-3033")


async def test_a_dry_run_says_what_is_not_installed(aos: AsyncAosClient, world: World) -> None:
    found = await aos.replays.dry_run(RUN)
    assert [each.step_id for each in found.steps] == ["plan", "a", "b"]
    assert "b: pay@1.0.0 is not installed" in found.problems


async def test_a_trace_needs_nothing_but_itself(aos: AsyncAosClient, world: World) -> None:
    taken = await aos.replays.trace(RUN)
    trace = read_trace(taken.trace)
    assert verify_trace(trace).holds
    assert (trace.run_id, trace.tenant) == (RUN, DEFAULT_TENANT)
    assert list(trace.values.values()) == [LARGE["body"]]


async def test_a_changed_row_is_named_and_the_run_is_still_shown(
    aos: AsyncAosClient, world: World, database: Database
) -> None:
    # What the owner of the database can do with the trigger out of the way.
    await database.execute("ALTER TABLE journal DISABLE TRIGGER ALL")
    await database.execute(
        "UPDATE journal SET body = replace(body::text, '\"attempt\":1', '\"attempt\":2')::json"
        " WHERE run_id = $1 AND seq = 4", RUN,
    )  # fmt: skip
    found = (await aos.replays.verify(RUN)).divergence
    assert found is not None
    assert (found.seq, found.cause) == (
        4, "the row, or its link, was changed after it was written",
    )  # fmt: skip


async def test_only_ones_own_runs_and_only_who_may(front: Front, world: World) -> None:
    async with AsyncAosClient(front.url, await front.key(tenant="other")) as other:
        for call in (other.replays.verify, other.replays.mock, other.replays.trace):
            with pytest.raises(ApiError) as refused:
                await call(RUN)
            assert (refused.value.status, refused.value.code) == (404, "AOS-3002")
    async with AsyncAosClient(front.url, await front.key(Role.VIEWER)) as viewer:
        assert (await viewer.replays.verify(RUN)).holds
        with pytest.raises(ApiError) as refused:
            await viewer.replays.trace(RUN)
        assert refused.value.status == 403


async def test_the_command_line(front: Front, world: World, tmp_path: Path) -> None:
    key = await front.key()
    home = tmp_path / "home"
    environment = os.environ | {"AOS_URL": front.url, "AOS_API_KEY": key, "AOS_HOME": str(home)}

    async def aos(*words: str) -> tuple[int, str]:
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "aos.api.cli.main", *words], env=environment,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    async def told(*words: str) -> Any:
        code, text = await aos(*words, "--json")
        assert code == 0, text
        return json.loads(text)

    run, file, report = str(RUN), tmp_path / "golden.jsonl", tmp_path / "report.json"
    assert (await told("runs", "verify", run))["holds"]
    assert (await told("replay", "mock", run))["same"]
    changed = await told("replay", "what-if", run, "--set", "b.text=x", "--limit", "max_rounds=3")
    assert changed["would_call"]
    assert (await aos("replay", "dry-run", run))[0] == 1
    assert (await told("replay", "certify", "--last", "5", "--report", str(report)))["same"] == 1
    assert json.loads(report.read_text())["differ"] == 0
    assert (await aos("runs", "trace", run, "-o", str(file), "--sign"))[0] == 0
    code, text = await aos("trace", "verify", str(file))
    assert (code, "signed by" in text) == (0, True), text
    public = str(home / "golden.pub")
    assert (await aos("replay", "certify", str(tmp_path), "--key", public))[0] == 0
    assert (home / "golden.key").stat().st_mode & 0o777 == 0o600
    file.write_text(file.read_text().replace("step_settled", "step_closed", 1))
    code, text = await aos("trace", "verify", str(file))
    assert (code, "seq        3" in text, "not as signed" in text) == (1, True, True), text
    assert (await aos("trace", "sign", str(file)))[0] == 2
    assert (await aos("replay", "certify", str(tmp_path)))[0] == 1
    (home / "golden.key").chmod(0o644)
    code, text = await aos("trace", "sign", str(file))
    assert "AOS-303" in text
