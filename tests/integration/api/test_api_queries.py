"""The door's SQL: each query is used, and Postgres understands it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aos.api import auth, metrics, status, tree
from aos.cluster.postgres import Database, Queries

FILES = {
    queries.path.name: queries
    for queries in (auth.QUERIES, metrics.QUERIES, status.QUERIES, tree.QUERIES)
}
SOURCES = "".join(path.read_text() for path in Path(auth.__file__).parent.glob("*.py"))


def test_all_files_are_here() -> None:
    assert {path.name for path in Path(auth.__file__).parent.glob("*.sql")} == set(FILES)


@pytest.mark.parametrize("queries", FILES.values(), ids=FILES)
def test_every_query_is_used(queries: Queries) -> None:
    assert [name for name in queries.names if f"QUERIES.{name}" not in SOURCES] == []


async def test_postgres_understands_every_query(database: Database) -> None:
    for queries in FILES.values():
        for name in queries.names:
            async with database.transaction() as transaction:
                await transaction.execute(f"PREPARE {name} AS {queries[name]}")
                await transaction.execute(f"DEALLOCATE {name}")
