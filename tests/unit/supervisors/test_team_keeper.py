"""The keeper against the real supervisor: teams come and go as their rows have it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from tests.support.keeping import World, single

from aos.cluster.errors import AosError
from aos.cluster.exits import ExitReason
from aos.cluster.postgres import DatabaseUnavailable
from aos.supervisors.children import NoCapacity, NotNeeded
from aos.supervisors.state import Wanted
from aos.supervisors.supervisor import RequestRefused
from aos.supervisors.teams.errors import ChildNotFound, TeamNotRunning
from aos.supervisors.teams.specs import team_child

THREE = """
name: desk
strategy: {strategy}
children:
  - {{id: one, agent: ann}}
  - {{id: two, agent: bob}}
  - {{id: three, agent: cyd}}
"""
NESTED = """
name: desk
children:
  - {id: scribe, agent: ann}
  - id: shift
    restart: transient
    team:
      auto_shutdown: any_significant
      children:
        - {id: owl, agent: bob, restart: transient, significant: true}
        - {id: bat, agent: cyd}
"""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    yield world
    await world.close()


async def test_a_team_whose_row_says_so_runs_in_order(world: World) -> None:
    team_id = await world.make(THREE.format(strategy="one_for_one"))
    assert world.told() == ["start ann", "start bob", "start cyd"]
    assert world.phase(team_id) == "running"
    await world.look()
    assert world.told() == [], "nothing to do in the next round"


async def test_a_team_that_is_to_stop_is_stopped_in_reverse(world: World) -> None:
    team_id = await world.make(THREE.format(strategy="one_for_one"))
    world.told()
    await world.stop(team_id)
    assert [each for each in world.told() if each.startswith("stop")] == [
        "stop cyd", "stop bob", "stop ann",
    ]  # fmt: skip
    assert world.phase(team_id) is None
    assert world.rows.ended == {}, "it did not end by itself"


async def test_members_restart_as_the_strategy_has_it(world: World) -> None:
    await world.make(THREE.format(strategy="rest_for_one"))
    world.told()
    await world.ends("bob")
    assert [each for each in world.told() if not each.startswith("forget")] == [
        "stop cyd", "start bob", "start cyd",
    ]  # fmt: skip


async def test_what_happens_to_members_is_recorded_under_their_agents(world: World) -> None:
    team_id = await world.make(
        "name: t\nchildren: [{id: one, agent: ann}, {id: pump, service: 'm:C'}]"
    )
    told = {(supervisor, report.child) for supervisor, report in world.reports}
    here = f"team:{team_id}"
    assert told == {(here, str(world.agent("ann"))), (here, "pump"), ("agents", here)}
    assert world.tenants == {"default", None}, "what its parent does with it, its parent knows"
    assert world.keeper.tenant_of(here) == world.keeper.tenant_of(f"{here}/shift") == "default"
    assert world.keeper.tenant_of(str(world.agent("ann"))) is None


# ends


async def test_a_team_that_is_done_is_said_to_have_ended_and_not_started_again(
    world: World,
) -> None:
    team_id = await world.make(
        "name: t\nauto_shutdown: any_significant\n"
        "children: [{id: one, agent: ann, restart: transient, significant: true},"
        " {id: two, agent: bob}]"
    )
    await world.ends("ann", ExitReason.NORMAL)
    assert world.phase(team_id) is None
    world.told()
    await world.look()
    ended = world.rows.ended[team_id]
    assert (ended.reason, ended.detail) == (ExitReason.SHUTDOWN, "auto_shutdown")
    await world.look()
    assert world.told() == []
    assert not world.keeper.serve(world.agent("bob"))


async def test_an_end_that_cannot_be_written_yet_is_no_reason_to_start_again(
    world: World,
) -> None:
    team_id = await world.make(
        "name: t\nintensity: {restarts: 0, period_s: 1}\nchildren: [{id: one, agent: ann}]"
    )
    world.rows.outage = True
    await world.ends("ann")
    world.told()
    with pytest.raises(DatabaseUnavailable):
        await world.keeper.reconcile()
    assert not world.keeper.serve(world.agent("ann")), "it binds nobody any more"
    world.rows.outage = False
    await world.look()
    assert world.told() == []
    assert "reached_max_restart_intensity" in world.rows.ended[team_id].detail


async def test_an_end_of_an_earlier_life_is_none_of_the_next(world: World) -> None:
    """The person was faster than the word of the end."""
    team_id = await world.make(
        "name: t\nintensity: {restarts: 0, period_s: 1}\nchildren: [{id: one, agent: ann}]"
    )
    await world.ends("ann")
    world.told()
    await world.start_again(team_id)
    assert world.told() == ["start ann"]
    assert world.rows.ended == {}


async def test_an_end_in_the_middle_of_a_round_is_no_reason_to_start_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    team_id = await world.make(
        "name: t\nintensity: {restarts: 0, period_s: 1}\nchildren: [{id: one, agent: ann}]"
    )
    world.told()
    read = world.rows.running

    async def and_then_it_ends() -> dict[UUID, int]:
        rows = await read()
        monkeypatch.undo()
        await world.ends("ann")
        return rows

    monkeypatch.setattr(world.rows, "running", and_then_it_ends)
    await world.look()
    assert "start ann" not in world.told()
    await world.look()
    assert world.rows.ended.keys() == {team_id}


async def test_a_team_that_was_started_while_it_ran_still_ends(world: World) -> None:
    team_id = await world.make(
        "name: t\nintensity: {restarts: 0, period_s: 1}\nchildren: [{id: one, agent: ann}]"
    )
    await world.start_again(team_id)
    await world.ends("ann")
    await world.look()
    assert world.rows.ended.keys() == {team_id}


async def test_a_team_that_gives_up_while_it_starts_ends_as_well(world: World) -> None:
    world.failing["bob"] = RuntimeError("no")
    text = "intensity: {restarts: 0, period_s: 9}\n" + THREE.format(strategy="one_for_one")
    team_id = await world.make(text)
    await world.look()
    assert world.rows.ended[team_id].reason is ExitReason.SHUTDOWN
    assert world.active == {}


async def test_a_permanent_team_comes_back_is_quarantined_as_a_whole_and_released(
    world: World,
) -> None:
    other = await world.make("name: u\nchildren: [{id: one, agent: bob}]")
    team_id = await world.make(
        "name: t\nrestart: permanent\nintensity: {restarts: 0, period_s: 1}\n"
        "children: [{id: one, agent: ann}]"
    )
    for _ in range(5):
        await world.ends("ann")
        await world.later(60)
    assert world.phase(team_id) == "running"
    await world.ends("ann")
    assert world.phase(team_id) == "quarantined"
    assert world.rows.ended == {}, "it is still to run"
    assert not world.keeper.serve(world.agent("ann")), "its agents are served like any other"
    assert world.phase(other) == "running"
    assert world.lives["bob"].activation.epoch == 1, "nobody else noticed"
    world.told()
    await world.start_again(team_id)
    assert world.phase(team_id) == "running"
    assert world.told() == ["start ann"]


async def test_a_team_that_is_removed_while_it_waits_is_not_started(world: World) -> None:
    team_id = await world.make(
        "name: t\nrestart: permanent\nintensity: {restarts: 0, period_s: 1}\n"
        "children: [{id: one, agent: ann}]"
    )
    await world.ends("ann")
    await world.ends("ann")
    assert world.phase(team_id) == "waiting"
    await world.stop(team_id)
    world.told()
    await world.later(120)
    assert world.told() == []
    assert world.phase(team_id) is None


async def test_a_team_that_was_forgotten_meanwhile_is_not_needed(world: World) -> None:
    with pytest.raises(NotNeeded):
        await world.keeper.start(team_child(uuid4(), "transient"))


async def test_one_team_that_makes_no_sense_holds_up_no_other(world: World) -> None:
    team_id = await world.make("name: t\nchildren: [{id: one, agent: ann}]")
    broken = uuid4()
    plan = world.rows.plans_by_id[team_id]
    world.rows.plans_by_id[broken] = replace(plan, team_id=broken, names={})
    world.rows.generations[broken] = 1
    later = await world.make("name: u\nchildren: [{id: one, agent: bob}]")
    assert (world.phase(team_id), world.phase(later)) == ("running", "running")
    assert world.phase(broken) is None


async def test_how_a_team_stands_is_described_with_all_that_is_in_it(world: World) -> None:
    team_id = await world.make(NESTED)
    about = await world.keeper.describe(team_id)
    assert about is not None
    assert (about["state"], about["kind"], about["name"]) == ("running", "team", "desk")
    scribe, shift = about["children"]
    assert (scribe["id"], scribe["state"], scribe["epoch"]) == ("scribe", "running", 1)
    assert [each["id"] for each in shift["children"]] == ["owl", "bat"]
    assert await world.keeper.describe(uuid4()) is None


# members


async def test_a_run_goes_to_the_member_where_it_is(world: World) -> None:
    team_id = await world.make(THREE.format(strategy="one_for_one"))
    world.told()
    found = world.keeper.member(world.agent("bob"))
    assert found is not None
    assert (found[0].state.spec.id, found[1].id) == (f"team:{team_id}", "two")
    assert world.keeper.serve(world.agent("bob"))
    assert world.told() == ["wake bob"]
    assert world.keeper.member(uuid4()) is None
    assert not world.keeper.serve(uuid4())


async def test_a_member_that_is_done_comes_back_for_a_run(world: World) -> None:
    await world.make("name: t\nchildren: [{id: one, agent: ann, restart: transient}]")
    await world.ends("ann", ExitReason.NORMAL)
    assert world.passive == [("ann", 1)]
    world.told()
    assert world.keeper.serve(world.agent("ann"))
    await world.settled()
    assert world.told() == ["start ann"]


async def test_a_temporary_member_is_forgotten_and_comes_back_for_a_run(world: World) -> None:
    await world.make("name: t\nchildren: [{id: one, agent: ann, restart: temporary}]")
    await world.ends("ann")
    assert world.passive == [("ann", 1)], "it does not come back by itself"
    world.told()
    assert world.keeper.serve(world.agent("ann"))
    await world.settled()
    assert world.told() == ["start ann"]


async def test_a_member_binds_while_its_team_comes_and_goes(world: World) -> None:
    world.gates["ann"] = gate = asyncio.Event()
    team_id = await world.make(THREE.format(strategy="one_for_one"))
    assert world.phase(team_id) == "starting"
    assert world.keeper.serve(world.agent("cyd")), "it will be started in its turn"
    gate.set()
    await world.settled()
    world.stubborn.add("cyd")
    await world.stop(team_id)
    assert world.phase(team_id) == "stopping"
    assert world.keeper.serve(world.agent("ann")), "nobody else may start it yet"
    world.lives["cyd"].ends()
    await world.look()
    assert not world.keeper.serve(world.agent("ann"))


async def test_an_inner_team_that_ended_binds_nobody(world: World) -> None:
    await world.make(NESTED)
    assert world.keeper.serve(world.agent("cyd"))
    await world.ends("bob", ExitReason.NORMAL)
    assert not world.keeper.serve(world.agent("cyd"))
    assert not world.keeper.serve(world.agent("bob"))
    assert world.keeper.serve(world.agent("ann")), "the rest of the team goes on"


async def test_an_agent_leaves_its_own_life_before_it_joins_a_team(world: World) -> None:
    ann = world.agent("ann")
    world.parent.tell(Wanted(single(ann)))
    await world.settled()
    assert world.told() == ["start ann"]
    await world.make("name: t\nchildren: [{id: one, agent: ann}]")
    await world.later(0.1)
    assert [each for each in world.told() if not each.startswith("forget")] == [
        "stop ann", "start ann",
    ]  # fmt: skip
    assert str(ann) not in world.parent.state.children


async def test_a_member_whose_goal_is_reached_ends_at_once(world: World) -> None:
    world.rows.done.add(world.agent("ann"))
    team_id = await world.make(
        "name: t\nauto_shutdown: any_significant\n"
        "children: [{id: one, agent: ann, restart: transient, significant: true, goal: g}]"
    )
    await world.look()
    assert world.told() == [], "no process was taken for it"
    assert world.rows.ended[team_id].detail == "auto_shutdown"


@pytest.mark.parametrize("child", ["goal: g", "restart: transient"])
async def test_a_member_without_an_end_is_started_whatever_it_has_done(
    world: World, child: str
) -> None:
    world.rows.done.add(world.agent("ann"))
    await world.make(f"name: t\nchildren: [{{id: one, agent: ann, {child}}}]")
    assert world.told() == ["start ann"]


async def test_who_lives_from_before_is_adopted_even_if_its_goal_is_reached(world: World) -> None:
    """Its process would be left over; it says itself that it is done."""
    ann = world.agent("ann")
    world.rows.done.add(ann)
    world.adoptable[ann] = object()  # type: ignore[assignment]
    await world.make("name: t\nchildren: [{id: one, agent: ann, restart: transient, goal: g}]")
    assert world.told() == ["start ann"]


async def test_an_outage_of_postgres_is_nobodys_fault(world: World) -> None:
    world.failing["ann"] = DatabaseUnavailable("away", ambiguous=False)
    team_id = await world.make(
        "name: t\nintensity: {restarts: 0, period_s: 60}\nchildren: [{id: one, agent: ann}]"
    )
    for _ in range(3):
        await world.later(5)
    about = await world.keeper.describe(team_id)
    assert about is not None
    assert about["children"][0]["state"] == "waiting"
    assert "Postgres cannot be reached" in about["children"][0]["waits_for"]
    del world.failing["ann"]
    await world.later(5)
    assert world.keeper.serve(world.agent("ann"))
    assert "wake ann" in world.told()


async def test_what_no_machine_has_is_waited_for(world: World) -> None:
    world.failing["pump"] = NoCapacity("needs gold 1; no machine has it")
    team_id = await world.make(
        "name: t\nintensity: {restarts: 0, period_s: 60}\n"
        "children: [{id: pump, service: 'm:C'}, {id: one, agent: ann}]"
    )
    about = await world.keeper.describe(team_id)
    assert about is not None
    pump, one = about["children"]
    assert (pump["state"], pump["waits_for"]) == ("waiting", "needs gold 1; no machine has it")
    assert (pump["restarts"], one["state"]) == (0, "running")


async def test_who_is_stopped_is_passive_before_it_starts_again(world: World) -> None:
    await world.make(THREE.format(strategy="one_for_all"))
    world.told()
    await world.ends("ann")
    told = world.told()
    for name in ("bob", "cyd"):
        assert told.index(f"forget {name}") < told.index(f"start {name}")
    assert world.passive == [("cyd", 3), ("bob", 2)], "who crashed has an epoch to go on from"


# what people ask for


async def test_a_member_that_a_person_has_terminated_stays_so(world: World) -> None:
    team_id = await world.make(THREE.format(strategy="one_for_one"))
    await world.keeper.administer(team_id, "two", "terminate")
    await world.settled()
    world.told()
    assert world.keeper.serve(world.agent("bob")), "it is nobody else's either"
    await world.settled()
    assert world.told() == []
    await world.keeper.administer(team_id, "two", "restart")
    await world.settled()
    assert world.told() == ["start bob"]


async def test_its_team_that_starts_anew_takes_it_along(world: World) -> None:
    team_id = await world.make(THREE.format(strategy="one_for_all"))
    await world.keeper.administer(team_id, "two", "terminate")
    await world.settled()
    await world.ends("ann")
    assert "start bob" in world.told()
    assert world.keeper.serve(world.agent("bob"))
    assert world.told() == ["wake bob"]


@pytest.mark.parametrize("strategy", ["one_for_all", "one_for_one"])
async def test_who_was_taken_along_is_not_held_any_more(world: World, strategy: str) -> None:
    """By a sibling's restart, or by the restart of the whole team, which counts lives anew."""
    team_id = await world.make(
        f"name: t\nrestart: permanent\nstrategy: {strategy}\n"
        f"intensity: {{restarts: {1 if strategy == 'one_for_all' else 0}, period_s: 1}}\n"
        "children: [{id: one, agent: ann}, {id: two, agent: bob, restart: transient}]"
    )
    await world.keeper.administer(team_id, "two", "terminate")
    await world.settled()
    await world.ends("ann")
    await world.ends("bob", ExitReason.NORMAL)
    world.told()
    assert world.keeper.serve(world.agent("bob"))
    await world.settled()
    assert world.told() == ["start bob"]


