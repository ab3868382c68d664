"""What an agent and a process that serves it say to each other: frames of JSON."""

from __future__ import annotations

import asyncio

from pydantic import Field

from ...skills.call import SkillCall
from ...skills.contracts import Contract, JsonObject, StructuredOutcome

_LENGTH = 4


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


class Station(Contract):
    """Where a process reports for work, and how many chains it works on at a time."""

    host: str
    port: int
    token: str
    width: int


class Said(Contract):
    """What a process says: outcomes, as number of the chain, index of the link, and what came of
    it; chains that it is done with, whether each of their links has an outcome or not. `leaving`:
    it begins nothing more. `crowded`: its calls keep it from waiting, so they do not belong
    together.
    """

    told: tuple[tuple[int, int, StructuredOutcome], ...] = ()
    ended: tuple[int, ...] = ()
    leaving: bool = False
    crowded: bool = False


def frame(body: bytes) -> bytes:
    """As it is sent."""
    return len(body).to_bytes(_LENGTH, "big") + body


def order(number: int, chain: Chain | None) -> bytes:
    """A chain to do, or without one the word to stop it, as a frame."""
    text = "" if chain is None else chain.model_dump_json(exclude_defaults=True)
    return frame(f"{number} {text}".encode())


def ordered(body: bytes) -> tuple[int, Chain | None]:
    """What an `order` says."""
    number, _, text = body.partition(b" ")
    return int(number), Chain.model_validate_json(text) if text else None


async def read(reader: asyncio.StreamReader) -> bytes | None:
    """The next frame's body, or None when the other side has closed or is gone."""
    try:
        length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
        return await reader.readexactly(length)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
