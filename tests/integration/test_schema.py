"""The schema is tested, not believed: every query prepares, every CHECK has its violation."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest

from aos.cluster.ids import new_id
from aos.cluster.postgres import ConstraintViolation, Database, Queries

ROOT = Path(__file__).parents[2]
FILES = sorted(
    path
    for folder in ("cluster", "skills", "actors", "supervisors", "api")
    for path in (ROOT / folder).rglob("*.sql")
    if "migrations" not in path.parts
)


def every_query() -> list[tuple[Path, str]]:
    return [(path, name) for path in FILES for name in Queries.load(path).names]


each_query = pytest.mark.parametrize(
    ("path", "name"), every_query(), ids=lambda part: getattr(part, "name", part)
)


def test_there_are_queries() -> None:
    assert len(FILES) >= 4


@pytest.mark.parametrize(
    ("path", "name"), every_query(), ids=lambda part: getattr(part, "name", part)
)
async def test_a_query_prepares(database: Database, path: Path, name: str) -> None:
    statement = Queries.load(path)[name]
    async with database.transaction() as transaction:
        await transaction.execute(f"PREPARE under_test AS {statement}")
        await transaction.execute("DEALLOCATE under_test")


@pytest.mark.parametrize(
    ("path", "name"), every_query(), ids=lambda part: getattr(part, "name", part)
)
def test_a_query_is_used(path: Path, name: str) -> None:
    source = "\n".join(file.read_text() for file in path.parent.rglob("*.py"))
    assert re.search(rf"QUERIES(\.{name}\b|\[\"{name}\"\])", source), f"{name} is used nowhere"


RUN = (
    "INSERT INTO runs (run_id, tenant_id, agent_id, root_run_id, goal, planner, trace_id, "
    "code_version, last_seq, status, finished_at) "
    "VALUES ($1, 'default', $1, $1, 'g', 'rules', 't', 'v', 1, {status}, {finished})"
)
VIOLATIONS = {
    "number_counts_from_one": (
        "INSERT INTO inbox (run_id, number, tenant_id, kind, body) "
        "VALUES (gen_random_uuid(), 0, 'default', 'signal', '{}')",
        (),
    ),
    "chain_is_sha256": (
        "INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body, chain) "
        "VALUES (gen_random_uuid(), 1, 'default', 0, 'k', 1, now(), '{}', 'short')",
        (),
    ),
    "program_hash_is_sha256": (
        "INSERT INTO programs (tenant_id, hash, name, entry, source) "
        "VALUES ('default', 'sha256:x', 'n', 'e', 's')",
        (),
    ),
    "tenant_id_form": ("INSERT INTO tenants (tenant_id) VALUES ('Not A Tenant')", ()),
    "secret_hash_is_sha256": (
        "INSERT INTO api_keys (key_id, tenant_id, secret_hash, role, name) "
        "VALUES ('k', 'default', 'short', 'admin', 'n')",
        (),
    ),
    "key_role": (
        "INSERT INTO api_keys (key_id, tenant_id, secret_hash, role, name) "
        "VALUES ('k', 'default', sha256('x'), 'emperor', 'n')",
        (),
    ),
    "epoch_counts_from_zero": (
        "INSERT INTO activations (agent_id, tenant_id, epoch, state) "
        "VALUES ($1, 'default', -1, 'passive')",
        (uuid4(),),
    ),
    "activation_state": (
        "INSERT INTO activations (agent_id, tenant_id, epoch, state) "
        "VALUES ($1, 'default', 1, 'asleep')",
        (uuid4(),),
    ),
    "active_has_host": (
        "INSERT INTO activations (agent_id, tenant_id, epoch, state) "
        "VALUES ($1, 'default', 1, 'active')",
        (uuid4(),),
    ),
    "run_status": (RUN.format(status="'odd'", finished="NULL"), (new_id(),)),
    "finished_runs_have_a_time": (RUN.format(status="'failed'", finished="NULL"), (new_id(),)),
    "seq_counts_from_one": (
        "INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body) "
        "VALUES ($1, 0, 'default', 0, 'k', 1, now(), '{}')",
        (new_id(),),
    ),
    "hash_is_sha256": (
        "INSERT INTO blobs (run_id, hash, tenant_id, content) VALUES ($1, 'md5:1', 'default', '')",
        (new_id(),),
    ),
    "host_state": (
        "INSERT INTO hosts (host, node_id, pid, state, lease_until) "
        "VALUES ('h', 'n', 1, 'asleep', now())",
        (),
    ),
    "team_state": (
        "INSERT INTO teams (team_id, tenant_id, name, declaration, declaration_hash, state, "
        "ended_at) VALUES ($1, 'default', 't', '{}', 'h', 'asleep', now())",
        (uuid4(),),
    ),
    "running_teams_have_no_end": (
        "INSERT INTO teams (team_id, tenant_id, name, declaration, declaration_hash, ended_at) "
        "VALUES ($1, 'default', 't', '{}', 'h', now())",
        (uuid4(),),
    ),
    "removal_state": (
        "INSERT INTO removals (part, ended_before, horizon, state) "
        "VALUES ('default', now(), 1, 'lost')",
        (),
    ),
    "archive_sha256": (
        "WITH removal AS (INSERT INTO removals (part, ended_before, horizon) "
        "VALUES ('default', now(), 1) RETURNING removal_id) "
        "INSERT INTO archives (removal_id, tenant_id, path, runs, events, blobs, bytes, sha256) "
        "SELECT removal_id, 'default', '/x', 0, 0, 0, 0, 'short' FROM removal",
        (),
    ),
    "idempotency_key_length": (
        "INSERT INTO idempotency_keys (tenant_id, key, request_hash, run_id) "
        "VALUES ('default', '', 'h', $1)",
        (new_id(),),
    ),
}


async def test_every_check_has_a_violation(database: Database) -> None:
    rows = await database.fetch(
        "SELECT DISTINCT conname FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid "
        "WHERE contype = 'c' AND t.relnamespace = 'public'::regnamespace "
        "AND t.relname <> 'schema_migrations'"
    )
    assert {row["conname"] for row in rows} == set(VIOLATIONS)


@pytest.mark.parametrize("constraint", VIOLATIONS)
async def test_a_check_refuses(database: Database, constraint: str) -> None:
    statement, arguments = VIOLATIONS[constraint]
    with pytest.raises(ConstraintViolation) as refused:
        await database.execute(statement, *arguments)
    assert refused.value.context["constraint"] == constraint


async def test_the_journal_cannot_be_changed(database: Database) -> None:
    run_id = new_id()
    await database.execute(
        "INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body) "
        "VALUES ($1, 1, 'default', 0, 'k', 1, now(), '{}')",
        run_id,
    )
    for statement in (
        "UPDATE journal SET body = '[]' WHERE run_id = $1",
        "DELETE FROM journal WHERE run_id = $1",
    ):
        with pytest.raises(ConstraintViolation):
            await database.execute(statement, run_id)


async def test_a_run_lies_in_the_partition_of_its_week(database: Database) -> None:
    run_id = new_id()
    await database.execute(RUN.format(status="'pending'", finished="NULL"), run_id)
    partition = await database.fetch_value(
        "SELECT tableoid::regclass::text FROM runs WHERE run_id = $1", run_id
    )
    assert re.fullmatch(r"runs_\d{8}", partition)
    assert await database.fetch_value("SELECT ensure_partitions(5)") == 0
