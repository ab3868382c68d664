from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from aos.cluster.clock import SystemClock, VirtualClock

START = datetime(2026, 1, 1, tzinfo=UTC)


async def sleeper(clock: VirtualClock, name: str, seconds: float, woken: list[tuple[str, float]]):
    await clock.sleep(seconds)
    woken.append((name, (clock.now() - START).total_seconds()))


async def test_a_virtual_clock_stands_still_until_it_is_advanced() -> None:
    clock = VirtualClock(START)
    assert clock.now() == START
    await clock.advance(1.5)
    assert clock.now() == START + timedelta(seconds=1.5)


async def test_sleepers_wake_in_order_each_at_its_own_instant() -> None:
    clock, woken = VirtualClock(START), []
    async with asyncio.TaskGroup() as group:
        for name, seconds in (("late", 3), ("early", 1), ("middle", 2), ("never yet", 9)):
            group.create_task(sleeper(clock, name, seconds, woken))
        await asyncio.sleep(0)
        await clock.advance(5)
        assert woken == [("early", 1), ("middle", 2), ("late", 3)]
        await clock.advance(5)
    assert woken[-1] == ("never yet", 9)


async def test_sleepers_of_one_instant_wake_in_the_order_they_lay_down() -> None:
    clock, woken = VirtualClock(START), []
    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(sleeper(clock, name, 1, woken))
        await asyncio.sleep(0)
        await clock.advance(1)
    assert [name for name, _ in woken] == ["a", "b", "c"]


async def test_who_sleeps_again_while_time_moves_on_wakes_again() -> None:
    clock, ticks = VirtualClock(START), []

    async def tick() -> None:
        while True:
            await clock.sleep(1)
            ticks.append((clock.now() - START).total_seconds())

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    await clock.advance(3.5)
    ticking.cancel()
    assert ticks == [1, 2, 3]


async def test_a_sleeper_that_was_cancelled_holds_nobody_up() -> None:
    clock, woken = VirtualClock(START), []
    cancelled = asyncio.create_task(clock.sleep(1))
    other = asyncio.create_task(sleeper(clock, "other", 2, woken))
    await asyncio.sleep(0)
    cancelled.cancel()
    await clock.advance(2)
    await other
    assert woken == [("other", 2)]


async def test_the_system_clock_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)
    await SystemClock().sleep(0)
    now = SystemClock().now()
    assert now.tzinfo is UTC
    assert before <= now <= datetime.now(UTC)
