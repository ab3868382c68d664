"""Chains of many runs on their way: who goes together, who waits for whom, who is handed back.

The processes are played here, at the other end of real connections;
`tests/integration/test_serving.py` has real ones, with Ray and without.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from tests.support.catalogue import SMALL

from aos.actors.lanes import Chain, HandedBack, Lane, Lanes, Link, conversation, lane_of, line
from aos.actors.lanes.wire import Said, Station, frame, ordered, read
from aos.actors.pace import Manner, Pace
from aos.actors.slots import Slots
from aos.cluster.engine import TaskFailure, TaskOptions
from aos.skills.call import SkillCall
from aos.skills.contracts import StructuredOutcome

OK = StructuredOutcome.success(None)
FAILED = StructuredOutcome.failure("ERR_INTERNAL", "it broke")
LOOK = SMALL["look"]
SECONDS = 10.0


def chain(*steps: str) -> Chain:
    """Each step follows the one before it."""
    links: list[Link] = []
    for step_id in steps:
        call = SkillCall(
            run_id="r", step_id=step_id, attempt=1, skill="look", version="1.0.0", params={},
            idempotency_key=step_id, seed=0, tenant="t", trace_id="0" * 32,
        )  # fmt: skip
        links.append(Link(call=call, follows=steps[len(links) - 1 : len(links)] if links else ()))
    return Chain(links=tuple(links))


class Process:
    """A task of Ray's, and the process that it runs in."""

    def __init__(self, payload: str, options: TaskOptions) -> None:
        self.station, self.name = Station.model_validate_json(payload), options.name
        self.fate = ""
        self._writer: asyncio.StreamWriter | None = None
        self._end: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def report(self, token: str | None = None) -> Process:
        """Connect, as it does when it has begun."""
        connection = asyncio.open_connection(self.station.host, self.station.port)
        self._reader, self._writer = await connection
        self._write((token or self.station.token).encode())
        return self

    def _write(self, body: bytes) -> None:
        assert self._writer is not None
        self._writer.write(frame(body))

    async def order(self) -> tuple[int, list[str] | None]:
        """What it is told next: a chain's number and steps; None for the word to stop it."""
        async with asyncio.timeout(SECONDS):
            body = await read(self._reader)
        assert body is not None, "the connection was closed"
        number, told = ordered(body)
        return number, None if told is None else [link.call.step_id for link in told.links]

    async def is_let_go(self) -> bool:
        async with asyncio.timeout(SECONDS):
            return await read(self._reader) is None

    def say(self, *told: tuple[int, int, StructuredOutcome], **more: Any) -> None:
        self._write(Said(told=told, **more).model_dump_json().encode())

    async def die(self) -> None:
        await self.end(TaskFailure("worker_died", "gone"))

    async def end(self, why: TaskFailure | None = None) -> None:
        """Its task has come to its end."""
        if self._writer is not None:
            self._writer.close()
            with suppress(ConnectionError):
                await self._writer.wait_closed()
        if not self._end.done():
            self._end.set_result(None) if why is None else self._end.set_exception(why)

    async def __aiter__(self) -> AsyncIterator[str]:
        yield ""
        await self._end

    def cancel(self) -> None:
        self.fate = "killed"

    async def stop(self, patience: float) -> None:
        self.fate = "stopped"


