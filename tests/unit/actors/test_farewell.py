"""A process that leaves by itself: what is cancelled, who is told, and when it is gone."""

from __future__ import annotations

import asyncio
import threading

import pytest

from aos.actors.activation import ending
from aos.actors.farewell import Farewell
from aos.actors.runs.journal import LeaseLost
from aos.cluster.exits import Exit, ExitReason

FENCED = Exit(ExitReason.FENCED, "epoch 3 has passed")
CRASH = Exit(ExitReason.CRASH, "ValueError: wrong")
NEVER = 3_600.0


class Process:
    """What `os._exit` would have done."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self.ended = threading.Event()

    def end(self, code: int) -> None:
        self.codes.append(code)
        self.ended.set()


@pytest.fixture
def process() -> Process:
    return Process()


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_it_ends_when_all_who_watch_have_heard_why(process: Process) -> None:
    farewell = Farewell(NEVER, process.end)
    watching = [asyncio.create_task(farewell.watch(False)) for _ in range(2)]
    await settle()
    leaving = asyncio.create_task(farewell.leave(FENCED, 70, ()))
    assert [await each for each in watching] == [FENCED.last_word()] * 2
    waiting = [asyncio.create_task(farewell.watch(True))]
    await settle()
    assert process.codes == [], "one has not heard"
    waiting.append(asyncio.create_task(farewell.watch(True)))
    await leaving
    assert process.codes == [70]
    assert not any(each.done() for each in waiting), "they wait for the end itself"
    for each in waiting:
        each.cancel()


async def test_who_watches_late_is_told_as_well(process: Process) -> None:
    farewell = Farewell(NEVER, process.end)
    early = asyncio.create_task(farewell.watch(False))
    await settle()
    leaving = asyncio.create_task(farewell.leave(FENCED, 70, ()))
    await early
    assert await farewell.watch(False) == FENCED.last_word()
    leaving.cancel()


async def test_it_ends_at_once_when_nobody_watches(process: Process) -> None:
    await Farewell(NEVER, process.end).leave(CRASH, 71, ())
    assert process.codes == [71]


async def test_who_does_not_listen_holds_up_nothing(process: Process) -> None:
    farewell = Farewell(0.01, process.end)
    gone = asyncio.create_task(farewell.watch(False))
    await settle()
    leaving = asyncio.create_task(farewell.leave(CRASH, 71, ()))
    await gone
    assert await asyncio.to_thread(process.ended.wait, 10)
    assert process.codes == [71]
    leaving.cancel()


async def test_what_is_under_way_is_cancelled_before_anything_is_said(process: Process) -> None:
    farewell = Farewell(NEVER, process.end)
    order: list[str] = []

    async def driver() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await settle()
            order.append("driver ended")

    async def watcher() -> None:
        await farewell.watch(False)
        order.append("told")
        await farewell.watch(True)

    tasks = [asyncio.create_task(driver()), asyncio.create_task(watcher())]
    await settle()
    await farewell.leave(CRASH, 71, tasks[:1])
    assert order == ["driver ended", "told"]
    assert tasks[0].cancelled()
    tasks[1].cancel()


async def test_a_driver_can_be_the_one_that_leaves(process: Process) -> None:
    farewell = Farewell(NEVER, process.end)

    async def driver() -> None:
        await farewell.leave(CRASH, 71, drivers)

    drivers = [asyncio.create_task(driver())]
    await asyncio.wait(drivers, timeout=10)
    assert process.codes == [71]
    assert not drivers[0].cancelled()


async def test_the_first_reason_counts(process: Process) -> None:
    farewell = Farewell(NEVER, process.end)
    watching = asyncio.create_task(farewell.watch(False))
    await settle()
    leaving = asyncio.create_task(farewell.leave(FENCED, 70, ()))
    await settle()
    await farewell.leave(CRASH, 71, ())
    assert await watching == FENCED.last_word()
    assert process.codes == []
    leaving.cancel()


async def test_it_ends_even_if_the_machine_has_no_thread_left(
    process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Timer) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Timer, "start", refuse)
    with pytest.raises(RuntimeError, match="new thread"):
        await Farewell(NEVER, process.end).leave(CRASH, 71, ())
    assert process.codes == [71]


@pytest.mark.parametrize(
    ("error", "exit_", "code"),
    [
        (LeaseLost("epoch 3 has passed"), FENCED, 70),
        (ValueError("wrong"), CRASH, 71),
        (SystemExit(1), Exit(ExitReason.CRASH, "SystemExit: 1"), 71),
        (KeyError("x" * 1_000), Exit(ExitReason.CRASH, f"KeyError: '{'x' * 289}"), 71),
    ],
)
def test_what_ends_an_agent_decides_its_last_word(
    error: BaseException, exit_: Exit, code: int
) -> None:
    assert ending(error) == (exit_, code)
