"""What `aos run` is asked for: a goal for an agent, or a program with an agent of its name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ...cluster.errors import InputError
from ...skills.contracts import AgentProfile
from ..client import AosClient, ApiError

_NAME_TAKEN = "AOS-3102"


class IncompleteOrder(InputError):
    """A run needs an agent and a goal, unless it is a program's."""

    code = "AOS-1122"
    title = "A run needs a goal and an agent, or a program."
    next_action = "Give `aos run GOAL --agent AGENT`, or `aos run --program FILE.py:FUNCTION`."


class UnreadableProgram(InputError):
    """The file with the program cannot be read, or no function of it is named."""

    code = "AOS-1123"
    title = "The program cannot be read."
    next_action = "Give a file and its async function: `aos run --program FILE.py:FUNCTION`."


@dataclass(frozen=True, slots=True)
class Order:
    """What to submit."""

    agent: str
    goal: str
    program: str | None = None


def order(aos: AosClient, goal: str | None, agent: str | None, program: str | None) -> Order:
    """What to submit. A program's file is uploaded, and its agent made if it is not there. Raises
    `IncompleteOrder`, `UnreadableProgram`.
    """
    if program is None:
        if goal is None or agent is None:
            raise IncompleteOrder("there is no goal" if goal is None else "there is no --agent")
        return Order(agent, goal)
    name, hash_or_name = program, program
    if ".py" in program or ":" in program.removeprefix("sha256:"):
        file, entry = _parts(program)
        name = _named(file)
        hash_or_name = aos.programs.keep(name, entry, _read(file)).hash
    if agent is None:
        agent = name
        _have_agent(aos, agent)
    return Order(agent, goal or f"run {name}", hash_or_name)


def _have_agent(aos: AosClient, name: str) -> None:
    """Make an agent of this name, unless it is there."""
    try:
        aos.agents.create(AgentProfile(name=name, description=f"runs the program {name}"))
    except ApiError as error:
        if error.code != _NAME_TAKEN:
            raise


def _parts(program: str) -> tuple[Path, str]:
    file, colon, entry = program.rpartition(":")
    if not colon or not entry.isidentifier() or not file:
        raise UnreadableProgram(f"{program!r} is not FILE.py:FUNCTION")
    return Path(file), entry


def _named(file: Path) -> str:
    """A name that agents and programs may have."""
    name = re.sub(r"[^a-z0-9_-]+", "-", file.stem.lower()).strip("-_") or "program"
    return (name if name[0].isalpha() else f"p-{name}")[:63]


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UnreadableProgram(f"{file}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UnreadableProgram(f"{file} is not UTF-8: {error.reason}") from None
