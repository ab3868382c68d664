"""Live journals over HTTP: in order, each event once, over broken connections and outages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

import httpx
import pytest
from tests.support.api_front import Front, Journal, Submit

from aos.actors.runs.store import RunStore
from aos.api.client.sse import Decoder, Message
from aos.api.errors import TooManyStreams
from aos.api.follow import Follower
from aos.cluster.ids import new_id
from aos.cluster.postgres import Database


@asynccontextmanager
async def stream(
    http: httpx.AsyncClient, journal: Journal, last: int | None = None
) -> AsyncIterator[AsyncIterator[Message]]:
    """The messages of a run's stream, as they come."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    path = f"/api/v1/runs/{journal.run_id}/events"
    async with http.stream("GET", path, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-cache"

        async def messages() -> AsyncGenerator[Message]:
            decoder = Decoder()
            async for chunk in response.aiter_bytes():
                for message in decoder.feed(chunk):
                    yield message

        async with aclosing(messages()) as coming:
            yield coming


async def kinds(messages: AsyncIterator[Message]) -> list[tuple[str, str]]:
    return [(message.id, message.event) async for message in messages]


async def test_a_run_is_followed_live_from_its_first_to_its_last_event(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit("look at this")
    async with stream(http, journal) as messages:
        first = json.loads((await anext(messages)).data)
        assert (first["seq"], first["kind"], first["goal"]) == (1, "run_submitted", "look at this")
        assert "profile" not in first
        await journal.started()
        assert (await anext(messages)).event == "run_started"
        await journal.planned("fetch")
        planned = json.loads((await anext(messages)).data)
        assert planned["plan"]["steps"][0]["id"] == "fetch"
        await journal.settled("fetch", {"title": "a\u2028b"}, details={"secret": "trace"})
        settled = json.loads((await anext(messages)).data)
        assert (settled["step_id"], settled["attempt"], settled["code"]) == ("fetch", 1, "OK")
        assert (settled["skill"], settled["version"]) == ("http_call", "1.0.0")
        assert settled["output"] == {"title": "a\u2028b"}
        assert "details" not in settled
        await journal.finished()
        assert await kinds(messages) == [("5", "run_finished")]


async def test_a_stream_goes_on_after_the_last_event_id(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    await journal.started()
    await journal.planned("fetch")
    async with stream(http, journal, last=2) as messages:
        assert (await anext(messages)).id == "3"
        await journal.settled("fetch")
        await journal.finished()
        assert await kinds(messages) == [("4", "step_settled"), ("5", "run_finished")]


async def test_a_finished_run_has_its_whole_stream_and_nothing_after_the_end(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    await journal.started()
    await journal.planned()
    await journal.finished()
    async with stream(http, journal) as messages:
        assert [number for number, _ in await kinds(messages)] == ["1", "2", "3", "4"]
    async with stream(http, journal, last=4) as messages:
        assert await kinds(messages) == []
    async with stream(http, journal, last=4_000) as messages:
        assert await kinds(messages) == []


async def test_a_number_beyond_the_journal_means_its_end(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    async with stream(http, journal, last=4_000) as messages:
        await journal.started()
        assert (await anext(messages)).id == "2"
        await journal.planned()
        await journal.finished()
        assert len(await kinds(messages)) == 2


async def test_a_last_event_id_that_is_no_number_is_refused(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    path = f"/api/v1/runs/{journal.run_id}/events"
    for wrong in ("x", "-1"):
        response = await http.get(path, headers={"Last-Event-ID": wrong})
        assert (response.status_code, response.json()["code"]) == (422, "AOS-1101")


async def test_many_readers_of_many_runs_share_one_poll(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    journals = [await submit(f"goal {number}") for number in range(3)]

    async def read(journal: Journal) -> list[tuple[str, str]]:
        async with stream(http, journal) as messages:
            return await kinds(messages)

    readers = [asyncio.create_task(read(journal)) for journal in journals for _ in range(4)]
    async with asyncio.timeout(10):
        while (await front.served.report())["streams"] < len(readers):
            await http.get("/health")
    polls = [task for task in asyncio.all_tasks() if "_keep_polling" in repr(task.get_coro())]
    assert len(polls) == 1
    for journal in journals:
        await journal.take_over()
        await journal.started()
        await journal.planned("fetch")
        await journal.settled("fetch")
        await journal.finished()
    seen = await asyncio.gather(*readers)
    assert all([number for number, _ in each] == ["1", "2", "3", "4", "5"] for each in seen)
    assert (await front.served.report())["streams"] == 0


async def test_there_are_no_more_streams_than_allowed(database: Database) -> None:
    follower = Follower(RunStore(database), streams=2)
    with follower.slot(new_id()), follower.slot(new_id()):
        assert follower.streams == 2
        with pytest.raises(TooManyStreams), follower.slot(new_id()):
            pass
    with follower.slot(new_id()):
        assert follower.streams == 1
    await follower.close()
    with pytest.raises(TooManyStreams), follower.slot(new_id()):
        pass


async def test_a_reader_that_hangs_up_gives_its_place_back(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    async with stream(http, journal) as messages:
        await anext(messages)
        assert (await front.served.report())["streams"] == 1
    async with asyncio.timeout(5):
        while (await front.served.report())["streams"]:
            await http.get("/health")


async def test_stopping_the_front_ends_the_streams_within_two_seconds(
    front: Front, http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    async with stream(http, journal) as messages:
        await anext(messages)
        async with asyncio.timeout(2):
            await front.served.stop()
            assert await kinds(messages) == []
