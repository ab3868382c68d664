"""Code that does not do what is recorded is found at the first difference, and told as such."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.programs import BEGIN, Life, execution, source

from aos.actors.programs import Advanced, Delivery, ProgramDiverged, Turn

RECORDED = """
    async def agent(ctx, goal):
        page = await ctx.call("fetch@1.0.0", url="u", options={"deep": [1, {"a": 1}]})
        await ctx.gather(ctx.call("mail", to="x"), ctx.sleep(5))
        return "sent"
"""


def recorded() -> list[Turn]:
    run = Life(source(RECORDED))
    run.advance()
    run.told(s1="page")
    run.told(s3=0)
    run.told(s2=0)
    return run.turns


@pytest.mark.parametrize(
    ("before", "after", "turn", "old", "new", "line"),
    [
        ('"fetch@1.0.0"', '"get"', 1, "s1 fetch {", "s1 get {", "agent.py:3 in agent"),
        ('url="u"', 'url="v"', 1, 's1 fetch@1.0.0 with url = "u"', 'url = "v"', "agent.py:3"),
        ('{"a": 1}', '{"a": 2}', 1, "options.deep[1].a = 1", "options.deep[1].a = 2", "agent.py:3"),
        ('{"a": 1}', "{}", 1, "options.deep[1].a = 1", "options.deep[1].a = absent", "agent.py:3"),
        ("[1, {", "[0, 1, {", 1, "options.deep[0] = 1", "options.deep[0] = 0", "agent.py:3"),
        ("[1, {", "[True, {", 1, "options.deep[0] = 1", "options.deep[0] = true", "agent.py:3"),
        (
            'ctx.call("mail", to="x")', "ctx.sleep(1)", 2,
            's2 mail {"to":"x"}', 's2 wait.timer {"seconds":1}', "agent.py:4 in agent",
        ),
        (", ctx.sleep(5))", ")", 2, 's3 wait.timer {"seconds":5}', "nothing", ""),
        (
            ", ctx.sleep(5))", ", ctx.sleep(5), ctx.sleep(6))", 2,
            "nothing", "s4 wait.timer", "agent.py:4",
        ),
        ("await ctx.gather", "return 5; await ctx.gather", 2, "s2 mail", "the answer 5", ""),
        ("await ctx.gather", "raise KeyError(1); await ctx.gather", 2, "s2 mail",
         "the end with ERR_PROGRAM_FAILED: KeyError: 1", "agent.py:4 in agent"),
        ('return "sent"', 'return "lost"', 4, 'the answer "sent"', 'the answer "lost"', ""),
        ('return "sent"', "await ctx.sleep(1)", 4, "nothing", "s4 wait.timer", "agent.py:5"),
        ('return "sent"', "1/0", 4, 'the answer "sent"', "ZeroDivisionError", "agent.py:5"),
        (
            "await ctx.gather(", "await one_by_one(", 2,
            's3 wait.timer {"seconds":5}', "nothing more", "",
        ),
    ],
)  # fmt: skip
def test_a_difference_is_shown_recorded_beside_attempted(
    before: str, after: str, turn: int, old: str, new: str, line: str
) -> None:
    assert before in RECORDED
    helper = """
    async def one_by_one(*calls):
        try:
            return [await call for call in calls]
        finally:
            [call.close() for call in calls]
    """
    changed = source(RECORDED.replace(before, after) + helper)
    with pytest.raises(ProgramDiverged) as caught:
        execution(changed, recorded())
    context, detail = caught.value.context, caught.value.detail
    assert context["turn"] == turn
    assert old in context["recorded"]
    assert new in context["attempted"]
    assert context["line"].startswith(line)
    assert detail.startswith(f"turn {turn}: recorded is {context['recorded']}; the code attempts ")
    assert context["attempted"] in detail


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("fetch@1.0.0", "fetch@2.0.0"),
        ("fetch@1.0.0", "fetch"),
        ("async def agent", "\n\n    async def agent"),
        ('url="u", options=', "options="),
        ("ctx.sleep(5)", "ctx.sleep(5.0)"),
        ("ctx.gather(", "__import__('asyncio').gather("),
    ],
    ids=["version", "no version", "lines", "order of keys", "float", "asyncio's own"],
)
def test_what_is_not_compared(before: str, after: str) -> None:
    assert before in RECORDED
    text = RECORDED.replace(before, after)
    if 'url="u"' not in text:
        text = text.replace("}]}", '}]}, url="u"')
    with execution(source(text), recorded()) as again:
        assert again.finished


def test_being_abandoned_is_compared() -> None:
    text = """
        import asyncio

        async def agent(ctx, goal):
            tasks = [asyncio.create_task(ctx.call(name)) for name in ("a", "b")]
            await tasks[0]
            tasks[1].cancel()
            await ctx.call("c")
    """
    run = Life(source(text))
    run.advance()
    run.told(s1=0)
    run.again().close()
    with pytest.raises(ProgramDiverged, match=r"recorded is that s2 is abandoned; .* nothing is"):
        run.again(source(text.replace("tasks[1].cancel()", "pass")))


def test_a_record_of_the_end_is_compared_by_its_code() -> None:
    text = """
        async def agent(ctx, goal):
            raise ValueError("{word}")
    """
    run = Life(source(text.replace("{word}", "one")))
    run.advance()
    run.again(source(text.replace("{word}", "another"))).close()
    with pytest.raises(ProgramDiverged, match=r"ERR_PROGRAM_FAILED.*attempts the answer null"):
        run.again(source("async def agent(ctx, goal): pass"))


OLD = """
    async def agent(ctx, goal):
        for number in range(4):
            await ctx.call("old", n=number)
