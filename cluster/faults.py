"""Named fault points: no-ops unless armed.

Production code marks the instants that matter (`faults.point("journal.appended")`). In a cluster
that was started with `AOS_FAULTS_DIR`, a test arms a point by writing a file of its name there:

    kill        SIGKILL the process at its next passage
    kill@3      … at the third passage of one process after the first that saw the file
    kill*3      … and the same of the two processes that come after it
    raise       raise FaultInjected instead
    exhaust     allocate until the process's memory limit refuses, and raise that MemoryError
    kill of x   only where the passage is said to be about `x`, which another one leaves alone

A point fires once per arming, or as often as was said, whichever process is first: the file is
claimed by renaming it, so a restarted process does not die at the same point for ever.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from .memory import MIB, under_limit

POINTS = (
    "run.accepted",
    "agent.activated",
    "journal.appending",
    "journal.appended",
    "step.dispatching",
    "step.dispatched",
    "step.outcome",
    "skill.started",
    "skill.finished",
    "supervisor.activating",
    "retention.begun",
    "retention.archiving",
    "retention.written",
    "retention.archived",
    "retention.released",
    "retention.staged",
    "retention.swapped",
    "retention.dropped",
)
"""Every point there is. Arming an unknown one is refused: a chaos test that kills nothing lies."""

ACTIONS = ("kill", "raise", "exhaust")

_SMALLEST_BLOCK = 4096

_directory = os.environ.get("AOS_FAULTS_DIR")
_passages: dict[str, int] = {}
_passed_over: ContextVar[bool] = ContextVar("passed_over", default=False)


class FaultInjected(RuntimeError):
    """Raised by a point that was armed with `raise`, or with `exhaust` where no limit holds."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens at a point, and at which passage."""

    action: str
    passage: int = 1
    times: int = 1
    about: str = ""

    def __str__(self) -> str:
        of = f" of {self.about}" if self.about else ""
        return f"{self.action}@{self.passage}*{self.times}{of}"

    @classmethod
    def parse(cls, text: str) -> Fault:
        """`action`, `action@passage` or `action*times`, and ` of about`. Raises `ValueError`."""
        text, _, about = text.strip().partition(" of ")
        text, _, times = text.partition("*")
        action, _, passage = text.partition("@")
        if action not in ACTIONS:
            raise ValueError(f"unknown fault action {action!r}; known: {', '.join(ACTIONS)}")
        return cls(action, int(passage or 1), int(times or 1), about)


def arm(directory: Path, name: str, fault: str = "kill") -> None:
    """Arm a point in all processes of the cluster that was started with this directory."""
    if name not in POINTS:
        raise ValueError(f"unknown fault point {name!r}; known: {', '.join(POINTS)}")
    Fault.parse(fault)
    (directory / name).write_text(fault)


def fired(directory: Path, name: str) -> bool:
    """Whether an armed point has fired."""
    return (directory / f"{name}.fired").exists()


@contextmanager
def passed_over() -> Generator[None]:
    """Within this block, and in tasks made in it, points do nothing: for a rehearsal, which goes
    the way of a run and is none.
    """
    token = _passed_over.set(True)
    try:
        yield
    finally:
        _passed_over.reset(token)


def point(name: str, about: str = "") -> None:
    """Die or raise here if this point is armed, for whatever this passage is `about`, and its
    passage has come; else do nothing.
    """
    if _directory is None or _passed_over.get():
        return
    armed = Path(_directory) / name
    try:
        fault = Fault.parse(armed.read_text())
    except (FileNotFoundError, ValueError):  # not armed, or being written just now
        _passages.pop(name, None)
        return
    if fault.about not in ("", about):
        return
    _passages[name] = _passages.get(name, 0) + 1
    if _passages[name] < fault.passage:
        return
    del _passages[name]
    try:
        armed.rename(f"{armed}.fired")
    except FileNotFoundError:
        return  # another process was first
    if fault.times > 1:
        left = Path(f"{armed}.left")
        again = replace(fault, times=fault.times - 1)
        left.write_text(str(again))
        left.rename(armed)
        Path(f"{armed}.fired").unlink()
    if fault.action == "raise":
        raise FaultInjected(name)
    if fault.action == "exhaust":
        _exhaust(name)
    os.kill(os.getpid(), signal.SIGKILL)


def _exhaust(name: str) -> NoReturn:
    """Down to the last block: what handles the error has what a real leak would leave it."""
    if not under_limit():
        raise FaultInjected(f"{name}: without a limit this would take the machine's memory")
    held: list[bytearray] = []
    size = 64 * MIB
    while True:
        try:
            held.append(bytearray(size))
        except MemoryError:
            if size <= _SMALLEST_BLOCK:
                raise
            size //= 2
