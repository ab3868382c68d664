"""What Ray's errors tell of a process's end."""

from __future__ import annotations

from ray import exceptions as ray_errors

from ..exits import Exit, ExitReason

# Ray hands Python a rendered text, not the cause message it was rendered from; these are the parts
# of Ray 2.60's texts that tell causes apart. Order matters: the first match counts.
_TELLTALES = (
    ("killed by `ray.kill`", ExitReason.KILLED),
    ("memory pressure", ExitReason.OUT_OF_MEMORY),
    ("low on memory", ExitReason.OUT_OF_MEMORY),
    ("node has died", ExitReason.NODE_LOST),
    ("owner has died", ExitReason.KILLED),
    ("INTENDED_USER_EXIT", ExitReason.NORMAL),
    ("INTENDED_SYSTEM_EXIT", ExitReason.SHUTDOWN),
)


def classify(error: BaseException) -> Exit:
    """The exit that a failed call on an actor tells of."""
    if isinstance(error, ray_errors.ActorUnavailableError):
        return Exit(ExitReason.SUSPECT, _first_line(error))
    if isinstance(error, ray_errors.ActorUnschedulableError):
        return Exit(ExitReason.NO_CAPACITY, _first_line(error))
    if isinstance(error, ray_errors.RuntimeEnvSetupError):
        return Exit(ExitReason.START_ERROR, _first_line(error))
    if isinstance(error, ray_errors.ActorDiedError):
        if error.actor_init_failed:
            return Exit(ExitReason.START_ERROR, _last_line(error))
        if error.preempted:
            return Exit(ExitReason.PREEMPTED, "the node was reclaimed")
        text = str(error)
        for telltale, reason in _TELLTALES:
            if telltale in text:
                return Exit(reason, telltale)
        return Exit(ExitReason.CRASH, _exit_detail(text))
    return Exit(ExitReason.CRASH, f"{type(error).__name__}: {_first_line(error)}")


def _exit_detail(text: str) -> str:
    _, found, detail = text.partition("Worker exit detail: ")
    return (detail if found else "the process ended").split(". Some common causes")[0].strip()[:300]


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def _last_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1][:300] if lines else type(error).__name__
