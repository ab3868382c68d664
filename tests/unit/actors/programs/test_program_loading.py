"""Programs from text and from what is installed."""

from __future__ import annotations

import sys
import textwrap
import traceback
from pathlib import Path
from weakref import ref

import pytest
from tests.support.programs import BEGIN, execution, first_turn, source

from aos.actors.programs import (
    InvalidProgram,
    NondeterministicProgram,
    load_installed,
    load_source,
    program_hash,
    program_of,
)
from aos.actors.programs.loading import SOURCE_LIMIT

GOOD = "async def agent(ctx, goal):\n    return goal\n"


def test_a_text_becomes_a_program() -> None:
    program = load_source(GOOD, "agent", file_name="dir/agent.py")
    assert program.name == "agent.py:agent"
    assert program.hash == program_hash(GOOD, "agent")
    assert program.function.__module__ == f"aos_program_{program.hash[7:19]}"
    assert program.file == f"<aos {program.hash[7:19]}>/agent.py"
    assert execution(program).advance((), BEGIN).answer == "the goal"


def test_the_hash_is_of_the_text_and_the_function() -> None:
    assert program_hash(GOOD, "agent") == program_hash(GOOD, "agent")
    assert (
        len({program_hash(GOOD, "agent"), program_hash(GOOD, "b"), program_hash("", "agent")}) == 3
    )
    assert load_source(GOOD, "agent", file_name="other.py").hash == program_hash(GOOD, "agent")


def test_globals_belong_to_one_run() -> None:
    text = "seen = []\nasync def agent(ctx, goal):\n    seen.append(goal)\n    return seen\n"
    for _ in range(2):
        assert execution(load_source(text, "agent")).advance((), BEGIN).answer == ["the goal"]


def test_models_and_dataclasses_find_their_module() -> None:
    told = first_turn("""
        from __future__ import annotations
        from dataclasses import dataclass, field
        from typing import ClassVar
        from pydantic import BaseModel

        @dataclass
        class Point:
            count: ClassVar[int] = 3
            where: list[Leaf] = field(default_factory=list)

        class Node(BaseModel):
            leaf: Leaf

        class Leaf(BaseModel):
            n: int

        async def agent(ctx, goal):
            return [Node(leaf={"n": Point().count}).leaf.n]
    """)
    assert told.answer == [3]


def test_a_future_import_of_ours_is_not_the_programs() -> None:
    told = first_turn("""
        def f(x: int): ...

        async def agent(ctx, goal):
            return f.__annotations__["x"] is int
    """)
    assert told.answer is True


def test_tracebacks_show_the_programs_lines() -> None:
    program = source("""
        async def agent(ctx, goal):
            try:
                1 / 0
            except ZeroDivisionError as error:
                ctx.caught(error)
    """)
    begun = execution(program)
    begun._context.caught = (  # type: ignore[attr-defined]
        lambda error: shown.extend(traceback.format_exception(error))
    )
    shown: list[str] = []
    begun.advance((), BEGIN)
    text = "".join(shown)
    assert f'File "{program.file}", line 4, in agent' in text
    assert "1 / 0" in text


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("async def agent(ctx, goal)\n    pass", "syntax", "agent.py:1: expected ':'"),
        ("x = 1\nreturn", "syntax", "agent.py:2: 'return' outside function"),
        ("x = '\0'", "syntax", "null bytes"),
        ("(" * 5000, "syntax", "agent.py:1: too many nested parentheses"),
        ("-" * 200_000 + "1", "syntax", "cannot be compiled"),
        ("# " + "x" * SOURCE_LIMIT, "too_large", "262,146 bytes; 262,144 is the limit"),
        ("# \ud800", "encoding", "not Unicode text"),
        ("import no_such_module", "import", "agent.py:1 in <module>: ModuleNotFoundError"),
        ("def f():\n  1/0\nf()", "import", "agent.py:2 in f: ZeroDivisionError"),
        ("raise SystemExit(1)", "import", "SystemExit"),
        ("async def other(ctx, goal): pass", "no_function", "no function 'agent'; it has other"),
        ("from asyncio import sleep\nagent = 5", "no_function", "no function 'agent'"),
        ("def agent(ctx, goal): pass", "not_async", "is not `async def`"),
        ("async def agent(ctx, goal): yield 1", "not_async", "is not `async def`"),
        ("async def agent(ctx): pass", "signature", "agent(ctx) cannot be called with (ctx, goal)"),
        ("async def agent(): pass", "signature", "too many positional"),
        ("async def agent(a, b, c): pass", "signature", "missing a required argument: 'c'"),
        ("async def agent(ctx, *, goal): pass", "signature", "agent(ctx, *, goal)"),
    ],
)
def test_what_is_no_program_is_refused_with_its_place(text: str, reason: str, message: str) -> None:
    with pytest.raises(InvalidProgram) as caught:
        load_source(text, "agent", file_name="agent.py")
    assert caught.value.context["reason"] == reason
    assert message in caught.value.detail
    caught.value.detail.encode()