class Way:
    """Lanes of one agent on a machine of so many cores, and the processes that they asked for."""

    def __init__(self, slots: int = 4, width: int = 1) -> None:
        self.slots = Slots(slots)
        self.pace = Pace()
        self.lanes = Lanes(self.slots, self.pace, width)
        self.processes: list[Process] = []
        self._asked: asyncio.Queue[Process] = asyncio.Queue()

    def stream(self, path: str, payload: str, options: TaskOptions) -> Process:
        process = Process(payload, options)
        self.processes.append(process)
        self._asked.put_nowait(process)
        return process

    async def process(self) -> Process:
        """The next one that is asked for, connected."""
        async with asyncio.timeout(SECONDS):
            return await (await self._asked.get()).report()

    @property
    def is_enough(self) -> bool:
        """Whether no further process was asked for."""
        return self._asked.empty()

    def send(self, *steps: str, manner: Manner = Manner.QUICK) -> asyncio.Task[list[Any]]:
        async def listen() -> list[Any]:
            heard: list[Any] = []
            lane = lane_of(LOOK, manner)
            try:
                told = self.lanes.run(lane, chain(*steps), [LOOK] * len(steps))
                async for index, outcome in told:
                    heard.append((steps[index], outcome.code))
            except HandedBack as back:
                heard.append("suspect" if back.suspect else "handed back")
            return heard

        return asyncio.create_task(listen())


