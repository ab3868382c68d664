"""The fence on a real Postgres: who may activate, and who may write.

`tests/unit/supervisors/test_fence_model.py` shows by a model that it suffices; here the statements
are shown to mean what the model says, and to do so when they run at the same time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast
from uuid import UUID

import pytest
from tests.support.fence import Said
from tests.support.fence_steps import AGENTS, history
from tests.support.runs import START

from aos.actors.roster import AgentStore
from aos.actors.runs.chain import chained, genesis
from aos.actors.runs.events import RunResumed
from aos.actors.runs.journal import QUERIES, Append, JournalWriter, LeaseLost
from aos.actors.runs.state import RunState
from aos.actors.runs.store import RunStore
from aos.actors.runs.submission import Submission
from aos.cluster.ids import new_id
from aos.cluster.postgres import Database, Statements, UniqueViolation
from aos.skills.contracts import AgentProfile
from aos.supervisors.store import ActivationLost, ActivationStore

TENANT, SUPERVISOR, NODE = "default", "agents", "node"
RACERS = 20


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A connection for each racer."""
    async with Database(database_url, max_connections=RACERS, application_name="test") as database:
        yield database


@pytest.fixture
async def agent(database: Database) -> UUID:
    return await registered(database, "racer")


@pytest.fixture
async def store(database: Database) -> ActivationStore:
    """Of a supervisor process that has claimed."""
    return await claimed(database)


async def registered(database: Database, name: str) -> UUID:
    found = await AgentStore(database).register(TENANT, AgentProfile(name=name))
    return found.agent_id


async def claimed(database: Database) -> ActivationStore:
    store = ActivationStore(database, SUPERVISOR)
    await store.claim(1)
    return store


async def activated(store: ActivationStore, agent: UUID, host: int, seen: int) -> int | None:
    """The epoch that a racer got, if it did."""
    try:
        found = await store.activate(agent, f"host-{host}", host, NODE, seen=seen)
    except ActivationLost:
        return None
    return found.epoch


def batch(run: UUID, seq: int, epoch: int) -> Append:
    """One event, at its place in the journal."""
    rows = chained(genesis(run), seq, [RunResumed(at=START, epoch=epoch)])
    return Append(RunState(run, seq=seq), rows)


def writer_of(database: Any, agent: UUID, epoch: int) -> JournalWriter:
    return JournalWriter(cast("Database", database), agent, TENANT, epoch)


async def reach(database: Database, run: UUID) -> int:
    """How far a journal goes, as an activation reads it."""
    rows = await database.fetch(QUERIES.journals_of, TENANT, [run])
    return max((row["seq"] for row in rows), default=0)


