"""Whatever happens to teams, in whatever order: nobody has two supervisors, and what should be
comes to be.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from tests.support.keeping import World, single

from aos.cluster.errors import AosError
from aos.cluster.exits import ExitReason
from aos.supervisors.state import Phase, Wanted

TEAMS = {
    "desk": """
name: desk
restart: permanent
strategy: rest_for_one
intensity: {restarts: 2, period_s: 30}
children:
  - {id: one, agent: ann}
  - id: in
    team:
      strategy: one_for_all
      intensity: {restarts: 1, period_s: 30}
      children:
        - {id: two, agent: bob}
        - {id: three, agent: cyd, restart: transient}
""",
    "shift": """
name: shift
auto_shutdown: any_significant
quarantine: {restarts: 1, period_s: 60}
children:
  - {id: four, agent: dan, restart: transient, significant: true}
  - {id: five, agent: eve, restart: temporary}
  - {id: six, agent: fay}
""",
}
AGENTS = st.sampled_from(["ann", "bob", "cyd", "dan", "eve", "fay"])
PATHS = st.sampled_from(["one", "in", "in/two", "in/three", "four", "five", "six"])
NAMES = st.sampled_from(list(TEAMS))
STORY = st.lists(
    st.one_of(
        st.tuples(st.just("dies"), AGENTS, st.sampled_from(["crash", "normal", "node_lost"])),
        st.tuples(st.sampled_from(["start", "stop"]), NAMES),
        st.tuples(st.sampled_from(["run", "fail", "heal", "hold", "let_go"]), AGENTS),
        st.tuples(
            st.just("ask"), st.sampled_from(["terminate", "restart", "release"]), NAMES, PATHS
        ),
        st.tuples(st.just("later"), st.sampled_from([0.1, 1.0, 61.0])),
        st.tuples(st.sampled_from(["outage", "back", "look"])),
    ),
    max_size=25,
)


class Told:
    """The world, told what happens; as people and machines do it, without knowing of each other."""

    def __init__(self) -> None:
        self.world = World()
        self.ids: dict[str, UUID] = {}

    async def begin(self) -> None:
        for name, text in TEAMS.items():
            self.ids[name] = await self.world.make(text)

    async def dies(self, name: str, reason: str) -> None:
        if name in self.world.lives:
            await self.world.ends(name, ExitReason(reason))

    async def start(self, name: str) -> None:
        with suppress(AosError):
            await self.world.start_again(self.ids[name])

    async def stop(self, name: str) -> None:
        self.world.rows.generations.pop(self.ids[name], None)

    async def run(self, name: str) -> None:
        agent_id = self.world.agent(name)
        if not self.world.keeper.serve(agent_id) and agent_id not in self.world.active:
            self.world.parent.tell(Wanted(single(agent_id)))

    async def fail(self, name: str) -> None:
        self.world.failing[name] = RuntimeError("no")

    async def heal(self, name: str) -> None:
        self.world.failing.pop(name, None)

    async def hold(self, name: str) -> None:
        self.world.gates.setdefault(name, asyncio.Event())

    async def let_go(self, name: str) -> None:
        if (gate := self.world.gates.pop(name, None)) is not None:
            gate.set()

    async def ask(self, verb: str, name: str, path: str) -> None:
        with suppress(AosError):
            await self.world.keeper.administer(self.ids[name], path, verb)

    async def later(self, seconds: float) -> None:
        await self.world.later(seconds)

    async def outage(self) -> None:
        self.world.rows.outage = True

    async def back(self) -> None:
        self.world.rows.outage = False

    async def look(self) -> None:
        with suppress(AosError):
            await self.world.look()

    async def calm_down(self) -> None:
        """Everything that was wrong is not any more, and all the time in the world passes."""
        await self.back()
        self.world.failing.clear()
        for name in list(self.world.gates):
            await self.let_go(name)
        for _ in range(6):
            await self.look()
            await self.world.later(3_700)
        await self.look()


@given(STORY)
def test_nobody_has_two_supervisors_and_what_should_be_comes_to_be(
    story: list[tuple[Any, ...]],
) -> None:
    asyncio.run(tell(story))


async def tell(story: list[tuple[Any, ...]]) -> None:
    told = Told()
    world = told.world
    await told.begin()
    for what, *more in story:
        await getattr(told, what)(*more)
        await world.settled()
    await told.calm_down()
    for name, team_id in told.ids.items():
        should = team_id in world.rows.generations
        assert (world.phase(team_id) == "running") == should, (name, world.phase(team_id))
        for path, agent_id in world.rows.plans_by_id[team_id].agents.items():
            found = world.keeper.member(agent_id)
            if found is None:
                assert not should or "/" in path, (
                    "only an inner team may have ended in one that runs"
                )
                continue
            supervisor, spec = found
            child = supervisor.state.children.get(spec.id)
            is_up = child is not None and child.phase is Phase.RUNNING
            was_ended = child is None or child.phase is Phase.STOPPED
            assert is_up or was_ended, (path, child)
            assert (agent_id in world.active) == is_up
    await world.close()
