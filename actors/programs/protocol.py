"""What the run machine and a program say to each other: data, one turn at a time.

    deliveries ──▶ one turn of the program ──▶ Advanced: new requests, or the end

`Request` and `Advanced` are journaled, so they are contracts. What is compared when a program is
executed again: of a request `id`, `kind`, the skill's name and the canonical form of `params`; of a
turn also `abandoned`, `finished`, `answer` and the error's code. Never compared: versions (they are
pinned when a request is admitted), retry policies, lines and messages.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from ...skills.contracts import Contract, JsonObject, JsonValue, RetryPolicy


class RequestKind(StrEnum):
    """What a program can wait for."""

    CALL = "call"
    TIMER = "timer"
    SIGNAL = "signal"
    CHILD = "child"
    DECISION = "decision"


RESERVED: dict[RequestKind, str] = {
    RequestKind.TIMER: "wait.timer",
    RequestKind.SIGNAL: "wait.signal",
    RequestKind.CHILD: "run.child",
    RequestKind.DECISION: "wait.decision",
}
"""The names under which the machine knows what is no skill call. No program calls them by name."""

_KINDS = {name: kind for kind, name in RESERVED.items()}


def kind_of(skill: str) -> RequestKind:
    """The kind of a recorded request, which follows from its skill's name."""
    return _KINDS.get(skill, RequestKind.CALL)


class Request(Contract):
    """One thing that a program awaits. `id` is the same in every execution of the same code, see
    `identity`; `skill` is `name` or `name@version`, or one of the reserved names; `line` says where
    (`agent.py:12 in agent`) and is for people.
    """

    id: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")
    kind: RequestKind
    skill: str
    params: JsonObject = Field(default_factory=dict)
    retry: RetryPolicy | None = None
    line: str = ""


class Advanced(Contract):
    """What one turn of a program came to.

    `requests` are new, in the order in which they were asked for. `abandoned` were asked for in
    earlier turns and nobody waits for them any more: cancelled, or pending at the program's end. A
    request that is made and abandoned within one turn is in neither, and one whose end is delivered
    in the turn that abandons it is not in `abandoned`. `finished`: this was the last
    turn, with either an `answer` or an `error` (code, message, line). `patches` are the names that
    `ctx.patched` answered with yes for the first time.
    """

    requests: tuple[Request, ...] = ()
    finished: bool = False
    answer: JsonValue = None
    error: tuple[str, str, str] | None = None
    patches: tuple[str, ...] = ()
    abandoned: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """What came of one request: a value, or the failure (code, message) that it ended in."""

    id: str
    value: JsonValue = None
    failure: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Turn:
    """One recorded turn: what was delivered, in order, when, and what the program then did."""

    deliveries: tuple[Delivery, ...]
    at: datetime
    advanced: Advanced
