"""At most one activation of an agent can write, whoever is paused, deposed, late or unheard.

Two kinds of processes that may be stopped at any instant and go on later, not knowing what
happened meanwhile: supervisor processes, of which only the newest decides, and hosts, of which only
the newest writes. Their messages and statements arrive late, or twice, or never.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.support.fence import World
from tests.support.fence_steps import AGENTS, history, steps, writers


class TheFence(RuleBasedStateMachine):
    """One step of the world after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.world.new_decider()

    @rule(data=st.data())
    def something_happens(self, data: st.DataObject) -> None:
        choose = lambda options: data.draw(st.sampled_from(options))  # noqa: E731
        choose(steps(self.world, choose))()

    @precondition(lambda self: writers(self.world))
    @rule(data=st.data(), meanwhile=st.sampled_from(AGENTS))
    def a_host_is_overtaken_in_the_middle_of_a_write(
        self, data: st.DataObject, meanwhile: str
    ) -> None:
        """The narrow case, often: sent, deposed, and only then executed."""
        self.world.send(data.draw(st.sampled_from(writers(self.world))))
        sent = self.world.under_way[-1]
        self.world.new_decider()
        self.world.look(self.world.deciders[-1], meanwhile)
        self.world.activate(self.world.deciders[-1], meanwhile)
        self.world.execute(sent)

    @invariant()
    def the_fence_holds(self) -> None:
        self.world.check()


TestTheFence = TheFence.TestCase
TestTheFence.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


def test_long_histories() -> None:
    answers: set[tuple[str, Any]] = set()
    for seed in range(100):
        for said in history(seed, 150).store.trace:
            answer = said.answer if said.statement in ("append", "passivate") else None
            if said.statement == "activate":
                answer = "granted" if said.answer else "lost"
            answers.add((said.statement, answer))
    assert answers >= {
        ("append", "ok"), ("append", "fenced"), ("append", "conflict"),
        ("activate", "granted"), ("activate", "lost"),
        ("passivate", True), ("passivate", False),
    }  # fmt: skip


def test_a_paused_host_that_wakes_up_after_its_successor_wrote_writes_nothing() -> None:
    world = World()
    world.new_decider()
    first = world.deciders[0]
    world.activate(first, "ann")
    world.deliver(world.mail[0])
    zombie = world.hosts[0]
    world.send(zombie)
    zombie.paused = True  # its statement is on its way already
    world.new_decider()
    world.look(world.deciders[1], "ann")
    world.activate(world.deciders[1], "ann")
    world.deliver(world.mail[0])
    successor = world.hosts[1]
    world.send(successor)
    world.execute(world.under_way[1])
    world.execute(world.under_way[0])
    assert (zombie.dead, successor.known) == (True, 1)
    world.activate(first, "ann")
    assert len(world.hosts) == 2, "nor does a deposed supervisor activate anybody"
    world.check()
