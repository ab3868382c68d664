"""kill -9 at each step: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from pathlib import Path
from uuid import UUID

import pytest
from tests.support import removing
from tests.support.old_runs import insert_runs, make_week
from tests.support.retained import append, nothing, retention, rows_of, tables

from aos.actors.retention.reading import read_archive
from aos.actors.retention.store import RetentionStore
from aos.cluster import faults
from aos.cluster.postgres import Database, Row

POINTS = [name for name in faults.POINTS if name.startswith("retention.")]
TENANTS = ("default", "others")


async def killed(database_url: str, point: str, fault: str, tmp_path: Path) -> None:
    """A process that removes, and dies at a point."""
    armed = tmp_path / "faults"
    armed.mkdir()
    faults.arm(armed, point, fault)
    process = await asyncio.create_subprocess_exec(
        sys.executable, removing.__file__, database_url, str(tmp_path / "archive"),
        env={**os.environ, "AOS_FAULTS_DIR": str(armed)}, stdin=asyncio.subprocess.PIPE,
    )  # fmt: skip
    await process.communicate(b"30\n")
    assert process.returncode == -9
    assert faults.fired(armed, point)


@pytest.mark.parametrize(
    ("point", "fault"), [*((point, "kill") for point in POINTS), ("retention.written", "kill@2")]
)
async def test_a_process_dies_at(
    database: Database, database_url: str, tmp_path: Path, point: str, fault: str
) -> None:
    await database.execute("INSERT INTO tenants (tenant_id) VALUES ('others')")
    old = await make_week(database, 20)
    runs = {
        tenant: await insert_runs(database, old.monday, 250, tenant=tenant, first=number * 1_000)
        for number, tenant in enumerate(TENANTS)
    }
    gone = [run for of_tenant in runs.values() for run in of_tenant]
    stays = await insert_runs(database, old.monday, 3, finished=False, first=9_000)
    await append(database, stays[0], 9)
    before = await rows_of(database, stays)
    everything = await rows_of(database, gone)

    await killed(database_url, point, fault, tmp_path)
    assert await rows_of(database, stays) == before, "what stays is never away"
    left = await rows_of(database, gone)
    assert left["runs"] in ([], everything["runs"]), "all or nothing"
    if not left["runs"]:
        assert nothing(left)
    for key in left["idempotency_keys"]:
        assert left["runs"], key

    await retention(database, archive=tmp_path / "archive").round()
    assert await rows_of(database, stays) == before
    assert nothing(await rows_of(database, gone))
    assert not {name for name in await tables(database) if "gone" in name or "kept" in name}
    store = RetentionStore(database)
    assert len(await store.last_removals(10)) == 1
    assert_archived(await store.archives(None, None, 10), runs, tmp_path / "archive")


def assert_archived(archives: list[Row], runs: dict[str, list[UUID]], directory: Path) -> None:
    """One whole file per tenant, and each run in it once, with its whole journal."""
    assert sorted(row["tenant_id"] for row in archives) == sorted(TENANTS)
    assert [row["state"] for row in archives] == ["removed", "removed"]
    files = {path for path in directory.rglob("*") if path.is_file()}
    assert files == {Path(row["path"]) for row in archives}, "no half file is left"
    for row in archives:
        path = Path(row["path"])
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        found = list(read_archive(path))
        assert [run.run_id for run in found] == [str(run) for run in runs[row["tenant_id"]]]
        events = sum(len(run.events) for run in found)
        assert (row["runs"], row["events"]) == (250, events) == (250, 9 * 250)