async def somebody_waits_for_a_lock(transaction: Statements) -> None:
    """Return once a statement of another connection waits for what this transaction holds."""
    async with asyncio.timeout(30):
        while not await transaction.fetch_value("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            pass  # each look is a round trip


# The model means what Postgres does.


class Replay:
    """The statements of a model's history, on a real database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.deciders: dict[int, ActivationStore] = {}
        self.agents: dict[str, UUID] = {}
        self.runs = {name: new_id() for name in AGENTS}

    async def begin(self) -> None:
        for name in AGENTS:
            self.agents[name] = await registered(self.database, name)

    async def answer(self, said: Said) -> Any:
        """What Postgres answers."""
        return await getattr(self, said.statement)(*said.args)

    async def claim(self) -> int:
        store = ActivationStore(self.database, SUPERVISOR)
        epoch = await store.claim(1)
        self.deciders[epoch] = store
        return epoch

    def any_decider(self) -> ActivationStore:
        return next(iter(self.deciders.values()))

    async def seen(self, agent: str) -> int:
        return (await self.any_decider().facts(self.agents[agent])).epoch

    async def activate(self, supervisor: int, agent: str, seen: int, host: str) -> int | None:
        store = self.deciders[supervisor]
        return await activated(store, self.agents[agent], int(host.split("-")[1]), seen)

    async def append(self, agent: str, epoch: int, seq: int) -> str:
        writer = writer_of(self.database, self.agents[agent], epoch)
        try:
            await writer.append(batch(self.runs[agent], seq, epoch))
        except LeaseLost:
            return "fenced"
        except UniqueViolation:
            return "conflict"
        return "ok"

    async def read(self, agent: str) -> int:
        return await reach(self.database, self.runs[agent])

    async def landed(self, agent: str, epoch: int) -> int:
        rows = await self.database.fetch(QUERIES.landed_sequences, [self.runs[agent]], epoch)
        return rows[0]["seq"] if rows else 0

    async def passivate(self, agent: str, epoch: int) -> bool:
        return await self.any_decider().passivate(self.agents[agent], epoch)

    async def quarantine(self, supervisor: int, agent: str) -> None:
        await self.deciders[supervisor].quarantine(self.agents[agent], START, 1)

    async def submit(self, agent: str) -> None:
        profile = AgentProfile(name=agent)
        await RunStore(self.database).submit(
            Submission(TENANT, self.agents[agent], profile, "goal", "rules", "hash")
        )


@pytest.mark.parametrize("seed", range(6))
async def test_the_model_means_what_postgres_does(database: Database, seed: int) -> None:
    world, replay = history(seed, 150), Replay(database)
    await replay.begin()
    for said in world.store.trace:
        assert await replay.answer(said) == said.answer, said
    active = await replay.any_decider().active()
    names = {agent_id: name for name, agent_id in replay.agents.items()}
    assert {(names[each.agent_id], each.epoch, each.host) for each in active} == {
        (name, row.epoch, row.host)
        for name, row in world.store.activations.items()
        if row.state == "active"
    }


# Racing.


@pytest.mark.parametrize("before", [0, 3])
async def test_of_twenty_racers_exactly_one_activates_an_agent(
    store: ActivationStore, agent: UUID, before: int
) -> None:
    """Its first activation, which inserts a row, and a later one, which updates it."""
    for seen in range(before):
        assert await activated(store, agent, 99, seen) == seen + 1
    epochs = await asyncio.gather(
        *(activated(store, agent, number, before) for number in range(RACERS))
    )
    assert [epoch for epoch in epochs if epoch] == [before + 1]
    (active,) = await store.active()
    winner = f"host-{epochs.index(before + 1)}"
    assert (active.agent_id, active.epoch, active.host) == (agent, before + 1, winner)


async def test_of_twenty_supervisor_processes_only_the_newest_activates(
    database: Database, agent: UUID
) -> None:
    stores = [ActivationStore(database, SUPERVISOR) for _ in range(RACERS)]
    claims = await asyncio.gather(*(store.claim(1) for store in stores))
    assert sorted(claims) == list(range(1, RACERS + 1))
    epochs = await asyncio.gather(
        *(activated(store, agent, number, 0) for number, store in enumerate(stores))
    )
    assert [claim for claim, epoch in zip(claims, epochs, strict=True) if epoch] == [RACERS]


async def test_a_supervisor_process_that_is_deposed_meanwhile_activates_nobody(
    database: Database, store: ActivationStore, agent: UUID
) -> None:
    """Its statement waits for the claim that is being committed, and sees it."""
    async with database.transaction() as transaction:
        await ActivationStore(cast("Database", transaction), SUPERVISOR).claim(2)
        late = asyncio.create_task(activated(store, agent, 1, 0))
        await somebody_waits_for_a_lock(transaction)
    assert await late is None


async def test_a_claim_waits_for_an_activation_that_is_being_committed(
    database: Database, agent: UUID
) -> None:
    """So the new supervisor process finds it in the table."""
    row = "INSERT INTO supervisors (supervisor, epoch, pid) VALUES ($1, 0, 0)"
    await database.execute(row, SUPERVISOR)
    async with database.transaction() as transaction:
        first = ActivationStore(cast("Database", transaction), SUPERVISOR)  # of epoch 0
        assert await activated(first, agent, 1, 0) == 1
        claiming = asyncio.create_task(claimed(database))
        await somebody_waits_for_a_lock(transaction)
    assert [each.epoch for each in await (await claiming).active()] == [1]


async def test_an_append_that_is_being_committed_is_seen_by_the_next_activation(
    database: Database, store: ActivationStore, agent: UUID
) -> None:
    run = new_id()
    assert await activated(store, agent, 1, 0) == 1
    async with database.transaction() as transaction:
        await writer_of(transaction, agent, 1).append(batch(run, 1, 1))
        successor = asyncio.create_task(activated(store, agent, 2, 1))
        await somebody_waits_for_a_lock(transaction)
        assert not successor.done()
    assert (await successor, await reach(database, run)) == (2, 1)


async def test_an_append_that_comes_while_the_epoch_is_being_raised_writes_nothing(
    database: Database, store: ActivationStore, agent: UUID
) -> None:
    run = new_id()
    assert await activated(store, agent, 1, 0) == 1
    zombie = writer_of(database, agent, 1)
    async with database.transaction() as transaction:
        successor = ActivationStore(cast("Database", transaction), SUPERVISOR)
        await successor.claim(2)
        assert await activated(successor, agent, 2, 1) == 2
        late = asyncio.create_task(zombie.append(batch(run, 1, 1)))
        await somebody_waits_for_a_lock(transaction)
    with pytest.raises(LeaseLost):
        await late
    assert await reach(database, run) == 0


async def test_many_activations_and_all_their_zombies_write_one_history(
    database: Database, agent: UUID
) -> None:
    """Every activation writes as fast as it can until it is fenced, and does not know when; each
    reads the journal first and goes on from there. A second writer would hit a row that is there.
    """
    run, fenced = new_id(), 0
    acknowledged: list[tuple[int, int]] = []
    written = asyncio.Event()

    async def live(epoch: int) -> None:
        nonlocal fenced
        writer, seq = writer_of(database, agent, epoch), await reach(database, run)
        try:
            while True:
                seq += 1
                await writer.append(batch(run, seq, epoch))
                acknowledged.append((seq, epoch))
                written.set()
        except LeaseLost:
            fenced += 1

    lives: list[asyncio.Task[None]] = []
    for number in range(15):
        stores = [await claimed(database) for _ in range(3)]
        racing = (activated(store, agent, number, number) for store in stores)
        (epoch,) = [epoch for epoch in await asyncio.gather(*racing) if epoch]
        lives.append(asyncio.create_task(live(epoch)))
        written.clear()
        if number % 3 == 0:  # every third has the time to write, the others are overtaken at once
            await asyncio.wait_for(written.wait(), 30)
    last = await claimed(database)
    assert await activated(last, agent, 99, 15) == 16
    await asyncio.gather(*lives)
    rows = await database.fetch(
        "SELECT seq, epoch FROM journal WHERE run_id = $1 ORDER BY seq", run
    )
    assert [(row["seq"], row["epoch"]) for row in rows] == sorted(acknowledged)
    epochs = [row["epoch"] for row in rows]
    assert epochs == sorted(epochs), "nobody wrote after its successor"
    assert (fenced, len(set(epochs)) > 3) == (15, True)