@pytest.fixture
async def make_way(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    ways: list[Way] = []

    def make(**options: int) -> Way:
        ways.append(Way(**options))
        monkeypatch.setattr(line, "stream", ways[-1].stream)
        return ways[-1]

    monkeypatch.setattr(line, "own_address", lambda: "127.0.0.1")
    monkeypatch.setattr(TaskOptions, "missing", lambda _: {})
    yield make
    for process in (process for way in ways for process in way.processes):
        await process.end()


async def test_a_process_is_kept_for_what_comes_next(make_way: Any) -> None:
    way = make_way()
    first = way.send("a", "b")
    process = await way.process()
    assert process.name == "skill:look@1.0.0"
    assert await process.order() == (1, ["a", "b"])
    process.say((1, 0, OK), (1, 1, OK), ended=(1,))
    assert await first == [("a", "OK"), ("b", "OK")]
    second = way.send("c")
    assert await process.order() == (2, ["c"])
    process.say((2, 0, OK), ended=(2,))
    assert await second == [("c", "OK")]
    assert await process.is_let_go(), "nobody needed it any more"
    await process.end()
    assert way.is_enough


async def test_what_comes_while_a_process_is_busy_goes_there_too(make_way: Any) -> None:
    way = make_way()
    runs = [way.send("a"), way.send("b"), way.send("c")]
    process = await way.process()
    assert [await process.order() for _ in runs] == [(1, ["a"]), (2, ["b"]), (3, ["c"])]
    process.say((1, 0, OK), (2, 0, OK), ended=(1, 2))
    assert [await run for run in runs[:2]] == [[("a", "OK")], [("b", "OK")]]
    process.say((3, 0, OK), ended=(3,))
    assert await runs[2] == [("c", "OK")], "nobody waits for the end of others"


async def test_a_crowd_is_given_another_process_and_no_more_than_there_are_cores(
    make_way: Any,
) -> None:
    way = make_way(width=2)
    runs = [way.send(str(number)) for number in range(5)]
    one = await way.process()
    assert [(await one.order())[1] for _ in range(5)] == [[str(number)] for number in range(5)]
    runs.append(way.send("more"))
    two = await way.process()
    assert (await two.order())[1] == ["more"]
    runs += [way.send("most") for _ in range(10)]
    most = {asyncio.ensure_future(each.order()) for each in (one, two)}
    await asyncio.wait(most)
    assert way.is_enough, "as many as there are cores"
    await one.die()
    await two.die()
    assert [await run for run in runs[:6]] == [["suspect"]] * 6
    for run in runs[6:]:
        run.cancel()


async def test_what_needs_something_that_failed_has_no_outcome(make_way: Any) -> None:
    way = make_way()
    run = way.send("a", "b", "c")
    process = await way.process()
    process.say((1, 0, FAILED), ended=(1,))
    assert await run == [("a", "ERR_INTERNAL")]


async def test_a_process_that_is_lost_makes_the_rest_suspect(make_way: Any) -> None:
    way = make_way()
    run = way.send("a", "b")
    process = await way.process()
    process.say((1, 0, OK))
    await process.die()
    assert await run == [("a", "OK"), "suspect"]
    assert process.fate == "killed", "whatever is left of it"


async def test_a_process_that_never_reports_is_not_waited_for(make_way: Any) -> None:
    way = make_way()
    run = way.send("a")
    stranger = await (await asyncio.wait_for(way._asked.get(), SECONDS)).report("0" * 32)
    assert await stranger.is_let_go(), "whoever does not know the token is turned away"
    await stranger.die()
    assert await run == ["suspect"]


async def test_a_call_that_takes_long_holds_up_nobody(make_way: Any) -> None:
    way = make_way()
    slow, behind = way.send("a"), way.send("b")
    process = await way.process()
    assert [await process.order() for _ in "ab"] == [(1, ["a"]), (2, ["b"])]
    assert await behind == ["handed back"]
    assert await process.order() == (2, None)
    again = way.send("b")
    other = await way.process()
    assert await other.order() == (1, ["b"]), "the one process there may be is not counted"
    other.say((1, 0, OK), ended=(1,))
    assert await again == [("b", "OK")]
    process.say((2, 0, OK), ended=(2,))
    process.say((1, 0, OK), ended=(1,))
    assert await slow == [("a", "OK")]


async def test_a_call_that_yields_when_nobody_wants_it_keeps_its_process(make_way: Any) -> None:
    way = make_way()
    gone = way.send("a")
    process = await way.process()
    await process.order()
    gone.cancel()
    assert await process.order() == (1, None)
    process.say(ended=(1,))
    after = way.send("b")
    assert await process.order() == (2, ["b"])
    process.say((2, 0, OK), ended=(2,))
    assert await after == [("b", "OK")]
    assert process.fate == ""


async def test_a_call_that_does_not_yield_is_ended_with_its_process(
    make_way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation, "TO_YIELD", 0.01)
    way = make_way()
    gone = way.send("a", manner=Manner.WAITING)
    process = await way.process()
    beside = way.send("b", manner=Manner.WAITING)
    assert [await process.order() for _ in "ab"] == [(1, ["a"]), (2, ["b"])]
    gone.cancel()
    assert await beside == ["handed back"]
    assert process.fate == "killed"


async def test_whoever_leaves_before_it_is_his_turn_is_not_sent(make_way: Any) -> None:
    way = make_way(slots=1)
    async with way.slots:
        gone, other = way.send("a"), way.send("b")
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
    process = await way.process()
    assert await process.order() == (1, ["b"])
    process.say((1, 0, OK), ended=(1,))
    assert await other == [("b", "OK")]


async def test_a_process_without_work_is_let_go_for_one_who_needs_a_process(make_way: Any) -> None:
    way = make_way()
    run = way.send("a")
    process = await way.process()
    process.say((1, 0, OK), ended=(1,))
    assert await run == [("a", "OK")]
    await process.order()
    alone = asyncio.create_task(way.slots.__aenter__())
    assert await process.is_let_go()
    await process.end()
    async with asyncio.timeout(SECONDS):
        await alone


async def test_what_waits_goes_side_by_side_and_what_kept_others_is_looked_at_anew(
    make_way: Any,
) -> None:
    way = make_way(width=2)
    for _ in range(2):
        way.pace.note("look", StructuredOutcome.success(None, duration_ms=900))
        way.pace.note_idle("look", 1.0)
    assert way.pace.manner("look") is Manner.WAITING
    run = way.send("a", manner=Manner.WAITING)
    process = await way.process()
    assert process.station.width == 32
    process.say((1, 0, OK), crowded=True)
    process.say(ended=(1,))
    assert await run == [("a", "OK")]
    assert way.pace.manner("look") is None
    assert await process.order() == (1, ["a"])
    assert await process.is_let_go()


async def test_lanes_are_apart_by_what_they_need_and_how_they_use_it() -> None:
    lanes = {lane_of(LOOK, manner) for manner in Manner}
    assert len(lanes) == 2
    assert Lane(next(iter(lanes)).options, Manner.QUICK) in lanes
