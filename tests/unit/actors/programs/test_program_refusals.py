"""What a program may not use, and what it is told to use instead."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from tests.support.programs import BEGIN, Life, execution, first_turn, ids, source

from aos.actors.programs import NondeterministicProgram, program_of
from aos.actors.programs.loop import ProgramLoop
from aos.actors.programs.refusals import REFUSED
from aos.actors.programs.scribe import Scribe

HEAD = """
        import asyncio, os, random, secrets, threading, time, uuid
        import datetime as dates
        from datetime import UTC, date, datetime
        from random import Random, SystemRandom, choice
        from time import time as clock
        from uuid import uuid4

        async def agent(ctx, goal):
            {body}
            return 1
"""
LINE = 10


@pytest.mark.parametrize(
    ("body", "instead"),
    [
        ("await asyncio.sleep(5)", "ctx.sleep"),
        ("async with asyncio.timeout(5): await ctx.signal('go')", "ctx.sleep"),
        ("await asyncio.wait_for(asyncio.get_running_loop().create_future(), 5)", "ctx.sleep"),
        ("await asyncio.wait([asyncio.create_task(ctx.signal('go'))], timeout=5)", "ctx.sleep"),
        ("asyncio.get_running_loop().call_later(1, print)", "ctx.sleep"),
        ("asyncio.get_running_loop().time()", "ctx.sleep"),
        ("await asyncio.to_thread(print)", "a skill"),
        ("await asyncio.open_connection('localhost', 1)", "a skill"),
        ("await asyncio.start_server(print, 'localhost', 1)", "a skill"),
        ("await asyncio.create_subprocess_exec('ls')", "a skill"),
        ("await asyncio.create_subprocess_shell('ls')", "a skill"),
        ("await asyncio.get_running_loop().getaddrinfo('localhost', 1)", "a skill"),
        ("asyncio.get_running_loop().call_soon_threadsafe(print)", "a skill"),
        ("asyncio.get_running_loop().add_signal_handler(1, print)", "ctx.signal"),
        ("asyncio.get_running_loop().stop()", "nothing"),
        ("list(asyncio.as_completed([asyncio.sleep(0)]))", "asyncio.create_task"),
    ],
)
@pytest.mark.parametrize("caught", [False, True])
def test_what_would_ask_the_world_is_refused_with_what_to_use(
    body: str, instead: str, caught: bool
) -> None:
    """A program that catches the refusal ends all the same."""
    if caught:
        body = f"""
            try:
                {body}
            except Exception:
                pass
            await ctx.call("fetch")""".lstrip()
    told = first_turn(HEAD.replace("{body}", body))
    assert told.error is not None
    code, message, line = told.error
    assert code == "ERR_NONDETERMINISTIC"
    assert f"use {instead}" in message
    assert line == f"agent.py:{LINE + caught} in agent"
    assert line in message


def test_a_whole_loop_is_refused_but_what_programs_need() -> None:
    needed = {
        "call_soon", "create_future", "create_task", "call_exception_handler", "get_debug",
        "is_running", "is_closed", "close", "time", "_timer_handle_cancelled",
    }  # fmt: skip
    everything = {name for name in vars(asyncio.AbstractEventLoop) if not name.startswith("__")}
    assert everything - REFUSED.keys() <= needed
    loop = ProgramLoop("x.py", Scribe(print))
    for name in REFUSED:
        with pytest.raises(NondeterministicProgram, match=REFUSED[name].partition(" ")[0]):
            getattr(loop, name)()
    loop.close()


def test_what_asyncio_offers_a_program() -> None:
    run = Life(
        source("""
        import asyncio

        async def producer(ctx, queue):
            for name in ("a", "b"):
                await queue.put(await ctx.call(name))
            await queue.put(None)

        async def agent(ctx, goal):
            queue, event, lock = asyncio.Queue(1), asyncio.Event(), asyncio.Lock()
            task = asyncio.create_task(producer(ctx, queue))
            seen = []
            while (item := await queue.get()) is not None:
                async with lock:
                    seen.append(item)
                await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(event.set)
            await event.wait()
            await asyncio.shield(asyncio.wait_for(task, None))
            async with asyncio.timeout(None), asyncio.Semaphore(1):
                tasks = [asyncio.create_task(ctx.call(name)) for name in ("c", "d")]
                return [seen, [await each for each in asyncio.as_completed(tasks)]]
    """)
    )
    assert ids(run.advance()) == ["s1"]
    assert ids(run.told(s1=1)) == ["s1-2"]
    assert len(run.told(s1_2=2).requests) == 2
    waiting = run.execution.pending
    assert run.told(**dict.fromkeys([each.replace("-", "_") for each in waiting], 3)).answer == [
        [1, 2], [3, 3],
    ]  # fmt: skip


def test_the_context_is_of_its_own_loop() -> None:
    told = first_turn("""
        import asyncio, threading

        async def agent(ctx, goal):
            thread = threading.Thread(target=lambda: asyncio.run(ask()))
            async def ask():
                try:
                    await ctx.call("fetch")
                except Exception:
                    pass
            thread.start()
            thread.join()
    """)
    assert told.error is not None
    assert told.error[0] == "ERR_NONDETERMINISTIC"
    assert "fetch awaited elsewhere" in told.error[1]


@pytest.mark.parametrize(
    ("expression", "what", "instead"),
    [
        ("time.time()", "time.time", "ctx.now()"),
        ("clock()", "time.time", "ctx.now()"),
        ("time.monotonic_ns()", "time.monotonic_ns", "ctx.now()"),
        ("time.perf_counter()", "time.perf_counter", "ctx.now()"),
        ("time.sleep(0)", "time.sleep", "ctx.sleep"),
        ("datetime.now()", "datetime.now", "ctx.now()"),
        ("datetime.now(UTC)", "datetime.now", "ctx.now()"),
        ("datetime.now(tz=UTC)", "datetime.now", "ctx.now()"),
        ("dates.datetime.utcnow()", "datetime.utcnow", "ctx.now()"),
        ("datetime.today()", "datetime.today", "ctx.now()"),
        ("date.today()", "date.today", "ctx.now()"),
        ("random.random()", "Random.random", "ctx.random"),
        ("random.randint(1, 2)", "random.randint", "ctx.random"),
        ("choice([1, 2])", "random.choice", "ctx.random"),
        ("random.shuffle([1, 2])", "random.shuffle", "ctx.random"),
        ("random.seed(1)", "random.seed", "ctx.random"),
        ("Random()", "random.__init__", "ctx.random"),
        ("SystemRandom()", "random.__init__", "ctx.random"),
        ("os.urandom(4)", "posix.urandom", "ctx.random.randbytes"),
        ("uuid4()", "uuid.uuid4", "ctx.uuid()"),
        ("uuid.uuid1()", "uuid.uuid1", "ctx.uuid()"),
        ("secrets.token_hex()", "secrets.token_hex", "ctx.random.randbytes"),
        ("secrets.choice([1])", "random.choice", "ctx.random"),
        ("[time.time() for _ in range(1)]", "time.time", "ctx.now()"),
        ("(lambda: uuid4())()", "uuid.uuid4", "ctx.uuid()"),
    ],
)
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow")
def test_development_refuses_clocks_and_chance(expression: str, what: str, instead: str) -> None:
    text = HEAD.replace("{body}", f"await ctx.call('before', x=str({expression}))")
    told = first_turn(text, development=True)
    assert told.error is not None
    assert told.error[0] == "ERR_NONDETERMINISTIC"
    assert told.error[1].startswith(f"{what} at agent.py:{LINE} in ")
    assert told.error[1].endswith(f"use {instead}")
    assert first_turn(text).error is None, "production pays nothing, and is not guarded"


@pytest.mark.parametrize(
    "expression",
    [
        "ctx.now()", "ctx.random.random()", "ctx.random.choice([1])", "ctx.uuid()",
        "Random(5).randint(1, 2)", "Random(5).random()", "ctx.random.seed(5)",
        "datetime(2026, 1, 1)", "datetime.fromisoformat('2026-01-01')", "date(2026, 1, 1)",
        "uuid.UUID(int=1)", "uuid.uuid5(uuid.NAMESPACE_DNS, 'x')", "{}.get([].pop)",
        "secrets.compare_digest('a', 'a')",
        "time.strftime('%Y', time.gmtime(0))", "os.path.join('a', 'b')", "len(goal)",
    ],
)  # fmt: skip
def test_development_lets_the_rest_pass(expression: str) -> None:
    text = HEAD.replace("{body}", f"await ctx.call('fetch', x=str({expression}))")
    told = first_turn(text, development=True)
    assert told.error is None
    assert ids(told) == ["s1"]


@pytest.fixture
def busy_thread() -> Iterator[list[float]]:
    """Another thread that uses the clock and chance all the time, from this file."""
    ends, times = threading.Event(), list[float]()

    def work() -> None:
        while not ends.is_set():
            times[:] = [time.time(), random.random()]  # noqa: S311 - what the guard is about
            uuid.uuid4()

    thread = threading.Thread(target=work)
    thread.start()
    yield times
    ends.set()
    thread.join()
    assert not isinstance(times[0], BaseException)


def test_the_guard_is_for_the_programs_file_and_thread_only(busy_thread: list[float]) -> None:
    """The program is of this very file, as the busy thread's work is; the library is not."""

    async def agent(ctx: object, goal: str) -> str:
        return str(uuid.uuid3(uuid.NAMESPACE_DNS, goal)) + str(bool(threading.Lock()))

    before = sys.getprofile()
    for _ in range(50):
        begun = execution(program_of(agent), development=True)
        assert begun.advance((), BEGIN).error is None
    assert sys.getprofile() is before
    assert datetime.now(UTC) > BEGIN


def test_a_profiler_that_is_there_stays() -> None:
    seen: list[str] = []

    def profile(frame: object, event: str, arg: object) -> None:
        seen.append(event)

    sys.setprofile(profile)
    try:
        told = first_turn(HEAD.replace("{body}", "time.time()"), development=True)
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
    assert told.error is None
    assert seen


def test_the_guard_watches_replays_too() -> None:
    run = Life(
        source(HEAD.replace("{body}", "await ctx.call('a'); time.time(); await ctx.sleep(1)"))
    )
    run.advance()
    run.told(s1=0)
    with pytest.raises(Exception, match=r"attempts the end with ERR_NONDETERMINISTIC: time.time"):
        run.again(development=True)
