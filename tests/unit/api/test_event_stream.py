"""What a stream of events sends, and when: pages, signs of life, and word of an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest
from tests.support.runs import START

from aos.actors.runs.events import RunStarted
from aos.actors.runs.store import Recorded
from aos.api import event_stream
from aos.api.client.sse import Decoder
from aos.api.event_stream import EventStream

Page = Sequence[Recorded] | None


def page(*numbers: int) -> list[Recorded]:
    return [Recorded(number, 1, RunStarted(at=START, epoch=1)) for number in numbers]


async def of(queue: asyncio.Queue[Page], closed: list[bool]) -> AsyncGenerator[Page]:
    try:
        while (found := await queue.get()) != []:
            yield found
    finally:
        closed.append(True)


@pytest.fixture
def queue() -> asyncio.Queue[Page]:
    return asyncio.Queue()


async def test_a_page_is_sent_at_once_and_the_end_is_the_end(queue: asyncio.Queue[Page]) -> None:
    closed: list[bool] = []
    for each in (page(1, 2), None, page(3), []):
        queue.put_nowait(each)
    sent = [bytes(each) async for each in EventStream(of(queue, closed)).body_iterator]
    assert [[message.id for message in Decoder().feed(each)] for each in sent] == [
        ["1", "2"],
        [],
        ["3"],
    ]
    assert sent[1].startswith(b": waiting for the database")
    assert closed == [True]


async def test_silence_is_broken_and_nothing_is_lost(
    queue: asyncio.Queue[Page], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "_SILENCE", 0.001)
    closed: list[bool] = []
    stream = EventStream(of(queue, closed)).body_iterator
    assert isinstance(stream, AsyncGenerator)
    async with aclosing(stream):
        for _ in range(3):
            assert await anext(stream) == b": ping\n\n"
        queue.put_nowait(page(7))
        while (sent := await anext(stream)) == b": ping\n\n":
            pass
        assert b"id: 7\n" in sent
        assert closed == []
    assert closed == [True], "whoever leaves ends what is read for him"


async def test_a_stream_without_pages_is_over() -> None:
    assert [each async for each in EventStream(None).body_iterator] == []
