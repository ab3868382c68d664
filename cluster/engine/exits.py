"""What Ray's errors tell of a process's end: one table, read from the top.

Ray knows more than it hands out. Its control plane keeps the cause of each actor's death with an
enum, but Python is given an exception that was rendered from it: the exception's type,
`actor_init_failed` and `preempted` are facts, all the rest is text. Asking the control plane would
cost a call through private interfaces at the moment when it is busiest, and would still not tell a
crash from an intended exit: the worker's exit type is in no field of the cause, only in its text.

So the table goes by facts where there are any, and else by `telltales`: parts of Ray 2.60's texts.
Tests hold them against the installed Ray: against what it says when such a death is provoked and
the cause that its control plane keeps of it, and against the texts in its binaries.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import dropwhile, takewhile
from typing import Any, cast

from ray import exceptions as ray_errors

from ..exits import Exit, ExitReason

_LONGEST_DETAIL = 300


@dataclass(frozen=True, slots=True)
class Row:
    """One way in which Ray tells of an end: the error's type, a property of it that must be true,
    and texts that its cause must contain. `meaning` says it to people.
    """

    error: type[Exception]
    reason: ExitReason
    meaning: str
    fact: str = ""
    telltales: tuple[str, ...] = ()

    def holds(self, error: BaseException) -> bool:
        """Whether the error tells of this end."""
        if not isinstance(error, self.error) or (self.fact and not getattr(error, self.fact)):
            return False
        cause = _cause(error)
        return all(telltale in cause for telltale in self.telltales)


_DIED = ray_errors.ActorDiedError

TABLE = (
    Row(ray_errors.ActorUnavailableError, ExitReason.SUSPECT,
        "Ray has lost touch with the process; it may live."),
    Row(ray_errors.ActorUnschedulableError, ExitReason.NO_CAPACITY,
        "No machine can ever take it."),
    Row(ray_errors.RuntimeEnvSetupError, ExitReason.START_ERROR,
        "Its runtime environment could not be made."),
    Row(ray_errors.OutOfMemoryError, ExitReason.OUT_OF_MEMORY,
        "Ray's memory monitor killed it."),
    Row(_DIED, ExitReason.START_ERROR,
        "Its `__init__` raised.", fact="actor_init_failed"),
    Row(_DIED, ExitReason.PREEMPTED,
        "Its machine was reclaimed, as the autoscaler had announced.", fact="preempted"),
    Row(_DIED, ExitReason.KILLED,
        "Somebody called `ray.kill` on it.", telltales=("it was killed by `ray.kill`",)),
    Row(_DIED, ExitReason.NOPROC,
        "The process that had made it died.", telltales=("its owner has died",)),
    Row(_DIED, ExitReason.NOPROC,
        "Nobody referred to it any more.",
        telltales=("all references to the actor were removed",)),
    Row(_DIED, ExitReason.NOPROC,
        "Ray's control plane was restarted and found it without an owner.",
        telltales=("GCS could not load it during initialization",)),
    Row(_DIED, ExitReason.NODE_LOST,
        "Its machine is gone, or was believed to be.", telltales=("its node has died",)),
    Row(_DIED, ExitReason.OUT_OF_MEMORY,
        "Ray's memory monitor killed it.", telltales=("Worker exit type: NODE_OUT_OF_MEMORY",)),
    Row(_DIED, ExitReason.NORMAL,
        "It called `exit_actor`.", telltales=("Worker exit type: INTENDED_USER_EXIT",)),
    Row(_DIED, ExitReason.SHUTDOWN,
        "Ray ended it because it was no longer needed.",
        telltales=("Worker exit type: INTENDED_SYSTEM_EXIT",)),
    Row(_DIED, ExitReason.START_ERROR,
        "Its `__init__` raised.", telltales=("Worker exit type: USER_ERROR",)),
    Row(_DIED, ExitReason.START_ERROR,
        "Its process ended within `__init__`.",
        telltales=("Worker exit type: SYSTEM_ERROR", "The actor never ran")),
    Row(_DIED, ExitReason.CRASH,
        "Its process ended, by a signal, `os._exit` or `sys.exit`: Ray saw its connection end."),
)  # fmt: skip
"""The first row that holds counts. The last one holds for every death."""


def classify(error: BaseException) -> Exit | None:
    """The exit that a failed call on an actor tells of; None if it tells of none.

    An error that the called method raised tells of none, whatever its type: somebody lives who
    raised it.
    """
    if isinstance(error, ray_errors.RayTaskError):
        return None
    for row in TABLE:
        if row.holds(error):
            return Exit(row.reason, _detail(error) or row.meaning)
    return None


def brief(error: BaseException) -> str:
    """An error in one line; of one that a method raised, what it raised."""
    error = cast("Any", error).cause if isinstance(error, ray_errors.RayTaskError) else error
    text = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {text}"[:_LONGEST_DETAIL]


def _cause(error: BaseException) -> str:
    """The cause in an error's text. Ray puts the actor's class, name and addresses before it, each
    on a line that begins with a tab: a name must not be taken for a cause.
    """
    first, *more = str(error).splitlines() or [""]
    if isinstance(error, _DIED) and not error.actor_init_failed:
        return "\n".join(dropwhile(lambda line: line.startswith("\t"), more))
    return "\n".join([first, *more])


def _detail(error: BaseException) -> str:
    """What of the cause is news to people, who are given the reason as well."""
    lines = _cause(error).strip().splitlines() or [""]
    raised = isinstance(error, ray_errors.RuntimeEnvSetupError) or (
        isinstance(error, _DIED) and error.actor_init_failed
    )
    if raised:  # what was raised stands at its traceback's end
        line = lines[-1]
    else:
        line = " ".join([lines[0], *takewhile(lambda more: more.startswith("\t"), lines[1:])])
    _, found, exit_detail = line.partition("Worker exit detail: ")
    told = exit_detail.split(". Some common causes")[0] if found else line
    return told.strip().replace("\t", "")[:_LONGEST_DETAIL]
