"""How a program ended, in words and codes. Pure."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import cast

from .errors import FAILED, STUCK, UnrecordableRequest
from .lines import raised_at, suspended_at
from .protocol import Advanced
from .tasks import ProgramTask
from .values import legible, recorded

_NAMED = 8


def answer_of(root: ProgramTask, own: str) -> Advanced:
    """The end of a program that returned, or was cancelled by itself."""
    try:
        return Advanced(finished=True, answer=recorded(root.result(), "the program's answer"))
    except asyncio.CancelledError as error:
        return Advanced(finished=True, error=(FAILED, "it cancelled itself", raised_at(own, error)))
    except UnrecordableRequest as error:
        return Advanced(finished=True, error=(FAILED, legible(error.detail), ""))


def error_of(error: BaseException, own: str) -> tuple[str, str, str]:
    """Code, message and line of an exception that the program let out."""
    message = "; ".join(_said(leaf) for leaf in leaves(error))
    return FAILED, legible(message), raised_at(own, error)


def stuck(waiting: Sequence[ProgramTask], own: str) -> tuple[str, str, str]:
    """The end of a program that waits for nothing that could come."""
    places = [(task.get_name(), suspended_at(own, task.get_coro())) for task in waiting]
    told = "; ".join(f"{name} at {place}" for name, place in places[:_NAMED])
    return STUCK, legible(f"it waits for nothing that could come: {told}"), places[0][1]


def is_the_machines(error: BaseException) -> bool:
    """Whether an exception says something about this process and nothing about the program."""
    return any(isinstance(leaf, MemoryError | KeyboardInterrupt) for leaf in leaves(error))


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The exceptions of a group, and of groups in it; or the exception."""
    if isinstance(error, BaseExceptionGroup):
        for each in cast("BaseExceptionGroup[BaseException]", error).exceptions:
            yield from leaves(each)
    else:
        yield error


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # a user's __str__ may do anything
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
