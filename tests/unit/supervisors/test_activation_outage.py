"""Nobody has failed because Postgres is away."""

from __future__ import annotations

from uuid import uuid4

import pytest

from aos.cluster.postgres import Database
from aos.cluster.settings import Settings
from aos.supervisors.activation import Activator
from aos.supervisors.agents import agent_child
from aos.supervisors.children import NoCapacity
from aos.supervisors.heartbeat import patience
from aos.supervisors.hosts.access import Managers
from aos.supervisors.store import ActivationStore
from aos.supervisors.tree import AGENTS


async def test_an_agent_that_is_needed_during_an_outage_waits_and_has_not_crashed() -> None:
    async with Database("postgresql://aos@127.0.0.1:1/aos") as nowhere:
        activator = Activator(ActivationStore(nowhere, AGENTS), Managers(patience(Settings())))
        with pytest.raises(NoCapacity, match="Postgres"):
            await activator.start(agent_child(uuid4()))
