"""A process that serves an agent: what is done there, what is left out, what is told when."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from tests.support.running import RunningAos, eventually

from aos.actors.lanes.wire import Chain, Link, Said, Station, order, read
from aos.skills.call import SkillCall
from aos.skills.contracts import JsonObject

PROGRAM = """
import sys
from aos.actors.lanes import serving
payload, box, tell, look = sys.argv[1:]
serving.BOX, serving._TELL, serving._LOOK = float(box), float(tell), float(look)
generator = serving.serve(payload)
try:
    while True:
        next(generator)
except StopIteration as stop:
    print(stop.value)
"""


PLUGIN = Path(__file__).parents[1] / "plugin"
PLUGGED_IN = os.environ | {"PYTHONPATH": str(PLUGIN)}


def call(step_id: str, skill: str = "json_transform", **params: Any) -> SkillCall:
    given = {"operation": "extract", **params} if skill == "json_transform" else params
    return SkillCall(
        run_id="r", step_id=step_id, attempt=1, skill=skill, version="", params=given,
        idempotency_key=f"r/{step_id}/1", seed=0, tenant="t", trace_id="0" * 32,
    )  # fmt: skip


def link(step_id: str, *follows: str, known: JsonObject | None = None, **params: Any) -> Link:
    made = call(step_id, **params)
    return Link(call=made, follows=follows, known=known or {}, literal=not (follows or known))


class Agent:
    """The other end of a process's connection."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.met: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.token = ""
        self._sent = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.token = (await read(reader) or b"").decode()
        self.met.set_result(None)

    def send(self, *chains: tuple[Link, ...]) -> None:
        for links in chains:
            self._sent += 1
            self._writer.write(order(self._sent, Chain(links=links)))

    def stop(self, number: int) -> None:
        self._writer.write(order(number, None))

    async def hears(self) -> Said | None:
        """What it says next; None: it has closed the connection."""
        body = await read(self._reader)
        return None if body is None else Said.model_validate_json(body)

    async def hears_all(self) -> list[tuple[int, int, Any]]:
        """What it says until every chain has ended: outputs or codes."""
        heard: list[tuple[int, int, Any]] = []
        ended = 0
        while ended < self._sent and (said := await self.hears()) is not None:
            ended += len(said.ended)
            heard += [_short(*each) for each in said.told]
        return heard

    async def leave(self) -> None:
        """Close the connection."""
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def close(self) -> str:
        """Let it go; what its task returned."""
        await self.leave()
        out, _ = await self._process.communicate()
        assert self._process.returncode == 0
        return out.decode().strip()


def _short(chain: int, index: int, outcome: Any) -> tuple[int, int, Any]:
    output = outcome.output
    return chain, index, output["result"] if outcome.ok else outcome.code


@asynccontextmanager
async def serving(
    width: int = 1, box: float = 10, tell: float = 10, look: float = 10
) -> AsyncIterator[Agent]:
    """A process that serves, and the agent that it serves, within a minute."""
    agents: list[Agent] = []

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await agents[0].meet(reader, writer)

    async with asyncio.timeout(60):
        server = await asyncio.start_server(meet, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        station = Station(host="127.0.0.1", port=port, token="secret", width=width)
        given = [station.model_dump_json(), *map(str, (box, tell, look))]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM, *given, stdout=asyncio.subprocess.PIPE, env=PLUGGED_IN
        )
        agents.append(Agent(process))
        try:
            await agents[0].met
            yield agents[0]
        finally:
            server.close()
            await agents[0].leave()
            if process.returncode is None:
                process.kill()
                await process.wait()


