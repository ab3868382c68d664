"""What a supervisor needs of its children, whatever they are: actors, services, supervisors."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from ..cluster.errors import AosError
from ..cluster.exits import Exit
from .spec import ChildSpec


class NotNeeded(Exception):
    """Raised by a starter: there is nothing to start, and nothing is wrong."""


class NoCapacity(Exception):
    """Raised by a starter: no machine has what the child needs. The text says what is missing."""


class Running(Protocol):
    """A child that was started."""

    async def watch(self) -> Exit:
        """Return when it ends, with why."""
        ...

    async def stop(self, seconds: float | None) -> None:
        """End it, by force after `seconds` (None: never by force). Its `watch` returns then."""
        ...

    async def describe(self) -> dict[str, Any]:
        """What a tree view shows of it."""
        ...


R_co = TypeVar("R_co", bound=Running, covariant=True)


class Starter(Protocol[R_co]):
    """How children come to be."""

    async def start(self, spec: ChildSpec) -> R_co:
        """Start the child, or adopt the one that lives. Raises what it failed with; `NotNeeded`;
        `NoCapacity`. When it is cancelled it leaves nothing behind.
        """
        ...

    async def progressed(self, spec: ChildSpec) -> bool:
        """Whether the child that just ended had done something useful since its start."""
        ...


def explain(error: BaseException) -> str:
    """An error in a line, with its code if it has one."""
    if isinstance(error, AosError):
        return f"{error.code}: {error.detail}"
    return f"{type(error).__name__}: {error}"
