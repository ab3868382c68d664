"""Whether the code does what is recorded: the first difference of one turn. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, cast

from ...cluster.canonical import canonical
from ...skills.contracts import JsonValue
from .errors import ProgramDiverged
from .protocol import Advanced, Request
from .values import legible

_NOTHING = "nothing"
_SHOWN = 300


@dataclass(frozen=True, slots=True)
class Difference:
    """Recorded beside attempted, as text, and the code's place."""

    recorded: str
    attempted: str
    line: str = ""


def first_difference(recorded: Advanced, attempted: Advanced) -> Difference | None:
    """What differs first, in the order in which a turn happens: requests, abandoned, the end."""
    for old, new in zip_longest(recorded.requests, attempted.requests):
        if (found := _request(old, new, attempted)) is not None:
            return found
    if recorded.abandoned != attempted.abandoned:
        return Difference(_list(recorded.abandoned), _list(attempted.abandoned), _end(attempted))
    return _endings(recorded, attempted)


def divergence(number: int, difference: Difference) -> ProgramDiverged:
    """The error that says so. Turns count from 1."""
    where = f" ({difference.line})" if difference.line else ""
    return ProgramDiverged(
        f"turn {number}: recorded is {difference.recorded}; "
        f"the code attempts {difference.attempted}{where}",
        turn=number,
        recorded=difference.recorded,
        attempted=difference.attempted,
        line=difference.line,
    )


def _request(old: Request | None, new: Request | None, attempted: Advanced) -> Difference | None:
    if old is None or new is None:
        line = new.line if new is not None else _end(attempted)
        shown = _shown(new) if new is not None else _ending(attempted)
        return Difference(_shown(old), shown, line)
    if _identity(old) != _identity(new):
        return Difference(_shown(old), _shown(new), new.line)
    if canonical(old.params) == canonical(new.params):
        return None
    path, was, became = _first_change(old.params, new.params)
    what = f"{new.id} {new.skill}"
    return Difference(
        f"{what} with {path} = {_value(was)}", f"{what} with {path} = {_value(became)}", new.line
    )


def _identity(request: Request) -> tuple[str, str, str]:
    return request.id, request.kind, _name(request)


def _name(request: Request) -> str:
    return request.skill.partition("@")[0]


def _endings(recorded: Advanced, attempted: Advanced) -> Difference | None:
    if _outcome(recorded) == _outcome(attempted):
        return None
    return Difference(_ending(recorded), _ending(attempted), _end(attempted))


def _outcome(advanced: Advanced) -> tuple[bool, str, bytes]:
    code = advanced.error[0] if advanced.error else ""
    return advanced.finished, code, canonical(advanced.answer)


def _end(advanced: Advanced) -> str:
    return advanced.error[2] if advanced.error else ""


def _ending(advanced: Advanced) -> str:
    if advanced.error:
        return f"the end with {advanced.error[0]}: {advanced.error[1]}"
    if advanced.finished:
        return f"the answer {_value(advanced.answer)}"
    return "nothing more" if advanced.requests else "nothing but to wait"


def _shown(request: Request | None) -> str:
    if request is None:
        return _NOTHING
    return f"{request.id} {_name(request)} {_value(request.params)}"


def _list(ids: tuple[str, ...]) -> str:
    return f"that {', '.join(ids) or _NOTHING} is abandoned"


def _value(value: Any) -> str:
    return "absent" if value is _ABSENT else legible(canonical(value).decode(), _SHOWN)


_ABSENT: Any = object()


def _first_change(old: JsonValue, new: JsonValue, path: str = "") -> tuple[str, Any, Any]:
    """Where two values that are not the same differ first."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = {**old, **new}
        pairs = [(f".{key}", old.get(key, _ABSENT), new.get(key, _ABSENT)) for key in keys]
    elif isinstance(old, list) and isinstance(new, list):
        both = cast("Any", zip_longest(old, new, fillvalue=_ABSENT))
        pairs = [(f"[{index}]", was, became) for index, (was, became) in enumerate(both)]
    else:
        return path.removeprefix("."), old, new
    for step, was, became in pairs:
        if was is _ABSENT or became is _ABSENT:
            return f"{path}{step}".removeprefix("."), was, became
        if canonical(was) != canonical(became):
            return _first_change(was, became, f"{path}{step}")
    return path, old, new
