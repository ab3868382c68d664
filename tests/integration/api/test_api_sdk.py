"""The SDK against a real front: both clients, broken streams, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

import httpx
import pytest
from tests.support.api_front import Front, Submit, make_front

from aos.actors.runs.events import RunStatus
from aos.api.client import AosClient, ApiError, AsyncAosClient, NotRunning
from aos.cluster.postgres import Database
from aos.skills.contracts import AgentProfile


@pytest.fixture
async def aos(front: Front) -> AsyncIterator[AsyncAosClient]:
    async with AsyncAosClient(front.url, await front.key()) as client:
        yield client


async def test_agents_and_runs_are_typed(aos: AsyncAosClient) -> None:
    profile = AgentProfile(name="researcher", skills=("http_call",))
    made = await aos.agents.create(profile)
    assert made.profile == profile
    assert await aos.agents.get("researcher") == made
    assert (await aos.agents.list()).items == [made]
    run = await aos.runs.create("researcher", "do it", priority=2)
    assert (run.status, run.priority, run.final) == ("pending", 2, False)
    assert await aos.runs.get(run.id) == run
    page = await aos.runs.list(agent=made.id, status="pending")
    assert [each.id for each in page.items] == [run.id]
    assert (await aos.status()).runs == {"pending": 1}
    assert await aos.supervision_events() == []
    page = await aos.tree_events(child="researcher", kind="ended", since=made.created_at, limit=1)
    assert (page.items, page.next_cursor) == ([], None)
    assert "it had no run yet" in str(page.why)
    assert (await aos.tree()).id == "root"
    assert (await aos.agents.release("researcher")).id == made.id


async def test_the_same_key_is_the_same_run_and_no_key_is_a_new_one(
    aos: AsyncAosClient, agent: UUID
) -> None:
    runs = [
        await aos.runs.create("researcher", "x", idempotency_key=key)
        for key in ("once", "once", None, None)
    ]
    assert runs[0].id == runs[1].id
    assert len({run.id for run in runs}) == 3


async def test_a_refusal_is_an_error_with_code_and_next_action(
    aos: AsyncAosClient, agent: UUID
) -> None:
    with pytest.raises(ApiError, match="AOS-3101") as caught:
        await aos.runs.create("nobody", "x")
    assert (caught.value.status, caught.value.retryable) == (404, False)
    assert "aos agent ls" in caught.value.next_action
    with pytest.raises(ApiError) as refused:
        await aos.runs.create("researcher", " ")
    assert refused.value.errors[0]["field"] == "goal"


async def test_waiting_returns_the_finished_run(aos: AsyncAosClient, submit: Submit) -> None:
    journal = await submit()
    waiting = asyncio.create_task(aos.runs.wait(journal.run_id))
    await journal.started()
    await journal.planned()
    await journal.finished("here", RunStatus.PARTIAL)
    run = await waiting
    assert (run.status, run.answer, run.final) == ("partial", "here", True)


async def test_waiting_has_an_end_and_the_run_goes_on(aos: AsyncAosClient, submit: Submit) -> None:
    journal = await submit()
    with pytest.raises(TimeoutError, match="goes on"):
        await aos.runs.wait(journal.run_id, timeout=0.2)


class Cutting(httpx.AsyncBaseTransport):
    """Breaks every second event stream in the middle of an event."""

    def __init__(self) -> None:
        self.real = httpx.AsyncHTTPTransport()
        self.streams: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.real.handle_async_request(request)
        if not request.url.path.endswith("/events"):
            return response
        self.streams.append(request.headers["last-event-id"])
        if len(self.streams) % 2:
            response.stream = Cut(response.stream)
        return response

    async def aclose(self) -> None:
        await self.real.aclose()


class Cut(httpx.AsyncByteStream):
    def __init__(self, whole: httpx.SyncByteStream | httpx.AsyncByteStream) -> None:
        assert isinstance(whole, httpx.AsyncByteStream)
        self.whole = whole

    async def __aiter__(self) -> AsyncIterator[bytes]:
        first = True
        async for chunk in self.whole:
            if not first:
                yield chunk[: len(chunk) // 2]
                raise httpx.ReadError("cut")
            first = False
            yield chunk

    async def aclose(self) -> None:
        await self.whole.aclose()


async def test_a_broken_stream_goes_on_and_repeats_nothing(front: Front, submit: Submit) -> None:
    journal = await submit()
    transport = Cutting()
    async with AsyncAosClient(front.url, await front.key(), transport=transport) as aos:

        async def follow() -> list[int]:
            return [event.seq async for event in aos.runs.events(journal.run_id)]

        following = asyncio.create_task(follow())
        await journal.started()
        await journal.planned("a", "b")
        await journal.settled("a")
        await journal.settled("b")
        await journal.finished()
        assert await following == [1, 2, 3, 4, 5, 6]
    assert len(transport.streams) > 1


async def test_a_client_follows_a_run_over_a_restart_of_the_front(
    front: Front, database: Database, database_url: str, submit: Submit
) -> None:
    journal = await submit()
    async with AsyncAosClient(front.url, await front.key()) as aos:
        seen: list[int] = []
        heard = asyncio.Event()

        async def follow() -> None:
            async for event in aos.runs.events(journal.run_id):
                seen.append(event.seq)
                heard.set()

        following = asyncio.create_task(follow())
        await heard.wait()
        port = int(front.url.rsplit(":", 1)[1])
        await front.served.stop()
        await journal.started()
        await journal.planned()
        again = await make_front(database, database_url, front.home, http_port=port)
        await journal.finished()
        await following
        await again.close()
    assert seen == [1, 2, 3, 4]


async def test_nobody_there() -> None:
    async with AsyncAosClient("http://127.0.0.1:1", "aos_key") as aos:
        with pytest.raises(NotRunning, match="nothing listens") as caught:
            await aos.status()
    assert "aos up" in caught.value.next_action


async def test_the_waiting_client_does_the_same(front: Front, submit: Submit) -> None:
    journal = await submit()
    key = await front.key()

    def use() -> list[str]:
        with AosClient(front.url, key) as aos:
            kinds = [event.kind for event in aos.runs.events(journal.run_id)]
            run = aos.runs.wait(journal.run_id)
            assert (run.answer, aos.runs.list().items[0].id) == ("done", run.id)
            assert aos.agents.list().items[0].name == "researcher"
            assert aos.agents.get("researcher").state == "active"
            with pytest.raises(ApiError):
                aos.agents.create(AgentProfile(name="researcher"))
            assert aos.status().runs == {"completed": 1}
            assert aos.supervision_events() == []
            assert "researcher is active" in str(aos.tree_events(child="researcher").why)
            assert [node.title for node in aos.tree().walk()] == ["root"]
            assert aos.agents.release("researcher").name == "researcher"
            return kinds

    using = asyncio.create_task(asyncio.to_thread(use))
    await journal.started()
    await journal.planned()
    await journal.finished()
    assert await using == ["run_submitted", "run_started", "step_settled", "run_finished"]


async def test_a_retryable_refusal_is_tried_again(front: Front) -> None:
    answers: Iterator[httpx.Response] = iter(
        [
            httpx.Response(503, json={"code": "AOS-5001", "retryable": True}),
            httpx.Response(200, json={"items": [], "next_cursor": None}),
        ]
    )
    transport = httpx.MockTransport(lambda _: next(answers))
    async with AsyncAosClient(front.url, "aos_key", transport=transport) as aos:
        assert (await aos.runs.list()).items == []