def test_a_syntax_error_names_its_line_as_data() -> None:
    with pytest.raises(InvalidProgram) as caught:
        load_source("\n\nx = (", "agent")
    assert caught.value.context["line"] == 3


def test_a_text_of_exactly_the_limit_is_taken() -> None:
    text = GOOD + "#" * (SOURCE_LIMIT - len(GOOD))
    assert load_source(text, "agent").name == "program.py:agent"


@pytest.mark.parametrize(
    "text", ["async def agent(ctx, goal, more=1): pass", "async def agent(*args): pass"]
)
def test_other_signatures_that_take_both_are_fine(text: str) -> None:
    load_source(text, "agent")


def test_a_failed_load_leaves_no_module() -> None:
    before = {name for name in sys.modules if name.startswith("aos_program_")}
    with pytest.raises(InvalidProgram):
        load_source("x = 1\n1/0", "agent")
    assert {name for name in sys.modules if name.startswith("aos_program_")} == before


def test_development_guards_the_top_level() -> None:
    text = "import time\nBEGAN = time.time()\n" + GOOD
    load_source(text, "agent")
    with pytest.raises(NondeterministicProgram, match=r"time.time at agent.py:2 in <module>"):
        load_source(text, "agent", file_name="agent.py", development=True)


def test_an_installed_function_becomes_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = "installed_program_of_a_test"
    (tmp_path / f"{module}.py").write_text(
        textwrap.dedent("""
        from functools import wraps

        def logged(function):
            @wraps(function)
            async def inner(ctx, goal):
                return await function(ctx, goal)
            return inner

        @logged
        async def agent(ctx, goal):
            return await ctx.call("fetch")
        """)
    )
    monkeypatch.syspath_prepend(tmp_path)
    program = load_installed(f"{module}:agent")
    assert program.name == f"{module}:agent"
    assert program.file == str(tmp_path / f"{module}.py")
    begun = execution(program).advance((), BEGIN)
    assert begun.requests[0].line == f"{module}.py:12 in agent"
    assert program.hash == load_installed(f"{module}:agent").hash
    with pytest.raises(InvalidProgram) as caught:
        load_installed(f"{module}:nobody")
    assert "it has logged" not in caught.value.detail
    assert "it has agent" in caught.value.detail
    monkeypatch.delitem(sys.modules, module)


@pytest.mark.parametrize("reference", ["", "json", "json:", ":x", "no_such_module:x", "sys:exit"])
def test_what_is_not_installed_is_said(reference: str) -> None:
    with pytest.raises(InvalidProgram) as caught:
        load_installed(reference)
    assert caught.value.context["reason"] == "import"


def test_a_function_at_hand_is_a_program_too() -> None:
    async def agent(ctx: object, goal: str) -> str:
        return goal

    program = program_of(agent)
    assert program.file == __file__
    assert execution(program).advance((), BEGIN).answer == "the goal"


def test_an_execution_that_is_forgotten_is_silent_and_goes() -> None:
    said: list[str] = []
    begun = execution(
        source("""
        async def agent(ctx, goal):
            try:
                await ctx.sleep(1)
            finally:
                ctx.log("on its way out")
                await ctx.sleep(2)
        """),
        on_log=said.append,
    )
    begun.advance((), BEGIN)
    gone = ref(begun)
    del begun
    assert gone() is None
    assert said == []
