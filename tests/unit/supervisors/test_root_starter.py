"""When a member of the tree has served, so that its restart does not wait."""

from __future__ import annotations

from pathlib import Path

import pytest

from aos.cluster.postgres import Database
from aos.cluster.settings import Settings
from aos.supervisors.root import SERVED_SECONDS, RootStarter
from aos.supervisors.spec import ChildSpec
from aos.supervisors.store import EventRecorder
from aos.supervisors.tree import HOSTS, JANITOR, NODES

SERVICE = ChildSpec(JANITOR, "service")


class Root:
    """A starter whose clock stands until it is moved. Nothing here connects to the database."""

    def __init__(self, home: Path) -> None:
        self.now = 0.0
        database = Database("postgresql://nobody@localhost:1/none")
        self.starter = RootStarter(
            Settings(home=home), EventRecorder(database), database, now=lambda: self.now
        )

    async def lives(self, seconds: float, spec: ChildSpec = SERVICE) -> bool:
        """Whether a member that ends after so long had served."""
        running = await self.starter.start(spec)
        self.now += seconds
        await running.stop(0)
        return await self.starter.progressed(spec)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


async def test_who_lived_for_some_seconds_has_served(root: Root) -> None:
    assert await root.lives(SERVED_SECONDS)


async def test_who_dies_young_has_not(root: Root) -> None:
    assert not await root.lives(SERVED_SECONDS - 0.1)


async def test_one_good_life_does_not_speak_for_the_next(root: Root) -> None:
    assert await root.lives(SERVED_SECONDS)
    assert not await root.lives(0.1)


async def test_who_never_came_up_has_not(root: Root) -> None:
    assert not await root.starter.progressed(SERVICE)


async def test_what_no_intensity_bounds_keeps_its_history(root: Root) -> None:
    hosts = await root.starter.start(ChildSpec(HOSTS, "supervisor"))
    assert not await root.lives(SERVED_SECONDS, ChildSpec(NODES, "service"))
    await hosts.stop(0)