"""
NEW = """
    async def agent(ctx, goal):
        for number in range(4):
            if ctx.patched("faster"):
                await ctx.call("new", n=number)
            else:
                await ctx.call("old", n=number)
"""


def test_a_new_run_takes_the_patch_and_records_it_once() -> None:
    run = Life(source(NEW))
    told = [run.advance(), run.told(s1=0), run.told(s2=0)]
    assert [each.requests[0].skill for each in told] == ["new"] * 3
    assert [each.patches for each in told] == [("faster",), (), ()]
    again = run.again()
    assert again.advance([Delivery("s3")], BEGIN).requests[0].skill == "new"


def test_an_old_run_never_takes_the_patch_not_even_after_its_replay() -> None:
    run = Life(source(OLD))
    run.advance()
    run.told(s1=0)
    with pytest.raises(ProgramDiverged):
        run.again(source(NEW.replace('ctx.patched("faster")', "True")))
    again = run.again(source(NEW))
    told = again.advance([Delivery("s2")], BEGIN)
    assert (told.requests[0].skill, told.patches) == ("old", ())


def test_a_patch_that_is_first_asked_for_after_the_replay_is_taken() -> None:
    run = Life(source(OLD))
    run.advance()
    later = """
        async def agent(ctx, goal):
            await ctx.call("old", n=0)
            await ctx.call("new" if ctx.patched("later") else "old", n=1)
    """
    run.execution = run.again(source(later))
    told = run.told(s1=0)
    assert (told.requests[0].skill, told.patches) == ("new", ("later",))
    with pytest.raises(ProgramDiverged):
        run.again(source(OLD))
    run.again(source(later)).close()


def test_the_question_may_go_when_no_old_run_is_left() -> None:
    run = Life(source(NEW))
    run.advance()
    run.told(s1=0)
    run.again(source(OLD.replace('"old"', '"new"'))).close()


WHAT_ADDRESSES_DECIDE_ELSEWHERE = """
import random, sys
from aos.actors.programs import Delivery, Execution, load_source
from datetime import UTC, datetime

TEXT = '''
import asyncio

async def held(ctx, name):
    try:
        await ctx.call(name)
    finally:
        await ctx.call("release", name=name)

async def agent(ctx, goal):
    tasks = [asyncio.create_task(held(ctx, f"job{n}")) for n in range(30)]
    done, pending = await asyncio.wait(tasks, return_when="FIRST_EXCEPTION")
    for task in pending:
        task.cancel()
    async with asyncio.TaskGroup() as group:
        for n in range(30):
            group.create_task(held(ctx, f"team{n}"))
'''
now = datetime(2026, 1, 1, tzinfo=UTC)

def life():
    begun = Execution(load_source(TEXT, "agent"), "g", run_id="r", seed=1, started_at=now)
    begun.advance((), now)
    begun.advance([Delivery("s7", failure=("ERR_TIMEOUT", "")), Delivery("s8", 1)], now)
    yield begun.advance([Delivery("s7-2")], now)
    begun.advance([Delivery("s40", failure=("ERR_TIMEOUT", ""))], now)
    yield begun.advance([Delivery("s40-2")], now)

# Holes in memory, others in every process, decide where the tasks of the last one lie.
random.seed(sys.argv[1])
lives = [life() for _ in range(30)]
first = [next(each) for each in lives]
random.shuffle(lives)
del lives[10:]
for told in life():
    print(told.model_dump_json())
"""


def test_sets_of_tasks_have_one_order_in_every_process() -> None:
    """Asyncio keeps tasks in sets, and sets go by hash: ours is no address."""
    path = Path(__file__).parents[4] / ".src"
    told = {
        subprocess.run(
            [sys.executable, "-c", WHAT_ADDRESSES_DECIDE_ELSEWHERE, number],
            env=os.environ | {"PYTHONHASHSEED": number, "PYTHONPATH": str(path)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for number in ("1", "2000")
    }
    assert len(told) == 1
    text = told.pop()
    assert text.count('"release"') >= 50


def test_an_unfinished_record_goes_on_where_it_stands() -> None:
    run = Life(source(RECORDED))
    run.advance()
    again = run.again()
    assert again.pending == ("s1",)
    told = again.advance([Delivery("s1", "page")], BEGIN)
    assert told == recorded()[1].advanced
    assert isinstance(told, Advanced)
