"""Chains of quick calls in one skill's process: what is sent there, and how it is done there.

A worker does what it is given in order, for `BOX` seconds; what it has not begun by then it leaves
to whoever asked, who knows better what is worth doing by now. Outcomes are told together, a few
milliseconds late at most, because telling one costs more than a quick skill does.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator

from pydantic import Field, TypeAdapter

from ..cluster.engine import SPENT
from ..cluster.memory import lift
from ..skills.call import SkillCall
from ..skills.contracts import Contract, JsonObject, JsonValue, StructuredOutcome
from ..skills.executor import execute
from .runs.references import UnresolvedReference, resolve
from .worker import (
    TO_CLEAN_UP,
    loop,
    registry,
    settings,
    spent,
    step_back,
    without_memory,
)

PERFORM_CHAINS = f"{__name__}:perform_chains"

TOLD_SOME, OVER = "told", "over"
"""Kinds of items: outcomes, and the last outcomes."""

BOX = 0.03
"""Seconds after which nothing more is begun."""

_TELL = 0.005
"""Seconds that an outcome waits for others to be told together with."""


class Link(Contract):
    """A call that may need what others of its chain return. `known`: outputs of steps that are
    done, by id; `follows`: the chain's steps that must have succeeded, whose outputs are taken,
    too. `literal`: the params hold no references.
    """

    call: SkillCall
    known: JsonObject = Field(default_factory=dict)
    follows: tuple[str, ...] = ()
    literal: bool = True


class Chain(Contract):
    """Calls of one run, in an order in which each comes after what it follows."""

    links: tuple[Link, ...]


class Work(Contract):
    """Chains of any runs of an agent."""

    chains: tuple[Chain, ...]


Told = tuple[int, int, StructuredOutcome]
"""Which chain, which link of it, and what came of that."""

TOLD: TypeAdapter[list[Told]] = TypeAdapter(list[Told])


def perform_chains(payload: str) -> Generator[tuple[str, str], None, str | None]:
    """Execute `Work` given as JSON. Yields lists of `Told` as JSON; an empty one only says that
    work has begun. Returns `SPENT` if nothing else should run in this process.
    """
    step_back()
    telling = _Telling()
    try:
        for number, chain in enumerate(Work.model_validate_json(payload).chains):
            if (yield from _chain(number, chain, telling)) == SPENT:
                yield OVER, telling.rest()
                return SPENT
    except KeyboardInterrupt:
        return SPENT  # cancelled, and the skill has had its time to clean up
    yield OVER, telling.rest()
    return None


def _chain(
    number: int, chain: Chain, telling: _Telling
) -> Generator[tuple[str, str], None, str | None]:
    """As much of a chain as there is time for. What needs something that failed is left out."""
    outputs: dict[str, JsonValue] = {}
    for index, link in enumerate(chain.links):
        if telling.is_late:
            return None
        if not all(need in outputs for need in link.follows):
            continue
        try:
            call = resolved(link, outputs)
        except UnresolvedReference as error:
            outcome = StructuredOutcome.failure("ERR_INVALID_REFERENCE", str(error))
            telling.add(number, index, outcome)
            continue
        outcome = yield from _outcome(call, telling)
        telling.add(number, index, outcome)
        if spent(call, outcome):
            return SPENT
        if outcome.ok:
            outputs[call.step_id] = outcome.output
    return None


def resolved(link: Link, outputs: dict[str, JsonValue]) -> SkillCall:
    """The call with its references replaced. Raises `UnresolvedReference`."""
    if link.literal:
        return link.call
    needed = {name: outputs[name] for name in link.follows}
    params = resolve(link.call.params, {**link.known, **needed})
    return link.call.model_copy(update={"params": params if isinstance(params, dict) else {}})


class _Telling:
    """Outcomes on their way, and the time."""

    def __init__(self) -> None:
        self._began = self._told_at = time.monotonic()
        self._pending: list[str] = []
        self._any = False

    @property
    def is_late(self) -> bool:
        """Whether something was done and nothing more is to be begun."""
        return self._any and time.monotonic() - self._began > BOX

    @property
    def patience(self) -> float:
        """Seconds until what is pending has to be told."""
        return max(0.0, self._told_at + _TELL - time.monotonic())

    def add(self, chain: int, link: int, outcome: StructuredOutcome) -> None:
        """Something came of a link."""
        self._any = True
        text = outcome.model_dump_json(exclude_defaults=True)
        self._pending.append(f"[{chain},{link},{text}]")

    def rest(self) -> str:
        """What is pending, as JSON; now it is told."""
        pending, self._pending = self._pending, []
        self._told_at = time.monotonic()
        return f"[{','.join(pending)}]"


def _outcome(
    call: SkillCall, telling: _Telling
) -> Generator[tuple[str, str], None, StructuredOutcome]:
    lift()  # what the last attempt has left behind it
    task = loop().create_task(_executed(call))
    try:
        loop().run_until_complete(asyncio.wait({task}, timeout=telling.patience))
        if not task.done():  # nobody waits for others' outcomes because this one takes its time
            yield TOLD_SOME, telling.rest()
        return loop().run_until_complete(task)
    except KeyboardInterrupt:
        task.cancel()
        loop().run_until_complete(asyncio.wait({task}, timeout=TO_CLEAN_UP))
        raise
    except MemoryError:  # as in `perform`
        lift()
        return without_memory(call)


async def _executed(call: SkillCall) -> StructuredOutcome:
    async for event in execute(call, registry(), settings()):
        if isinstance(event, StructuredOutcome):
            return event
    raise RuntimeError("an execution ends in an outcome")