async def test_a_chain_goes_on_with_what_it_has_found() -> None:
    first = link("a", data={"x": {"y": 7}}, path="x")
    then = link("b", "a", data="{{a.result}}", path="y")
    last = link("c", "b", known={"z": [5]}, data={"p": "{{b.result}}", "q": "{{z.0}}"}, path="q")
    async with serving() as agent:
        assert agent.token == "secret"
        agent.send((first, then, last))
        said = await agent.hears()
        assert said is not None
        assert [_short(*each) for each in said.told] == [(1, 0, {"y": 7}), (1, 1, 7), (1, 2, 5)]
        assert (said.ended, said.leaving) == ((1,), False)
        assert await agent.close() == "None", "the process may serve others"


async def test_what_needs_something_that_failed_is_left_out_and_other_chains_go_on() -> None:
    bad = link("a", data={"x": 1}, path="nothing")
    after = link("b", "a", data="{{a.result}}", path="y")
    other = link("a", data={"x": 1}, path="x")
    async with serving() as agent:
        agent.send((bad, after), (other,))
        assert await agent.hears_all() == [(1, 0, "ERR_TRANSFORM_FAILED"), (2, 0, 1)]


async def test_a_reference_that_leads_nowhere_is_the_steps_failure() -> None:
    first = link("a", data={"x": 1}, path="x")
    lost = link("b", "a", data="{{a.nothing}}", path="y")
    async with serving() as agent:
        agent.send((first, lost))
        assert await agent.hears_all() == [(1, 0, 1), (1, 1, "ERR_INVALID_REFERENCE")]


async def test_when_time_is_up_something_was_done_and_the_rest_is_left() -> None:
    chain = tuple(link(step_id, data={"x": 1}, path="x") for step_id in "abc")
    async with serving(box=0) as agent:
        agent.send(chain, chain)
        assert await agent.hears_all() == [(1, 0, 1), (2, 0, 1)]


async def test_an_outcome_is_told_before_the_next_call_is_over() -> None:
    slow = Link(call=call("b", "hoard", how="stubborn", megabytes=0))
    async with serving(tell=0) as agent:
        agent.send((link("a", data={"x": 1}, path="x"), slow))
        said = await agent.hears()
        assert said is not None
        assert [_short(*each) for each in said.told] == [(1, 0, 1)]
        assert said.ended == ()


async def test_what_is_stopped_ends_and_what_comes_after_it_is_done() -> None:
    waiting = Link(call=call("w", "hoard", how="shared", megabytes=1))
    async with serving(tell=0) as agent:
        agent.send((waiting,), (link("a", data={"x": 1}, path="x"),))
        agent.stop(1)
        assert await agent.hears_all() == [(2, 0, 1)]


async def test_calls_that_wait_go_side_by_side() -> None:
    waiting = Link(call=call("w", "hoard", how="shared", megabytes=1))
    async with serving(width=3, tell=0) as agent:
        agent.send((waiting,), (waiting,), (link("a", data={"x": 1}, path="x"),))
        said = await agent.hears()
        assert said is not None
        assert [_short(*each) for each in said.told] == [(3, 0, 1)]
        assert await agent.close() == "spent", "it was let go with calls under way"


async def test_memory_that_runs_out_side_by_side_is_nobodys() -> None:
    waiting = Link(call=call("w", "hoard", how="shared", megabytes=1))
    leak = Link(call=call("l", "hoard", how="leak", megabytes=10_000))
    async with serving(width=2, tell=0) as agent:
        agent.send((waiting,), (leak,))
        heard = await agent.hears()
        while heard is not None:
            assert heard.told == ()
            heard = await agent.hears()
        assert await agent.close() == "spent"


async def test_memory_that_runs_out_in_turn_is_the_steps_failure() -> None:
    leak = Link(call=call("l", "hoard", how="leak", megabytes=10_000))
    async with serving() as agent:
        agent.send((leak,))
        said = await agent.hears()
        assert said is not None
        assert [_short(*each) for each in said.told] == [(1, 0, "ERR_OUT_OF_MEMORY")]
        assert said.leaving
        assert await agent.close() == "spent"


