"""What a program asks for, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.support.programs import BEGIN, Life, execution, first_turn, ids, source

from aos.actors.programs import (
    Advanced,
    Delivery,
    IllegalAdvance,
    Request,
    RequestKind,
    SkillFailed,
    Turn,
    kind_of,
)
from aos.skills.contracts import TAXONOMY, RetryPolicy


def life(text: str, **options: Any) -> Life:
    return Life(source(text), options)


def test_a_call_is_a_request_with_its_place() -> None:
    told = first_turn("""
        async def agent(ctx, goal):
            await ctx.call("http_call@1.2.0", url=goal)
    """)
    assert told == Advanced(
        requests=(
            Request(
                id="s1",
                kind=RequestKind.CALL,
                skill="http_call@1.2.0",
                params={"url": "the goal"},
                line="agent.py:3 in agent",
            ),
        )
    )


@pytest.mark.parametrize(
    ("expression", "kind", "params"),
    [
        ("ctx.sleep(1.5)", "timer", {"seconds": 1.5}),
        ("ctx.sleep(timedelta(minutes=1))", "timer", {"seconds": 60}),
        ("ctx.sleep(-1)", "timer", {"seconds": 0}),
        (
            "ctx.sleep_until(datetime(2026, 3, 2, tzinfo=UTC))",
            "timer",
            {"until": "2026-03-02T00:00:00+00:00"},
        ),
        ("ctx.signal('go')", "signal", {"name": "go"}),
        ("ctx.signal('go', timeout=3)", "signal", {"name": "go", "timeout_s": 3}),
        ("ctx.decision('well?')", "decision", {"question": "well?"}),
        (
            "ctx.decision('well?', timeout=timedelta(hours=1))",
            "decision",
            {"question": "well?", "timeout_s": 3600},
        ),
        ("ctx.spawn('sweep')", "child", {"goal": "sweep"}),
        (
            "ctx.spawn('sweep', agent='broom', program='p')",
            "child",
            {"goal": "sweep", "agent": "broom", "program": "p"},
        ),
        ("ctx.call('fetch', {'a': (1, 2)})", "call", {"a": [1, 2]}),
        ("ctx.call('fetch')", "call", {}),
        ("ctx.call('fetch', Page(url='u', at=goal))", "call", {"url": "u", "at": "the goal"}),
        (
            "ctx.call('fetch', page=Page(url='u', at='x'))",
            "call",
            {"page": {"url": "u", "at": "x"}},
        ),
        (
            "ctx.call('fetch', id=UUID(int=1), day=date(2026, 3, 2))",
            "call",
            {"id": "00000000-0000-0000-0000-000000000001", "day": "2026-03-02"},
        ),
    ],
)
def test_what_can_be_awaited(expression: str, kind: str, params: object) -> None:
    told = first_turn(f"""
        from datetime import UTC, date, datetime, timedelta
        from uuid import UUID
        from pydantic import BaseModel

        class Page(BaseModel):
            url: str
            at: str

        async def agent(ctx, goal):
            return await {expression}
    """)
    (request,) = told.requests
    assert (request.kind, request.params) == (kind, params)
    assert request.kind is kind_of(request.skill)


@pytest.mark.parametrize(
    "expression",
    [
        "ctx.call('wait.timer', seconds=1)",
        "ctx.call('run.child@1.0.0', goal='x')",
        "ctx.call('Not A Name')",
        "ctx.call('fetch', {'a': 1}, b=2)",
        "ctx.call('fetch', [1])",
        "ctx.call('fetch', words={'a', 'b'})",
        "ctx.call('fetch', x=float('nan'))",
        "ctx.call('fetch', x=2**60)",
        "ctx.call('fetch', x=chr(0xd800))",
        "ctx.call('fetch', {1: 2})",
        "ctx.call('fetch', x=print)",
        "ctx.sleep(float('inf'))",
        "ctx.sleep_until(__import__('datetime').datetime(2026, 3, 2))",
    ],
)
def test_what_cannot_be_recorded_is_refused_inside_the_program(expression: str) -> None:
    told = first_turn(f"""
        async def agent(ctx, goal):
            await {expression}
    """)
    assert told.error is not None
    code, message, line = told.error
    assert (code, line) == ("ERR_PROGRAM_FAILED", "agent.py:3 in agent")
    assert message.startswith("UnrecordableRequest: AOS-3023")


def test_retries_travel_with_the_request() -> None:
    policy = RetryPolicy(max_attempts=7)
    begun = life(
        """
        from aos.skills.contracts import RetryPolicy

        async def agent(ctx, goal):
            await ctx.call("fetch", retry=RetryPolicy(max_attempts=7))
        """
    ).advance()
    assert begun.requests[0].retry == policy


def test_branches_have_names_of_their_own() -> None:
    run = life("""
        import asyncio

        async def two(ctx):
            await ctx.call("b")
            return await ctx.call("c")

        async def nested(ctx):
            return await ctx.gather(two(ctx), ctx.call("d"))

        async def agent(ctx, goal):
            await ctx.call("a")
            await ctx.gather(two(ctx), nested(ctx), ctx.call("e"))
            await ctx.call("f")
    """)
    assert ids(run.advance()) == ["s1"]
    assert ids(run.told(s1=0)) == ["s2", "s4", "s3-1", "s3-2"]
    assert ids(run.told(s2=0, s3_1=0)) == ["s2-2", "s3-1-2"]
    assert ids(run.told(s2_2=0, s3_1_2=0, s3_2=0, s4=0)) == ["s5"]
    assert run.told(s5=0).finished


def test_one_more_call_in_a_branch_renames_nothing_in_another() -> None:
    text = """
        async def left(ctx):
            {more}
            await ctx.call("left")

        async def right(ctx):
            await ctx.call("right")
            await ctx.call("right", n=2)

        async def agent(ctx, goal):
            await ctx.gather(left(ctx), right(ctx))
    """
    for more in ("pass", "await ctx.call('more')"):
        run = life(text.replace("{more}", more))
        assert ids(run.advance()) == ["s1", "s2"]
        assert ids(run.told(s2=0)) == ["s2-2"]


def test_names_stay_within_their_limit() -> None:
    run = life("""
        async def deep(ctx, depth):
            if not depth:
                await ctx.gather(ctx.call("fetch"), ctx.call("fetch"))
            else:
                await ctx.gather(deep(ctx, depth - 1))

        async def agent(ctx, goal):
            await deep(ctx, 60)
    """)
    names = ids(run.advance())
    assert len(set(names)) == 2
    assert all(len(name) <= 63 for name in names)


def test_results_are_told_one_at_a_time_in_order() -> None:
    text = """
        async def agent(ctx, goal):
            seen = []
            async def one(name):
                await ctx.call(name)
                seen.append(name)
                await ctx.call("after", seen=list(seen))
            await ctx.gather(one("a"), one("b"), one("c"))
    """
    run = life(text)
    run.advance()
    told = run.told(s3=0, s1=0, s2=0)
    assert [request.params["seen"] for request in told.requests] == [
        ["c"], ["c", "a"], ["c", "a", "b"],
    ]  # fmt: skip


def test_a_failure_can_be_caught() -> None:
    run = life("""
        from aos.actors.programs import SkillFailed

        async def agent(ctx, goal):
            try:
                await ctx.call("fetch")
            except SkillFailed as failure:
                return [failure.code, failure.message, str(failure)]
    """)
    run.advance()
    told = run.advance(Delivery("s1", failure=("ERR_HTTP_404", "gone")))
    assert told.answer == ["ERR_HTTP_404", "gone", "ERR_HTTP_404: gone"]


def test_a_failure_that_is_not_caught_ends_the_program() -> None:
    run = life("""
        async def agent(ctx, goal):
            await ctx.gather(ctx.call("fetch"), ctx.call("mail"))
    """)
    run.advance()
    told = run.advance(Delivery("s1", failure=("ERR_HTTP_404", "gone")))
    assert told == Advanced(
        finished=True,
        error=(
            "ERR_PROGRAM_FAILED",
            "SkillFailed: ERR_HTTP_404: gone",
            "agent.py:3 in agent",
        ),
        abandoned=("s2",),
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return {'a': {1}}", "the program's answer is not JSON"),
        ("raise ValueError('no\\ud800\\0')", "ValueError: no?\ufffd"),
        ("raise Silent", "Silent"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("import asyncio; raise asyncio.CancelledError", "it cancelled itself"),
        ("import asyncio; asyncio.current_task().cancel(); await ctx.sleep(1)", "it cancelled"),
        ("raise ExceptionGroup('g', [ValueError('a'), KeyError('b')])", "ValueError: a; KeyError"),
    ],
)
def test_how_programs_fail(body: str, message: str) -> None:
    told = first_turn(f"""
        class Silent(Exception):
            def __str__(self):
                raise RuntimeError

        async def agent(ctx, goal):
            {body}
    """)
    assert told.finished
    assert told.error is not None
    assert told.error[0] == "ERR_PROGRAM_FAILED"
    assert told.error[1].startswith(message)
    assert not told.requests


def test_an_exit_in_a_branch_is_that_branches_failure() -> None:
    told = first_turn("""
        import sys

        async def leave():
            sys.exit("bye")

        async def agent(ctx, goal):
            await ctx.gather(leave(), ctx.call("fetch"))
    """)
    assert told.error == ("ERR_PROGRAM_FAILED", "SystemExit: bye", "agent.py:5 in leave")


@pytest.mark.parametrize("raised", ["MemoryError()", "ExceptionGroup('g', [MemoryError()])"])
def test_running_out_of_memory_is_the_machines_failure_and_not_recorded(raised: str) -> None:
    begun = execution(source(f"""
        async def agent(ctx, goal):
            raise {raised}
    """))  # fmt: skip
    with pytest.raises((MemoryError, ExceptionGroup)):
        begun.advance((), BEGIN)
    with pytest.raises(IllegalAdvance):
        begun.advance((), BEGIN)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("await asyncio.Event().wait()", "agent.py:11 in agent"),
        ("await ctx.gather(held(), held())", "agent.py:11 in agent"),
        ("await asyncio.Queue().get()", "agent.py:11 in agent"),
    ],
)
def test_waiting_for_what_cannot_come_is_said(text: str, line: str) -> None:
    told = first_turn(f"""
        import asyncio

        lock = asyncio.Lock()

        async def held():
            async with lock:
                await asyncio.Event().wait()

        async def agent(ctx, goal):
            {text}
    """)
    assert told.error is not None
    assert told.error[0] == "ERR_PROGRAM_STUCK"
    assert told.error[1].startswith(f"it waits for nothing that could come: program at {line}")
    assert told.error[2] == line
    if "held" in text:
        assert "s1 at agent.py:8 in held; s2 at agent.py:7 in held" in told.error[1]


def test_polling_is_told_from_waiting() -> None:
    told = first_turn("""
        import asyncio

        async def agent(ctx, goal):
            task = asyncio.create_task(ctx.call("fetch"))
            while not task.done():
                await asyncio.sleep(0)
    """)
    assert told.error is not None
    assert told.error[0] == "ERR_PROGRAM_STUCK"
    assert "without awaiting" in told.error[1]


def test_what_is_pending_at_the_end_is_abandoned() -> None:
    run = life("""
        import asyncio

        async def agent(ctx, goal):
            tasks = [asyncio.create_task(ctx.call(name)) for name in ("a", "b", "c")]
            await tasks[0]
            tasks.append(asyncio.create_task(ctx.call("never_told")))
            await asyncio.sleep(0)
            return goal
    """)
    run.advance()
    assert run.told(s1=0, s3=0) == Advanced(finished=True, answer="the goal", abandoned=("s2",))


def test_cancelling_abandons_and_a_late_result_is_nobodys() -> None:
    run = life("""
        import asyncio

        async def agent(ctx, goal):
            slow = asyncio.create_task(ctx.call("slow"))
            timer = asyncio.create_task(ctx.sleep(5))
            done, pending = await asyncio.wait([slow, timer], return_when="FIRST_COMPLETED")
            for task in pending:
                task.cancel()
            await ctx.call("next", late=slow.cancelled() or "late")
    """)
    run.advance()
    told = run.told(s2=0)
    assert told.abandoned == ("s1",)
    assert ids(told) == ["s3"]
    assert run.told(s1="too late") == Advanced()
    with pytest.raises(IllegalAdvance):
        run.execution.advance([Delivery("s1", 0)], BEGIN)
    assert run.told(s3=0).finished
    assert run.again().finished


def test_a_result_that_meets_its_own_cancellation_was_not_called_off() -> None:
    run = life("""
        import asyncio

        async def agent(ctx, goal):
            tasks = [asyncio.create_task(ctx.call(name)) for name in ("a", "b")]
            await tasks[0]
            tasks[1].cancel()
            await ctx.call("c")
    """)
    run.advance()
    told = run.told(s1=0, s2=0)
    assert (ids(told), told.abandoned) == (["s3"], ())


def test_a_gather_that_fails_leaves_the_others_running() -> None:
    run = life("""
        from aos.actors.programs import SkillFailed

        async def agent(ctx, goal):
            try:
                await ctx.gather(ctx.call("a"), ctx.call("b"))
            except SkillFailed:
                return await ctx.call("c")
    """)
    run.advance()
    told = run.advance(Delivery("s1", failure=("ERR_TIMEOUT", "")))
    assert (ids(told), told.abandoned) == (["s3"], ())
    assert run.told(s2=0) == Advanced()


def test_a_group_that_fails_cancels_the_others() -> None:
    run = life("""
        import asyncio

        async def agent(ctx, goal):
            async with asyncio.TaskGroup() as group:
                for name in ("a", "b", "c"):
                    group.create_task(ctx.call(name))
    """)
    run.advance()
    told = run.advance(Delivery("s2", failure=("ERR_TIMEOUT", "slow")))
    assert told.error is not None
    assert told.error[1] == "SkillFailed: ERR_TIMEOUT: slow"
    assert told.abandoned == ("s1", "s3")


def test_now_is_the_turns_and_chance_the_seeds() -> None:
    text = """
        async def agent(ctx, goal):
            began = [ctx.now().isoformat(), ctx.started_at.isoformat(), ctx.run_id]
            await ctx.sleep(1)
            draws = [ctx.random.random(), str(ctx.uuid()), str(ctx.uuid())]
            return [began, ctx.now().isoformat(), *draws]
    """

    def answer(**options: Any) -> Any:
        run = life(text, started_at=BEGIN - timedelta(days=1), **options)
        run.advance()
        return run.told(s1=0).answer

    told = answer()
    assert told[0] == ["2026-03-01T12:00:00+00:00", "2026-02-28T12:00:00+00:00", "run-1"]
    assert told[1] == "2026-03-01T12:00:01+00:00"
    assert told[3] != told[4]
    assert answer() == told
    assert answer(run_id="run-2")[2:] == told[2:], "a fork keeps its seed"
    others = answer(seed=8)
    assert not set(map(str, others[2:])) & set(map(str, told[2:]))


def test_a_program_cannot_change_what_is_recorded() -> None:
    goal, value = {"list": [1]}, {"deep": [1, {"a": 1}]}
    run = life(
        """
        async def agent(ctx, goal):
            goal["list"].append(2)
            params = {"x": [1]}
            call = ctx.call("fetch", params)
            params["x"].append(2)
            said = await call
            said["deep"][1]["a"] = 2
            return said
        """,
        goal=goal,
    )
    assert run.advance().requests[0].params == {"x": [1]}
    answer = run.told(s1=value).answer
    assert answer == {"deep": [1, {"a": 2}]}
    assert (goal, value) == ({"list": [1]}, {"deep": [1, {"a": 1}]})


def test_logging_is_silent_on_replay_and_afterwards() -> None:
    text = """
        import asyncio

        async def forgotten(ctx):
            try:
                raise LookupError("nobody asks")
            finally:
                ctx.log("in passing")

        async def held(ctx):
            try:
                await ctx.sleep(9)
            finally:
                ctx.log("on its way out")

        async def agent(ctx, goal):
            asyncio.create_task(forgotten(ctx))
            asyncio.create_task(held(ctx))
            ctx.log("one")
            await ctx.call("fetch")
            ctx.log("two")
    """
    said: list[str] = []
    run = life(text, on_log=said.append)
    run.advance()
    assert said[:2] == ["one", "in passing"]
    assert "nobody asks" in said[2]
    run.told(s3=0)
    assert said[3:] == ["two"]
    run.again(on_log=said.append).close()
    assert said[3:] == ["two"]


@pytest.mark.parametrize(
    "deliveries", [["s2"], ["s1", "s1"], ["s1", "s9"]], ids=["unknown", "twice", "one unknown"]
)
def test_what_was_not_asked_for_is_refused_before_anything_happens(deliveries: list[str]) -> None:
    run = life("""
        async def agent(ctx, goal):
            return await ctx.call("fetch")
    """)
    run.advance()
    with pytest.raises(IllegalAdvance):
        run.execution.advance([Delivery(each, 1) for each in deliveries], BEGIN)
    assert run.told(s1=5).answer == 5
    with pytest.raises(IllegalAdvance, match="last turn"):
        run.advance()


def test_two_cannot_advance_at_once() -> None:
    entered, leave = threading.Event(), threading.Event()

    program = source("""
        async def agent(ctx, goal):
            ctx.log("inside")
    """)

    def wait_inside(_: str) -> None:
        entered.set()
        assert leave.wait(10)

    begun = execution(program, on_log=wait_inside)
    told: list[Advanced] = []
    thread = threading.Thread(target=lambda: told.append(begun.advance((), BEGIN)))
    thread.start()
    assert entered.wait(10)
    with pytest.raises(IllegalAdvance, match="already"):
        begun.advance((), BEGIN)
    leave.set()
    thread.join()
    assert told == [Advanced(finished=True)]


async def test_it_runs_inside_another_loop_and_in_other_threads_and_leaves_no_trace() -> None:
    run = life("""
        import asyncio

        async def agent(ctx, goal):
            first = asyncio.current_task().get_name()
            await ctx.call("a", loop=type(asyncio.get_running_loop()).__name__)
            return first
    """)
    outside, task = asyncio.get_running_loop(), asyncio.current_task()
    told = run.advance()
    assert told.requests[0].params == {"loop": "ProgramLoop"}
    assert asyncio.get_running_loop() is outside
    assert asyncio.current_task() is task
    told = await asyncio.to_thread(run.told, s1=0)
    assert told.answer == "program"


def test_a_context_variable_is_the_programs_own() -> None:
    run = life("""
        from contextvars import ContextVar

        seen = ContextVar("seen", default=[])

        async def branch(ctx, name):
            seen.set([*seen.get(), name])
            await ctx.call(name)
            return seen.get()

        async def agent(ctx, goal):
            seen.set(["root"])
            return await ctx.gather(branch(ctx, "a"), branch(ctx, "b"))
    """)
    run.advance()
    assert run.told(s2=0, s1=0).answer == [["root", "a"], ["root", "b"]]


def test_a_generator_that_is_left_half_way_is_left_alone() -> None:
    told = first_turn("""
        async def pages(ctx):
            try:
                yield 1
                yield 2
            finally:
                ctx.log("closed")

        async def agent(ctx, goal):
            async for page in pages(ctx):
                return page
    """)
    assert told.answer == 1


@pytest.mark.parametrize(
    "code",
    ["ERR_PROGRAM_FAILED", "ERR_PROGRAM_STUCK", "ERR_PROGRAM_DIVERGED", "ERR_NONDETERMINISTIC"],
)
def test_the_codes_are_of_the_taxonomy(code: str) -> None:
    assert not TAXONOMY[code].retryable


def test_an_instant_in_another_zone_is_itself() -> None:
    zone = timezone(timedelta(hours=2))
    run = life("""
        async def agent(ctx, goal):
            return ctx.now().isoformat()
    """)
    assert run.execution.advance((), datetime(2026, 1, 1, tzinfo=zone)).answer == (
        "2026-01-01T00:00:00+02:00"
    )
    assert datetime(2026, 1, 1, tzinfo=UTC) != datetime(2026, 1, 1, tzinfo=zone)


def test_a_failure_says_its_code_without_a_message() -> None:
    assert str(SkillFailed("ERR_TIMEOUT")) == "ERR_TIMEOUT"


def test_an_empty_turn_of_nothing_new_is_legal() -> None:
    run = life("""
        async def agent(ctx, goal):
            await ctx.signal("go")
    """)
    run.advance()
    assert run.advance() == Advanced()
    assert [type(turn) for turn in run.turns] == [Turn, Turn]
