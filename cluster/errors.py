"""The error tree, and the registry that keeps its codes unique.

    AosError
    ├── InputError       AOS-1xxx   the caller sent something that cannot be accepted
    ├── AccessError      AOS-2xxx   who is asking, and what they may do
    ├── RunError         AOS-3xxx   a run, its plan or its journal
    ├── SupervisionError AOS-4xxx   activations, leases, restarts
    ├── StorageError     AOS-5xxx   Postgres, migrations, the data directory
    └── EngineError      AOS-6xxx   Ray, processes, ports

Each class has a code that never changes its meaning, says who is to blame, whether trying again
can help, and what to do next. Subclasses live beside the code that raises them; a code used twice
is refused when the class is created. Outcomes of skills are data, not exceptions, and have a
taxonomy of their own: `skills/contracts/failure.py`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, ClassVar


class Blame(StrEnum):
    """Whose move it is."""

    CALLER = "caller"
    OPERATOR = "operator"
    PLATFORM = "platform"
    UPSTREAM = "upstream"


REGISTRY: dict[str, type[AosError]] = {}
"""Every concrete error class by its code, filled as modules are imported."""


class AosError(Exception):
    """Something AOS refuses or cannot do: a code, a message, a next action.

    Concrete classes define `code`, `title` and `next_action`; `detail` is about this occurrence.
    """

    code: ClassVar[str] = ""
    title: ClassVar[str] = ""
    next_action: ClassVar[str] = ""
    retryable: ClassVar[bool] = False
    blame: ClassVar[Blame] = Blame.PLATFORM

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in cls.__dict__:
            return
        taken = REGISTRY.get(cls.code)
        if taken is not None and _place(taken) != _place(cls):
            raise TypeError(f"{cls.__name__} reuses code {cls.code} of {taken.__name__}")
        if not (cls.title and cls.next_action):
            raise TypeError(f"{cls.__name__} needs a title and a next_action")
        REGISTRY[cls.code] = cls

    def __init__(self, detail: str = "", **context: Any) -> None:
        self.detail = detail or self.title
        self.context = context
        super().__init__(f"{self.code}: {self.detail}" if self.code else self.detail)

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors cross process borders: rebuild from detail and context, not from the message."""
        return (_rebuild, (type(self), self.detail, self.context))


def _place(cls: type) -> tuple[str, str]:
    return cls.__module__, cls.__qualname__


def _rebuild(cls: type[AosError], detail: str, context: dict[str, Any]) -> AosError:
    return cls(detail, **context)


class InputError(AosError):
    """The caller sent something that cannot be accepted."""

    blame = Blame.CALLER


class AccessError(AosError):
    """The caller is unknown or may not do this."""

    blame = Blame.CALLER


class RunError(AosError):
    """A run, its plan or its journal."""


class SupervisionError(AosError):
    """Activations, leases, restarts."""


class StorageError(AosError):
    """Postgres, migrations, the data directory."""

    blame = Blame.OPERATOR


class EngineError(AosError):
    """Ray, processes, ports."""

    blame = Blame.OPERATOR
