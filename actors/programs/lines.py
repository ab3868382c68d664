"""Where in a program something happened, for people: `agent.py:12 in agent`.

The program's own file comes first; else the nearest frame that is neither AOS's nor asyncio's.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any, cast

_PLATFORM = tuple(str(Path(file).parent) + os.sep for file in (__file__, asyncio.__file__))
_TURN = "run_until_quiet"
"""The loop's function above which no frame belongs to the program."""


def caller(own: str) -> str:
    """The line of the program that is executing now. `own` is the program's file."""
    return _best(own, _frames(sys._getframe(1)))  # pyright: ignore[reportPrivateUsage] - no other way is as cheap


def raised_at(own: str, error: BaseException) -> str:
    """The line of the program from which an exception came."""
    return _best(own, _traced(first_leaf(error).__traceback__), last=True)


def suspended_at(own: str, coroutine: Any) -> str:
    """The line of the program at which a coroutine waits."""
    return _best(own, _awaited(coroutine), last=True)


def first_leaf(error: BaseException) -> BaseException:
    """The first exception in a group that is no group itself."""
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


def place(code: CodeType, line: int | None) -> str:
    """One line, as it is told."""
    return f"{Path(code.co_filename).name}:{line} in {code.co_name}"


def _best(own: str, places: Iterator[tuple[CodeType, int | None]], *, last: bool = False) -> str:
    found = other = None
    for code, line in places:
        if code.co_filename == own:
            found = code, line
            if not last:
                break
        elif not code.co_filename.startswith((*_PLATFORM, "<frozen")) and (last or other is None):
            other = code, line
    chosen = found or other
    return place(*chosen) if chosen else ""


def _frames(frame: FrameType | None) -> Iterator[tuple[CodeType, int | None]]:
    while frame is not None:
        code = frame.f_code
        if code.co_name == _TURN and code.co_filename.startswith(_PLATFORM):
            return
        yield code, frame.f_lineno
        frame = frame.f_back


def _traced(traceback: TracebackType | None) -> Iterator[tuple[CodeType, int | None]]:
    while traceback is not None:
        yield traceback.tb_frame.f_code, traceback.tb_lineno
        traceback = traceback.tb_next


def _awaited(coroutine: Any) -> Iterator[tuple[CodeType, int | None]]:
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is None:
            return
        yield frame.f_code, frame.f_lineno
        coroutine = coroutine.cr_await
