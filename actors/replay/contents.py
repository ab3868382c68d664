"""What steps returned, at hand: the driver's own way from outputs to params and answers."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar
from uuid import UUID

from ...cluster.canonical import bytes_hash, canonical
from ...skills.contracts import JsonObject, JsonValue
from ..outputs import Outputs
from ..runs.events import PlannedStep
from ..runs.state import RunState
from ..runs.values import WHOLE, restore

T = TypeVar("T")


class MissingValue(LookupError):
    """A large value is not at hand: what depends on it cannot be checked."""


class Contents:
    """The large values of one run, by content hash; `Outputs` without waiting."""

    def __init__(self, values: Mapping[str, JsonValue] | None = None) -> None:
        self._values = values or {}
        self._outputs = Outputs(self._load)

    def params(self, state: RunState, step_id: str) -> JsonObject:
        """As `Outputs.params`. Raises `MissingValue`, `UnresolvedReference`."""
        return _at_once(self._outputs.params(state, step_id))

    def answer(self, state: RunState, template: JsonValue) -> JsonValue:
        """As `Outputs.answer`. Raises `MissingValue`, `UnresolvedReference`."""
        return _at_once(self._outputs.answer(state, template))

    def planned(self, step: PlannedStep) -> JsonObject:
        """As `Outputs.planned`. Raises `MissingValue`."""
        params = self.whole(step.params, step.large)
        return params if isinstance(params, dict) else {}

    def whole(self, packed: JsonValue, large: Mapping[str, str]) -> JsonValue:
        """A value with what was too large for its event. Raises `MissingValue`."""
        for digest in large.values():
            if digest not in self._values:
                raise MissingValue(digest)
        return restore(packed, large, self._values)

    async def _load(self, run_id: UUID, digest: str) -> JsonValue:
        if digest not in self._values:
            raise MissingValue(digest)
        return self._values[digest]


def carries(packed: JsonValue, large: Mapping[str, str], value: JsonValue) -> bool:
    """Whether an event's fields stand for this value: hashes tell of what is not in the event."""
    if WHOLE in large:
        return large[WHOLE] == bytes_hash(canonical(value))
    if not large:
        return canonical(packed) == canonical(value)
    if not isinstance(value, dict) or not large.keys() <= value.keys():
        return False
    kept = {name: None if name in large else each for name, each in value.items()}
    hashes = {name: bytes_hash(canonical(value[name])) for name in large}
    return canonical(packed) == canonical(kept) and hashes == dict(large)


def _at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that has nothing to wait for."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    coroutine.close()
    raise RuntimeError("a value is waited for that was said to be at hand")
