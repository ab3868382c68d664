"""Teams as rows, on the real Postgres."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from aos.actors.roster import AgentStore
from aos.actors.runs.store import RunStore
from aos.actors.runs.submission import Submission
from aos.cluster.exits import Exit, ExitReason
from aos.cluster.postgres import Database
from aos.cluster.settings import Settings, load
from aos.skills.contracts import AgentProfile, PlannerChoice
from aos.supervisors.store import ActivationStore
from aos.supervisors.teams.errors import AgentTaken, TeamExists, TeamNotFound, UnknownAgent
from aos.supervisors.teams.rules import declared
from aos.supervisors.teams.store import KeeperStore, Made, TeamStore

OURS, THEIRS = "default", "others"
TWO = """\
name: {name}
children:
  - {{id: one, agent: {one}, goal: Find it}}
  - {{id: in, team: {{children: [{{id: two, agent: {two}}}]}}}}
"""
GAVE_UP = Exit(ExitReason.SHUTDOWN, "auto_shutdown")


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    return load()


@pytest.fixture
async def store(database: Database) -> TeamStore:
    await database.execute("INSERT INTO tenants (tenant_id) VALUES ($1)", THEIRS)
    return TeamStore(database)


Register = Callable[..., Awaitable[list[UUID]]]


@pytest.fixture
def register(database: Database) -> Register:
    """Makes agents, in our tenant or another."""

    async def register(*names: str, tenant: str = OURS) -> list[UUID]:
        agents = AgentStore(database)
        choice = PlannerChoice(name="auto")
        profiles = [AgentProfile(name=name, planner=choice) for name in names]
        return [(await agents.register(tenant, profile)).agent_id for profile in profiles]

    return register


async def make(store: TeamStore, settings: Settings, text: str, tenant: str = OURS) -> Made:
    declaration, source = declared(text)
    return await store.create(tenant, declaration, source, settings)


async def keeper_of(database: Database) -> KeeperStore:
    epoch = await ActivationStore(database, "agents").claim(1)
    return KeeperStore(database, "agents", epoch)


async def test_a_team_is_made_with_its_members_and_the_runs_of_its_goals(
    database: Database, store: TeamStore, settings: Settings, register: Register
) -> None:
    ann, bob = await register("ann", "bob")
    made = await make(store, settings, TWO.format(name="t", one="ann", two="bob"))
    assert (made.team.state, made.team.generation, made.replayed) == ("running", 1, False)
    assert made.agents == (ann,)
    members = await store.members(OURS, made.team.team_id)
    assert {path: row["agent_id"] for path, row in members.items()} == {"one": ann, "in/two": bob}
    run = await RunStore(database).read(OURS, members["one"]["run_id"])
    assert (run["goal"], run["planner"], run["agent_id"]) == ("Find it", "rules", ann)
    assert members["in/two"]["run_id"] is None
    assert await store.find(OURS, "t") == await store.find(OURS, made.team.team_id) == made.team


async def test_the_same_again_changes_nothing_and_another_of_that_name_is_refused(
    database: Database, store: TeamStore, settings: Settings, register: Register
) -> None:
    await register("ann", "bob")
    text = TWO.format(name="t", one="ann", two="bob")
    first = await make(store, settings, text)
    again = await make(store, settings, f"{text}restart: transient  # which is the default\n")
    assert (again.team, again.replayed, again.agents) == (first.team, True, ())
    assert await database.fetch_value("SELECT count(*) FROM runs") == 1, "no goal twice"
    with pytest.raises(TeamExists, match="'t' exists already"):
        await make(store, settings, f"{text}restart: permanent\n")


async def test_made_at_once_there_is_one(
    database: Database, store: TeamStore, settings: Settings, register: Register
) -> None:
    await register("ann", "bob")
    text = TWO.format(name="t", one="ann", two="bob")
    made = await asyncio.gather(*(make(store, settings, text) for _ in range(4)))
    assert sorted(each.replayed for each in made) == [False, True, True, True]
    assert len({each.team.team_id for each in made}) == 1
    assert await database.fetch_value("SELECT count(*) FROM runs") == 1


async def test_unknown_agents_are_named_with_their_places(
    database: Database, store: TeamStore, settings: Settings, register: Register
) -> None:
    await register("ann")
    await register("bob", tenant=THEIRS)
    with pytest.raises(UnknownAgent) as refused:
        await make(store, settings, TWO.format(name="t", one="nobody", two="bob"))
    fields = refused.value.context["errors"]
    assert [field["field"] for field in fields] == [
        "children[0].agent", "children[1].team.children[0].agent",
    ]  # fmt: skip
    assert fields[1]["message"] == "no agent 'bob' is registered (line 4)", "theirs is not ours"
    assert await database.fetch_value("SELECT count(*) FROM teams") == 0, "all of it or nothing"


async def test_an_agent_is_a_member_of_one_team_at_most(
    database: Database, store: TeamStore, settings: Settings, register: Register
) -> None:
    await register("ann", "bob", "cyd")
    await make(store, settings, TWO.format(name="t", one="ann", two="bob"))
    with pytest.raises(AgentTaken, match="'bob' belongs to team 't'"):
        await make(store, settings, TWO.format(name="u", one="cyd", two="bob"))
    assert await database.fetch_value("SELECT count(*) FROM runs") == 1, "cyd was given no goal"
    await store.delete(OURS, (await store.find(OURS, "t")).team_id)
    made = await make(store, settings, TWO.format(name="u", one="cyd", two="bob"))
    assert made.team.name == "u"


async def test_teams_that_want_the_same_agents_at_once_do_not_deadlock(
    store: TeamStore, settings: Settings, register: Register
) -> None:
    await register("ann", "bob")
    texts = [
        TWO.format(name=f"t{number}", one=one, two=two)
        for number, (one, two) in enumerate([("ann", "bob"), ("bob", "ann")] * 4)
    ]
    made = await asyncio.gather(
        *(make(store, settings, text) for text in texts), return_exceptions=True
    )
    assert sum(isinstance(each, Made) for each in made) == 1
    assert sum(isinstance(each, AgentTaken) for each in made) == 7


async def test_tenants_do_not_see_each_other(
    store: TeamStore, settings: Settings, register: Register
) -> None:
    await register("ann", "bob")
    await register("ann", "bob", tenant=THEIRS)
    text = TWO.format(name="t", one="ann", two="bob")
    ours, theirs = await make(store, settings, text), await make(store, settings, text, THEIRS)
    assert ours.team.team_id != theirs.team.team_id
    assert [team.team_id for team in await store.page(OURS)] == [ours.team.team_id]
    with pytest.raises(TeamNotFound):
        await store.find(THEIRS, ours.team.team_id)
    assert await store.members(THEIRS, ours.team.team_id) == {}
    await store.stop(THEIRS, ours.team.team_id)
    await store.delete(THEIRS, ours.team.team_id)
    assert (await store.find(OURS, "t")).state == "running"


async def test_a_team_is_stopped_started_and_removed(
    database: Database, store: TeamStore, settings: Settings, register: Register
) -> None:
    await register("ann", "bob")
    made = await make(store, settings, TWO.format(name="t", one="ann", two="bob"))
    team_id, keeper = made.team.team_id, await keeper_of(database)
    assert await keeper.running() == {team_id: 1}
    for _ in range(2):
        await store.stop(OURS, team_id)
    stopped = await store.find(OURS, "t")
    assert (stopped.state, stopped.reason, stopped.ended_at is None) == (
        "stopped", "stopped", False,
    )  # fmt: skip
    assert await keeper.running() == {}
    await store.start(OURS, team_id)
    started = await store.find(OURS, "t")
    assert (started.state, started.generation, started.ended_at) == ("running", 2, None)
    await store.delete(OURS, team_id)
    with pytest.raises(TeamNotFound):
        await store.find(OURS, "t")
    assert await database.fetch_value("SELECT count(*) FROM team_members") == 0
    assert await database.fetch_value("SELECT count(*) FROM runs") == 1, "its runs stay"


async def test_pages_go_on_where_the_one_before_ended(
    store: TeamStore, settings: Settings, register: Register
) -> None:
    await register(*(f"a{number}" for number in range(6)))
    for number in range(3):
        one, two = f"a{2 * number}", f"a{2 * number + 1}"
        await make(store, settings, TWO.format(name=f"t{number}", one=one, two=two))
    first = await store.page(OURS, limit=2)
    rest = await store.page(OURS, after=first[-1].team_id, limit=2)
    assert [team.name for team in (*first, *rest)] == ["t0", "t1", "t2"]


async def test_the_keeper_learns_what_it_needs(
    database: Database, store: TeamStore, settings: Settings, register: Register
) -> None:
    ann, bob = await register("ann", "bob")
    made = await make(store, settings, TWO.format(name="t", one="ann", two="bob"))
    keeper = await keeper_of(database)
    (plan,) = await keeper.plans([made.team.team_id, uuid4()])
    assert (plan.name, plan.generation, plan.tenant) == ("t", 1, OURS)
    assert (plan.agents, plan.names) == (
        {"one": ann, "in/two": bob},
        {"ann": ann, "bob": bob},
    )
    assert plan.declaration == made.team.declaration
    await database.execute("UPDATE teams SET declaration = '{}'")
    assert await keeper.plans([made.team.team_id]) == [], "what cannot be read is left out"


async def test_only_the_current_supervisor_says_that_a_team_ended_and_only_of_this_life(
    database: Database, store: TeamStore, settings: Settings, register: Register
) -> None:
    await register("ann", "bob")
    made = await make(store, settings, TWO.format(name="t", one="ann", two="bob"))
    team_id = made.team.team_id
    deposed, keeper = await keeper_of(database), await keeper_of(database)
    assert not await deposed.end(team_id, 1, GAVE_UP)
    await store.start(OURS, team_id)
    assert not await keeper.end(team_id, 1, GAVE_UP), "it was started again meanwhile"
    assert (await store.find(OURS, "t")).state == "running"
    assert await keeper.end(team_id, 2, GAVE_UP)
    ended = await store.find(OURS, "t")
    assert (ended.state, ended.reason, ended.detail) == ("ended", "shutdown", "auto_shutdown")
    assert not await keeper.end(team_id, 2, GAVE_UP)
    await store.stop(OURS, team_id)
    assert (await store.find(OURS, "t")).state == "ended", "there is nothing to stop"


async def test_a_member_is_done_when_its_goal_is_and_nothing_else_is_left(
    database: Database, store: TeamStore, settings: Settings, register: Register
) -> None:
    ann, bob = await register("ann", "bob")
    made = await make(store, settings, TWO.format(name="t", one="ann", two="bob"))
    keeper = await keeper_of(database)
    run_id = (await store.members(OURS, made.team.team_id))["one"]["run_id"]
    assert not await keeper.is_done(ann)
    finish = "UPDATE runs SET status = 'completed', finished_at = now() WHERE run_id = $1"
    await database.execute(finish, run_id)
    assert await keeper.is_done(ann)
    assert not await keeper.is_done(bob), "who had no goal has not reached one"
    again = await make(store, settings, TWO.format(name="t", one="ann", two="bob"))
    assert again.replayed
    assert await keeper.is_done(ann)
    profile = AgentProfile(name="ann")
    await RunStore(database).submit(Submission(OURS, ann, profile, "More", "rules", "h"))
    assert not await keeper.is_done(ann), "it has something else to do"
