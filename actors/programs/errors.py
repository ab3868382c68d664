"""What AOS refuses about programs, and what a program is told about a call that failed."""

from __future__ import annotations

from ...cluster.errors import Blame, RunError

FAILED = "ERR_PROGRAM_FAILED"
STUCK = "ERR_PROGRAM_STUCK"
NONDETERMINISTIC = "ERR_NONDETERMINISTIC"


class SkillFailed(Exception):
    """What a program awaited has failed for good: raised inside the program, which may catch it.

    `code` is of the taxonomy and may be decided upon; `message` is for people.
    """

    def __init__(self, code: str, message: str = "") -> None:
        self.code = code
        self.message = message
        super().__init__(code, message)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class ProgramDiverged(RunError):
    """The code asks for something else than what is recorded of this run.

    The context has `turn`, `recorded`, `attempted` and `line`, the code's place.
    """

    code = "AOS-3020"
    title = "The program does not do what this run has recorded."
    next_action = (
        "Run it with the code that it began with, or guard the change with ctx.patched('name')."
    )
    blame = Blame.CALLER


class NondeterministicProgram(RunError):
    """The program uses a clock, a thread, a socket or chance that no journal records."""

    code = "AOS-3021"
    title = "The program uses something that could not be repeated alike."
    next_action = "Use what the message names: its result is recorded with the run."
    blame = Blame.CALLER


class InvalidProgram(RunError):
    """The text or the name that was given is not a program. The context has `reason`."""

    code = "AOS-3022"
    title = "This is not a program."
    next_action = "Correct it as the message says: a program is `async def name(ctx, goal)`."
    blame = Blame.CALLER


class UnrecordableRequest(RunError):
    """The program asked for something that cannot be written down, such as a value beyond JSON."""

    code = "AOS-3023"
    title = "What the program asks for cannot be recorded."
    next_action = "Pass JSON values, a skill's name, and instants with a time zone."
    blame = Blame.CALLER


class IllegalAdvance(RunError):
    """An execution was told what it had not asked for, or was advanced after its end."""

    code = "AOS-3024"
    title = "The program cannot be advanced with this."
    next_action = "Report it with the run id: no version of AOS advances a program so."
