"""The shell around the decisions: its one alarm."""

from __future__ import annotations

from tests.support.nursery import Begin, Nursery
from tests.support.supervision import START, child, seconds

from aos.cluster.clock import VirtualClock
from aos.supervisors.state import Restored, StartChild


async def test_a_child_that_keeps_dying_waits_its_delay_of_the_clock(begin: Begin) -> None:
    nursery = await begin(Nursery(child("a")))
    await nursery.kill("a")
    await nursery.kill("a")
    delay = nursery.reports[-1][1].delay.total_seconds()
    (about,) = await nursery.supervisor.describe()
    assert about["until"] == (START + seconds(delay)).isoformat()
    assert (delay > 0, nursery.phases) == (True, {"a": "waiting"})
    await nursery.later(delay - 0.000_001)
    assert nursery.phases == {"a": "waiting"}
    await nursery.later(0.000_002)
    assert nursery.phases == {"a": "running"}


class Counting(VirtualClock):
    """Knows how many sleep."""

    sleepers = 0

    async def sleep(self, seconds: float) -> None:
        self.sleepers += 1
        try:
            await super().sleep(seconds)
        finally:
            self.sleepers -= 1


async def test_others_are_served_while_one_waits_and_the_earliest_is_first(begin: Begin) -> None:
    clock = Counting(START)
    nursery = await begin(Nursery(child("a"), clock=clock))
    for name, wait in (("late", 50), ("soon", 20), ("later", 90)):
        nursery.supervisor.tell(Restored(child(name), START + seconds(wait), 1))
    await nursery.supervisor.request(StartChild(child("b")))
    await nursery.settled()
    assert clock.sleepers == 1, "one alarm, however many wait"
    started = []
    for wait in (20, 30, 40):
        await nursery.later(wait)
        started.append(nursery.log[-1])
    assert nursery.log[:2] == ["start a", "start b"]
    assert started == ["start soon", "start late", "start later"]


class Impatient(VirtualClock):
    """Wakes its sleepers when half of their time is over, as a clock that was set back seems to."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 2)


async def test_who_wakes_too_early_sleeps_again(begin: Begin) -> None:
    nursery = await begin(Nursery(clock=Impatient(START)))
    nursery.supervisor.tell(Restored(child("a"), START + seconds(16), 1))
    await nursery.settled()
    for at in (8, 12, 14, 15):
        await nursery.later((START + seconds(at) - nursery.clock.now()).total_seconds())
        assert nursery.phases == {"a": "quarantined"}
    for _ in range(40):
        await nursery.later(0.1)
    assert nursery.phases == {"a": "running"}
