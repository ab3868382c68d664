"""Leases on the real Postgres: its clock judges, and its own absence is nobody's fault."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from aos.actors.roster import AgentStore
from aos.cluster.postgres import Database
from aos.skills.contracts import AgentProfile
from aos.supervisors.hosts.store import HostStore, Lease
from aos.supervisors.store import ActivationStore

NOW = timedelta(0)
LONG = timedelta(hours=1)
LEASE = timedelta(seconds=20)


@pytest.fixture
def hosts(database: Database) -> HostStore:
    return HostStore(database)


def lease(host: str, state: str = "taken") -> Lease:
    return Lease(host, 100, state, "default" if state == "taken" else None, 1)


async def active_on(database: Database, host: str) -> UUID:
    profile = AgentProfile(name=f"agent-{uuid4().hex[:8]}")
    agent = await AgentStore(database).register("default", profile)
    store = ActivationStore(database, f"test-{uuid4().hex}")
    await store.claim(1)
    await store.activate(agent.agent_id, host, 100, "node", seen=0)
    return agent.agent_id


async def expire(database: Database, host: str) -> None:
    await database.execute(
        "UPDATE hosts SET lease_until = now() - interval '1 minute' WHERE host = $1", host
    )


async def test_who_is_vouched_for_is_not_lost(database: Database, hosts: HostStore) -> None:
    await active_on(database, "h1")
    await hosts.renew("node", [lease("h1")], [], LEASE)
    assert await hosts.lost_agents(NOW) == {}


async def test_an_expired_lease_loses_the_agent_and_a_renewed_one_does_not(
    database: Database, hosts: HostStore
) -> None:
    agent = await active_on(database, "h1")
    await hosts.renew("node", [lease("h1")], [], LEASE)
    await expire(database, "h1")
    assert await hosts.lost_agents(NOW) == {agent: "h1"}
    await hosts.renew("node", [lease("h1")], [], LEASE)
    assert await hosts.lost_agents(NOW) == {}


async def test_after_a_start_of_postgres_a_whole_lease_of_grace_is_given(
    database: Database, hosts: HostStore
) -> None:
    await active_on(database, "h1")
    await hosts.renew("node", [lease("h1")], [], LEASE)
    await expire(database, "h1")
    assert await hosts.lost_agents(LONG) == {}, "the server has not been up for an hour"
    assert await hosts.expired(LONG) == set()


async def test_what_ended_is_written_off_and_never_comes_back(
    database: Database, hosts: HostStore
) -> None:
    agent = await active_on(database, "h1")
    await hosts.renew("node", [lease("h1"), lease("h2", "warm")], [], LEASE)
    await hosts.renew("node", [lease("h2", "warm")], ["h1"], LEASE)
    assert await hosts.lost_agents(NOW) == {agent: "h1"}
    await hosts.renew("node", [lease("h1")], [], LEASE)
    assert await hosts.lost_agents(NOW) == {agent: "h1"}, "a late word of a zombie's manager"


async def test_a_new_manager_writes_off_what_its_predecessor_had_on_that_machine_only(
    database: Database, hosts: HostStore
) -> None:
    here, there = await active_on(database, "h1"), await active_on(database, "h2")
    await hosts.renew("here", [lease("h1")], [], LEASE)
    await hosts.renew("there", [lease("h2")], [], LEASE)
    await hosts.write_off_node("here")
    assert set(await hosts.lost_agents(NOW)) == {here}
    assert there not in await hosts.lost_agents(NOW)


async def test_the_janitors_questions_and_answers(database: Database, hosts: HostStore) -> None:
    agent = await active_on(database, "h1")
    await hosts.renew("node", [lease("h1")], [], LEASE)
    await expire(database, "h1")
    assert await hosts.expired(NOW) == {"h1"}
    await hosts.write_off({"h1"})
    assert await hosts.expired(NOW) == set()
    stale = await hosts.stale_activations(NOW)
    assert stale == {agent: 1}
    await hosts.make_passive(stale)
    assert await hosts.stale_activations(NOW) == {}
    state = await database.fetch_one(
        "SELECT state, epoch FROM activations WHERE agent_id = $1", agent
    )
    assert state is not None
    assert (state["state"], state["epoch"]) == ("passive", 2)
    await hosts.forget(NOW)
    assert await database.fetch_value("SELECT count(*) FROM hosts") == 0


async def test_an_activation_that_moved_on_is_not_made_passive(
    database: Database, hosts: HostStore
) -> None:
    agent = await active_on(database, "h1")
    await hosts.make_passive({agent: 7})
    assert (
        await database.fetch_value("SELECT state FROM activations WHERE agent_id = $1", agent)
        == "active"
    )


async def test_leases_that_hold_are_not_written_off(database: Database, hosts: HostStore) -> None:
    await hosts.renew("node", [lease("h1")], [], LEASE)
    await hosts.write_off({"h1"})
    assert await database.fetch_value("SELECT state FROM hosts WHERE host = 'h1'") == "taken"
