"""Servers that a test may crash, and a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from aos.cluster.postgres import Database, EmbeddedPostgres

Homes = Callable[[], AbstractContextManager[Path]]


@pytest.fixture
def home(temporary_home: Homes) -> Iterator[Path]:
    """An empty home; a server that a test starts in it is stopped."""
    with temporary_home() as home:
        yield home


@pytest.fixture(scope="module")
def crash_home(temporary_home: Homes) -> Iterator[Path]:
    """A home that the tests of one module share: crashing is quicker than making."""
    with temporary_home() as home:
        yield home


@pytest.fixture
async def crash_server(crash_home: Path) -> EmbeddedPostgres:
    """A running server that a test may stop, kill or cripple; the next test starts it again."""
    server = EmbeddedPostgres(crash_home)
    await server.start()
    return server


@pytest.fixture
async def table(database: Database) -> None:
    """The table `thing` of this test's database, empty."""
    await database.execute(
        "CREATE TABLE thing (id int PRIMARY KEY, size int NOT NULL CHECK (size > 0))"
    )
