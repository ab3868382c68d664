"""Retention over HTTP: who sees and may do what; what is gone is answered like what never was."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.api_front import Front, make_front
from tests.support.command_line import cli_of
from tests.support.old_runs import insert_runs, make_week
from tests.support.retained import retention

from aos.cluster.identity import Role
from aos.cluster.postgres import Database

RETENTION, RUNS = "/api/v1/retention", "/api/v1/runs"


@pytest.fixture
async def keeping(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[Front]:
    """A front of an AOS that keeps runs for thirty days."""
    settings: dict[str, Any] = {"retention_days": 30, "retention_archive": str(tmp_path / "old")}
    front = await make_front(database, database_url, tmp_path, **settings)
    try:
        yield front
    finally:
        await front.close()


async def test_without_a_policy_runs_are_kept_for_ever(front: Front) -> None:
    admin = await front.client(Role.ADMIN)
    shown = (await admin.get(RETENTION)).json()
    assert (shown["days"], shown["archive"], shown["ended_before"]) == (None, None, None)
    assert shown["parts"] == []
    refused = await admin.post(f"{RETENTION}/run")
    assert (refused.status_code, refused.json()["code"]) == (409, "AOS-5103")
    assert "AOS_RETENTION_DAYS" in refused.json()["next_action"]
    assert front.bell.retained == 0


async def test_what_goes_is_shown_before_it_goes(keeping: Front, database: Database) -> None:
    old = await make_week(database, 20)
    await insert_runs(database, old.monday, 12)
    admin = await keeping.client(Role.ADMIN)
    dry = await admin.post(f"{RETENTION}/run", params={"dry_run": True})
    assert dry.status_code == 202
    assert not dry.json()["begun"]
    assert keeping.bell.retained == 0
    going = [part for part in dry.json()["parts"] if part["verdict"] == "remove"]
    assert [(p["part"], p["runs"], p["removable"]) for p in going] == [(old.name, 12, 12)]
    assert (await admin.get(RETENTION)).json() | {"ended_before": 0} == dry.json() | {
        "ended_before": 0
    }
    asked = await admin.post(f"{RETENTION}/run")
    assert (asked.status_code, asked.json()["begun"]) == (202, True)
    assert keeping.bell.retained == 1


@pytest.mark.parametrize(
    ("role", "tenant"),
    [(Role.VIEWER, "default"), (Role.OPERATOR, "default"), (Role.ADMIN, "others")],
)
async def test_partitions_are_the_platforms(keeping: Front, role: Role, tenant: str) -> None:
    http = await keeping.client(role, tenant)
    shown = (await http.get(RETENTION)).json()
    assert shown["days"] == 30
    assert (shown["archive"], shown["parts"], shown["removals"]) == (None, None, None)
    refused = await http.post(f"{RETENTION}/run", params={"dry_run": True})
    assert (refused.status_code, refused.json()["code"]) == (403, "AOS-2003")


async def test_archives_are_listed_to_those_whose_runs_are_in_them(
    keeping: Front, database: Database, tmp_path: Path
) -> None:
    ours, theirs = await keeping.client(Role.ADMIN), await keeping.client(tenant="others")
    for weeks_ago in (20, 21, 22):
        old = await make_week(database, weeks_ago)
        for number, tenant in enumerate(("default", "others")):
            await insert_runs(database, old.monday, 5, tenant=tenant, first=100 * number)
    assert await retention(database, archive=tmp_path / "old").round() == 30
    seen, params = list[dict[str, Any]](), {"limit": "2"}
    for _ in range(3):
        page = (await ours.get(f"{RETENTION}/archives", params=params)).json()
        seen += page["items"]
        params["cursor"] = page["next_cursor"]
    assert page["next_cursor"] is None
    assert [each["id"] for each in seen] == sorted((each["id"] for each in seen), reverse=True)
    assert len(seen) == 6
    assert all(each["path"].startswith(str(tmp_path)) for each in seen)
    others = (await theirs.get(f"{RETENTION}/archives")).json()["items"]
    assert [(each["tenant"], each["path"], each["runs"]) for each in others] == [
        ("others", None, 5)
    ] * 3
    removals = (await ours.get(RETENTION)).json()["removals"]
    assert [(each["state"], each["runs"]) for each in removals] == [("removed", 10)] * 3


async def test_a_run_that_is_gone_is_answered_like_one_that_never_was(
    keeping: Front, database: Database
) -> None:
    old = await make_week(database, 20)
    runs = await insert_runs(database, old.monday, 2)
    http = await keeping.client()
    assert (await http.get(f"{RUNS}/{runs[0]}/history")).status_code == 200
    await retention(database).round()
    for path in ("", "/history", "/export", "/events"):
        response: httpx.Response = await http.get(f"{RUNS}/{runs[0]}{path}")
        assert (response.status_code, response.json()["code"]) == (404, "AOS-3002"), path
    assert (await http.get(RUNS)).json()["items"] == []


async def test_a_key_of_a_run_that_is_gone_may_be_used_again(
    keeping: Front, database: Database
) -> None:
    http = await keeping.client()
    await http.post("/api/v1/agents", json={"name": "researcher"})
    old = await make_week(database, 20)
    (gone,) = await insert_runs(database, old.monday, 1)
    key, body = {"Idempotency-Key": f"key-{gone}"}, {"agent": "researcher", "goal": "new"}
    before = await http.post(RUNS, json=body, headers=key)
    assert (before.status_code, before.json()["code"]) == (409, "AOS-3003")
    await retention(database).round()
    after = await http.post(RUNS, json=body, headers=key)
    assert after.status_code == 202
    assert "idempotent-replayed" not in after.headers
    assert after.json()["id"] != str(gone)


async def test_the_command_line(front: Front, database: Database, tmp_path: Path) -> None:
    cli = await cli_of(front)
    assert "kept for ever" in (await cli("retention", "show")).out
    refused = await cli("retention", "run")
    assert (refused.code, refused.out) == (4, "")
    assert "AOS-5103" in refused.err
    assert (await cli("retention", "ls")).out.strip() == "no archives"
    old = await make_week(database, 20)
    runs = await insert_runs(database, old.monday, 3)
    await retention(database, archive=tmp_path / "old").round()
    listed = await cli("retention", "ls")
    path = tmp_path / "old" / "default" / f"{old.name}-1.jsonl.gz"
    assert str(path) in listed.out
    whole = await cli("retention", "read", str(path))
    assert whole.out.strip() == (
        f"whole: 3 runs of default, week {old.name}, 27 events, 0 large values"
    )
    assert json.loads((await cli("retention", "read", str(path), "--json")).out)["events"] == 27
    found = await cli("retention", "read", str(path), "--run", str(runs[1]))
    lines = [json.loads(line) for line in found.out.splitlines()]
    assert lines[0]["run"]["run_id"] == str(runs[1])
    assert [line["event"]["seq"] for line in lines[1:]] == list(range(1, 10))
    lacking = await cli("retention", "read", str(path), "--run", "nobody")
    assert (lacking.code, "AOS-1130" in lacking.err) == (2, True)
    await asyncio.to_thread(path.write_bytes, b"not an archive")
    damaged = await cli("retention", "read", str(path))
    assert (damaged.code, "AOS-5101" in damaged.err) == (1, True)


async def test_the_command_line_of_an_aos_that_keeps_for_thirty_days(
    keeping: Front, database: Database
) -> None:
    aos = await cli_of(keeping)
    old = await make_week(database, 20)
    await insert_runs(database, old.monday, 12)
    shown = (await aos("retention", "show")).out
    assert "30 days after their end" in shown
    assert "goes in the next round" in shown
    assert "12 runs would go into" in (await aos("retention", "run", "--dry-run")).out
    assert "12 runs go into" in (await aos("retention", "run")).out
    assert keeping.bell.retained == 1
    await retention(database).round()
    assert "nothing is old enough to go" in (await aos("retention", "run")).out
    assert old.name in (await aos("retention", "show")).out