async def test_a_child_of_an_inner_team_is_reached_by_its_path(world: World) -> None:
    team_id = await world.make(NESTED)
    await world.keeper.administer(team_id, "shift/bat", "terminate")
    await world.settled()
    assert "stop cyd" in world.told()
    await world.keeper.administer(team_id, "shift", "terminate")
    await world.settled()
    with pytest.raises(TeamNotRunning, match="desk/shift is not running"):
        await world.keeper.administer(team_id, "shift/bat", "restart")
    await world.keeper.administer(team_id, "shift", "restart")
    await world.settled()
    assert world.told()[-2:] == ["start bob", "start cyd"]


async def test_what_is_refused_is_refused_with_otps_word(world: World) -> None:
    team_id = await world.make(NESTED)

    async def why(path: str, verb: str) -> str:
        with pytest.raises(AosError) as refused:
            await world.keeper.administer(team_id, path, verb)
        return refused.value.context.get("why") or type(refused.value).__name__

    assert await why("scribe", "restart") == "running"
    assert await why("scribe", "release") == "not_quarantined"
    assert await why("nobody", "terminate") == ChildNotFound.__name__
    assert await why("scribe/nobody", "terminate") == ChildNotFound.__name__
    assert await why("shift/nobody", "terminate") == ChildNotFound.__name__
    with pytest.raises(TeamNotRunning):
        await world.keeper.administer(uuid4(), "scribe", "terminate")


async def test_a_member_in_quarantine_is_released(world: World) -> None:
    team_id = await world.make(
        "name: t\nintensity: {restarts: 99, period_s: 1}\n"
        "quarantine: {restarts: 0, period_s: 60, for_s: 600}\nchildren: [{id: one, agent: ann}]"
    )
    await world.ends("ann")
    with pytest.raises(RequestRefused) as refused:
        await world.keeper.administer(team_id, "one", "restart")
    assert refused.value.context["why"] == "quarantined"
    world.told()
    await world.keeper.administer(team_id, "one", "release")
    await world.settled()
    assert world.told() == ["start ann"]
