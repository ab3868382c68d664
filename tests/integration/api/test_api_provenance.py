"""Where a run's result comes from, over HTTP, from the SDK and from the command line."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
from pathlib import Path

import httpx
import pytest
from tests.support.api_front import Front, Journal, Submit, usage
from tests.support.command_line import cli_of

from aos.actors.runs.events import RunStatus
from aos.api.client import ApiError, AsyncAosClient
from aos.cluster.identity import Role
from aos.cluster.postgres import Database
from aos.supervisors.state import Report
from aos.supervisors.store import EventRecorder

RUNS = "/api/v1/runs"


@pytest.fixture
async def told(submit: Submit, database: Database) -> Journal:
    """A run with everything in it: a failed attempt, a denial, a restart that is explained."""
    journal = await submit()
    await journal.started()
    await journal.planned("fetch", "pay")
    await journal.settled("fetch", code="ERR_HTTP_503", duration_ms=30)
    recorder = EventRecorder(database)
    writing = asyncio.create_task(recorder.run())
    report = Report(str(journal.agent_id), "ended", "out_of_memory", "over 512 MiB")
    recorder.record("agents", report, epoch=journal.epoch)
    while not await database.fetch_value("SELECT count(*) FROM supervision_events"):
        assert not writing.done()
    writing.cancel()
    await journal.take_over()
    await journal.resumed()
    await journal.settled("fetch", "=1+1", attempt=2, cost_microusd=7, usage=(usage(),))
    await journal.settled("pay", code="ERR_PERMISSION_DENIED", message="=not yours")
    await journal.finished(status=RunStatus.FAILED)
    return journal


async def test_a_history_has_everything_with_its_reasons(
    http: httpx.AsyncClient, told: Journal
) -> None:
    found = (await http.get(f"{RUNS}/{told.run_id}/history")).json()
    assert [each["status"] for each in found["status"]] == [
        "pending", "running", "running", "failed",
    ]  # fmt: skip
    assert [each["step"] for each in found["plan"]] == ["fetch", "pay"]
    assert [(each["step"], each["attempt"], each["code"]) for each in found["attempts"]] == [
        ("plan", 1, "OK"),
        ("fetch", 1, "ERR_HTTP_503"),
        ("fetch", 2, "OK"),
        ("pay", 1, "ERR_PERMISSION_DENIED"),
    ]
    assert found["attempts"][2]["cost_microusd"] == 7
    assert found["attempts"][2]["idempotency_key"] == f"{told.run_id}/fetch/1"
    assert [(each["step"], each["message"]) for each in found["denials"]] == [("pay", "=not yours")]
    (restart,) = found["restarts"]
    assert (restart["before"], restart["epoch"]) == (1, 2)
    assert (restart["reason"], restart["detail"]) == ("out_of_memory", "over 512 MiB")


async def test_exports_are_streamed_with_a_name(http: httpx.AsyncClient, told: Journal) -> None:
    url = f"{RUNS}/{told.run_id}/export"
    lines = await http.get(url)
    assert lines.headers["content-type"] == "application/jsonl"
    assert f"run-{told.run_id}.jsonl" in lines.headers["content-disposition"]
    records = [json.loads(line) for line in lines.text.splitlines()]
    table = await http.get(url, params={"format": "csv"})
    assert table.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(table.text, newline="")))
    assert [row["record"] for row in rows] == [record["record"] for record in records]
    assert {"status", "plan", "attempt", "denial", "restart"} <= {row["record"] for row in rows}
    denial = next(row for row in rows if row["record"] == "denial")
    assert denial["message"] == "'=not yours"
    wrong = await http.get(url, params={"format": "xls"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "AOS-1101")


async def test_another_tenants_history_is_answered_like_none(front: Front, told: Journal) -> None:
    theirs = await front.client(Role.ADMIN, tenant="others")
    for path in ("history", "export"):
        response = await theirs.get(f"{RUNS}/{told.run_id}/{path}")
        assert (response.status_code, response.json()["code"]) == (404, "AOS-3002")
        assert (await theirs.get(f"{RUNS}/nonsense/{path}")).json()["code"] == "AOS-1111"


async def test_a_long_history_is_read_page_by_page(
    http: httpx.AsyncClient, submit: Submit, database: Database
) -> None:
    journal = await submit()
    await database.execute(
        "INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body) "
        "SELECT $1, n, 'default', 0, 'of_the_future', 9, now(), '[]' "
        "FROM generate_series(2, 2000) n",
        journal.run_id,
    )
    await database.execute("UPDATE runs SET last_seq = 1990 WHERE run_id = $1", journal.run_id)
    text = (await http.get(f"{RUNS}/{journal.run_id}/export")).text
    assert [json.loads(line)["seq"] for line in text.splitlines()] == list(range(1, 1991))


async def test_the_sdk_has_it(front: Front, told: Journal, tmp_path: Path) -> None:
    async with AsyncAosClient(front.url, await front.key(Role.VIEWER)) as aos:
        found = await aos.runs.history(told.run_id)
        assert found.restarts[0].reason == "out_of_memory"
        data = b"".join([piece async for piece in aos.runs.export(told.run_id, "csv")])
        assert data.startswith(b"run_id,record,")
        with pytest.raises(ApiError, match="AOS-3002"):
            async for _ in aos.runs.export(told.agent_id):
                pass
        assert (await aos.retention.show()).days is None


async def test_the_command_line(front: Front, told: Journal, tmp_path: Path) -> None:
    aos = await cli_of(front)
    shown = await aos("runs", "history", str(told.run_id))
    assert shown.code == 0, shown.err
    for word in ("out_of_memory", "ERR_PERMISSION_DENIED", "http_call@1.0.0", "accepted"):
        assert word in shown.out
    as_json = json.loads((await aos("runs", "history", str(told.run_id), "--json")).out)
    assert len(as_json["attempts"]) == 4
    lines = (await aos("runs", "export", str(told.run_id))).out.splitlines()
    assert {json.loads(line)["run_id"] for line in lines} == {str(told.run_id)}
    file = tmp_path / "run.csv"
    wrote = await aos("runs", "export", str(told.run_id), "--format", "csv", "--output", str(file))
    assert (wrote.code, wrote.out) == (0, "")
    assert len(file.read_text().splitlines()) == len(lines) + 1
    gone = await aos("runs", "export", str(told.agent_id), "--output", str(tmp_path / "no.jsonl"))
    assert (gone.code, "AOS-3002" in gone.err) == (4, True)
    left = await asyncio.to_thread(os.listdir, tmp_path)
    assert [name for name in left if "run.csv" in name or "no.jsonl" in name] == ["run.csv"]
