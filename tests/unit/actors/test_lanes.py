"""Chains of many runs on their way: who goes together, who waits for whom, who is handed back.

The way itself is scripted here; `tests/integration/test_fused.py` goes it with Ray.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.support.catalogue import SMALL

from aos.actors import lanes
from aos.actors.fused import OVER, TOLD_SOME, Chain, Link
from aos.actors.lanes import HandedBack, Lanes, Pace
from aos.cluster.engine import TaskFailure, TaskOptions
from aos.skills.call import SkillCall

OK = {"status": "success", "code": "OK"}
FAILED = {"status": "failure", "code": "ERR_INTERNAL", "message": "it broke"}


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


class Task:
    """A task that says what a test has it say."""

    def __init__(self, payload: str, options: TaskOptions) -> None:
        work = json.loads(payload)["chains"]
        self.chains = [[link["call"]["step_id"] for link in each["links"]] for each in work]
        self.name = options.name
        self.ended = ""
        self._items: asyncio.Queue[Any] = asyncio.Queue()

    def tell(self, *told: tuple[int, int, dict[str, str]], over: bool = False) -> None:
        self._items.put_nowait((OVER if over else TOLD_SOME, json.dumps(told)))

    def die(self) -> None:
        self._items.put_nowait(TaskFailure("worker_died", "gone"))

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            item = await self._items.get()
            if isinstance(item, Exception):
                raise item
            yield item

    def cancel(self) -> None:
        self.ended = "killed"

    async def stop(self, patience: float) -> None:
        self.ended = "stopped"


class Way:
    """Lanes of one agent on a machine of one core, and the tasks that they have sent."""

    def __init__(self, slots: int = 4) -> None:
        self.tasks: list[Task] = []
        self.lanes = Lanes(asyncio.Semaphore(slots), Pace())
        self.lanes._width = 1

    def stream(self, path: str, payload: str, options: TaskOptions) -> Task:
        self.tasks.append(Task(payload, options))
        return self.tasks[-1]

    def send(self, *steps: str) -> asyncio.Task[list[Any]]:
        async def listen() -> list[Any]:
            heard: list[Any] = []
            try:
                descriptors = [SMALL["look"]] * len(steps)
                async for index, outcome in self.lanes.run(chain(*steps), descriptors):
                    heard.append((steps[index], outcome.code))
            except HandedBack as back:
                heard.append("suspect" if back.suspect else "handed back")
            return heard

        return asyncio.create_task(listen())


@pytest.fixture
def way(monkeypatch: pytest.MonkeyPatch) -> Way:
    found = Way()
    monkeypatch.setattr(lanes, "stream", found.stream)
    monkeypatch.setattr(TaskOptions, "missing", lambda _: {})
    return found


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_comes_while_a_lane_is_busy_goes_together(way: Way) -> None:
    first = way.send("a", "b")
    await settled()
    others = [way.send("c"), way.send("d", "e")]
    await settled()
    assert [task.chains for task in way.tasks] == [[["a", "b"]]]
    way.tasks[0].tell((0, 0, OK), (0, 1, OK), over=True)
    assert await first == [("a", "OK"), ("b", "OK")]
    await settled()
    assert way.tasks[1].chains == [["c"], ["d", "e"]]
    assert way.tasks[1].name == "skill:look@1.0.0"
    way.tasks[1].tell((1, 0, OK), (0, 0, OK))
    assert await others[0] == [("c", "OK")], "nobody waits for the end of others"
    way.tasks[1].tell((1, 1, OK), over=True)
    assert await others[1] == [("d", "OK"), ("e", "OK")]


async def test_what_needs_something_that_failed_is_not_waited_for(way: Way) -> None:
    run = way.send("a", "b", "c")
    await settled()
    way.tasks[0].tell((0, 0, FAILED))
    assert await run == [("a", "ERR_INTERNAL")]


async def test_what_was_not_begun_is_handed_back(way: Way) -> None:
    runs = [way.send("a", "b")]
    await settled()
    way.tasks[0].tell((0, 0, OK), over=True)
    assert await runs[0] == [("a", "OK"), "handed back"]


async def test_a_process_that_is_lost_makes_the_rest_suspect(way: Way) -> None:
    run = way.send("a", "b")
    await settled()
    way.tasks[0].tell((0, 0, OK))
    way.tasks[0].die()
    assert await run == [("a", "OK"), "suspect"]


async def test_a_call_that_takes_long_holds_up_nobody(
    way: Way, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes, "_TAKEN_BACK", 0)
    blocker = way.send("x")
    await settled()
    slow, behind = way.send("a"), way.send("b")
    way.tasks[0].tell((0, 0, OK), over=True)
    await blocker
    await settled()
    assert way.tasks[1].chains == [["a"], ["b"]]
    way.tasks[1].tell()
    assert await behind == ["handed back"]
    again = way.send("b")
    await settled()
    assert way.tasks[2].chains == [["b"]], "the one lane there is was given up by what is slow"
    way.tasks[2].tell((0, 0, OK), over=True)
    assert await again == [("b", "OK")]
    way.tasks[1].tell((0, 0, OK), over=True)
    assert await slow == [("a", "OK")]


async def test_whoever_does_not_wait_any_more_ends_the_process(way: Way) -> None:
    blocker = way.send("x")
    await settled()
    gone, other = way.send("a"), way.send("b")
    way.tasks[0].tell((0, 0, OK), over=True)
    await blocker
    await settled()
    gone.cancel()
    assert await other == ["handed back"]
    assert way.tasks[1].ended == "stopped"


async def test_whoever_leaves_the_queue_is_not_sent(way: Way) -> None:
    blocker = way.send("x")
    await settled()
    gone = way.send("a")
    await settled()
    gone.cancel()
    await settled()
    way.tasks[0].tell((0, 0, OK), over=True)
    await blocker
    await settled()
    assert len(way.tasks) == 1