async def test_calls_that_keep_their_process_from_waiting_are_told_of() -> None:
    busy = Link(call=call("b", "hoard", how="pass", megabytes=100))
    async with serving(width=2, tell=0, look=0) as agent:
        agent.send((busy,), (busy,))
        crowded = False
        while not crowded and (said := await agent.hears()) is not None:
            crowded = said.crowded
        assert crowded


def submitted(aos: RunningAos, agent: str, *steps: dict[str, Any]) -> Any:
    goal = json.dumps({"steps": steps, "answer": "done"})
    return aos.client.runs.create(agent, goal).id


def step(step_id: str, skill: str, *needs: str, **params: Any) -> dict[str, Any]:
    made = {"id": step_id, "skill": skill, "params": params, "on_error": "continue"}
    return {**made, "depends_on": list(needs)}


def hoard(step_id: str, *needs: str, how: str = "pass", megabytes: int = 1) -> dict[str, Any]:
    return step(step_id, "hoard", *needs, how=how, megabytes=megabytes)


@pytest.mark.ray
def test_a_shared_process_that_dies_is_told_of_the_step_that_killed_it(
    aos: RunningAos, literal_agent: str
) -> None:
    quick = submitted(aos, literal_agent, hoard("x"), hoard("y", "x"), hoard("z", "y"))
    assert aos.client.runs.wait(quick, timeout=60).status == "completed"
    run = submitted(
        aos,
        literal_agent,
        hoard("a"),
        hoard("b", "a"),
        hoard("c", "b", how="abort", megabytes=10_000),
        hoard("d", "b"),
    )
    ended = aos.client.runs.wait(run, timeout=60)
    steps = {each.id: (each.status, each.code, each.attempts) for each in ended.steps[1:]}
    assert steps == {
        "a": ("succeeded", "OK", 1),
        "b": ("succeeded", "OK", 1),
        "c": ("failed", "ERR_WORKER_DIED", 1),
        "d": ("succeeded", "OK", 1),
    }


@pytest.mark.ray
def test_a_step_that_is_slow_all_at_once_is_cancelled_like_any_other(
    aos: RunningAos, literal_agent: str
) -> None:
    front = step("a", "http_call", url=aos.site.url("/"))
    for _ in range(5):  # until it is known to be quick, however busy the machine is
        run = submitted(aos, literal_agent, front)
        assert aos.client.runs.wait(run, timeout=60).status == "completed"
    path = f"/slow/{literal_agent}"
    mark = len(aos.site.arrivals)
    slow = step("b", "http_call", "a", url=aos.site.url(path))
    run = submitted(aos, literal_agent, front, slow, step("c", "http_call", "b", url="{{b.url}}"))
    aos.site.await_arrival(lambda arrival: arrival.path == path, after=mark)
    aos.client.runs.cancel(run)
    ended = aos.client.runs.wait(run, timeout=60)
    assert (ended.status, ended.steps[1].status, ended.steps[3].status) == (
        "cancelled",
        "succeeded",
        "skipped",
    )
    assert ended.steps[2].code in ("ERR_CANCELLED", "OK"), "it may have been answered just before"


@pytest.mark.ray
def test_calls_that_mostly_wait_are_made_side_by_side_in_one_process(
    aos: RunningAos, literal_agent: str
) -> None:
    naps = [hoard(step_id, how="nap") for step_id in "abcdef"]

    def pids(count: int) -> list[str]:
        goal = {"steps": naps[:count], "answer": [f"{{{{{s}.pid}}}}" for s in "abcdef"[:count]]}
        run = aos.client.runs.create(literal_agent, json.dumps(goal))
        ended = aos.client.runs.wait(run.id, timeout=60)
        assert ended.status == "completed", ended.message
        return json.loads(json.dumps(ended.answer))

    # Each by itself at first; one that a busy machine made look busy has to be forgotten.
    eventually(lambda: pids(1) != [] and len(set(pids(6))) == 1, 120)
