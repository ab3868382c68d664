"""The operations of `json_transform`: total functions from JSON to JSON or `CannotTransform`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import cast

from ...cluster.canonical import NotCanonical, canonical
from ..contracts import JsonValue
from .json_path import InvalidPath, PathLeadsNowhere, Step, appended, find, parse

MAX_DEPTH = 100
MAX_ITEMS = 100_000
MAX_BYTES = 10 * 1024 * 1024

Lookup = Callable[[JsonValue, str], JsonValue]


class CannotTransform(Exception):
    """`reason` is a stable word, the message is for people."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class Missing:
    """What a lookup without a default finds where there is nothing."""


MISSING = Missing()


def encoded(value: JsonValue, what: str) -> bytes:
    """The canonical bytes of a value within the limits. Raises too_deep, too_large or not_json."""
    _measure(value, what)
    try:
        data = canonical(value)
    except NotCanonical as error:
        raise CannotTransform("not_json", f"{what} is not JSON: {error}") from error
    if len(data) > MAX_BYTES:
        raise CannotTransform("too_large", f"{what} is larger than {MAX_BYTES} bytes")
    return data


def compiled(path: str) -> tuple[Step, ...]:
    """The steps of a path. Raises path_invalid."""
    try:
        return parse(path)
    except InvalidPath as error:
        raise CannotTransform("path_invalid", f"{path!r} is not a path") from error


def extract(value: JsonValue, path: str, default: JsonValue | Missing = MISSING) -> JsonValue:
    """The value at a path, or the default. Raises path_invalid or path_not_found."""
    steps = compiled(path)
    try:
        return find(value, steps)
    except PathLeadsNowhere as error:
        if not isinstance(default, Missing):
            return default
        raise CannotTransform("path_not_found", f"there is nothing at {path!r}") from error


def shaped(
    value: JsonValue, mapping: Mapping[str, str], default: JsonValue | Missing = MISSING
) -> JsonValue:
    """An object of what is found at each path."""
    return {name: extract(value, path, default) for name, path in mapping.items()}


def items_of(value: JsonValue, operation: str) -> list[JsonValue]:
    """The value as an array. Raises type_mismatch."""
    if isinstance(value, list):
        return value
    raise CannotTransform("type_mismatch", f"{operation} needs an array, not {kind(value)}")


def with_keys(value: JsonValue, keys: tuple[str, ...], *, keep: bool) -> JsonValue:
    """An object, or each object of an array, with only these keys or without them."""
    if isinstance(value, list):
        return [with_keys(item, keys, keep=keep) for item in value if _is_object(item)]
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if (key in keys) == keep}
    raise CannotTransform("type_mismatch", f"pick and omit need objects, not {kind(value)}")


def merged(value: JsonValue, over: JsonValue) -> JsonValue:
    """Objects recursively, the other's values over one's own; two arrays one after the other."""
    if isinstance(value, list) and isinstance(over, list):
        return [*value, *over]
    if isinstance(value, dict) and isinstance(over, dict):
        return _merged_objects(value, over)
    raise CannotTransform("type_mismatch", f"{kind(value)} and {kind(over)} cannot be merged")


def flattened(value: JsonValue) -> JsonValue:
    """Arrays in arrays as one array; an object with the paths of its leaves as keys."""
    if isinstance(value, list):
        return _flat_items(value)
    if isinstance(value, dict):
        leaves: dict[str, JsonValue] = {}
        _collect(value, "", leaves)
        return leaves
    raise CannotTransform("type_mismatch", f"flatten needs an array or object, not {kind(value)}")


def ordered(items: list[JsonValue], path: str | None, *, descending: bool) -> list[JsonValue]:
    """Sorted by the value at a path, else by the items; null and nothing sort last, equals keep
    their order. Raises not_comparable unless all are numbers, all strings or all booleans.
    """
    keyed = [(extract(item, path, None) if path else item, item) for item in items]
    present = [pair for pair in keyed if pair[0] is not None]
    kinds = {kind(key) for key, _ in present}
    if len(kinds) > 1 or not kinds <= {"a number", "a string", "a boolean"}:
        raise CannotTransform("not_comparable", f"cannot sort {', '.join(sorted(kinds))}")
    # All keys are of one kind here, which the type of a JSON value cannot say.
    present.sort(key=lambda pair: cast("str", pair[0]), reverse=descending)
    return [item for _, item in present] + [item for key, item in keyed if key is None]


def kind(value: JsonValue) -> str:
    """What a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    return "an array" if isinstance(value, list) else "an object"


def _measure(value: JsonValue, what: str) -> None:
    """Level by level, so that no nesting is too deep to be measured. Every value is at least one
    byte of JSON, so what is too large is known before it is encoded.
    """
    level: list[JsonValue] = [value]
    depth, weight = 0, 0
    while level:
        if depth > MAX_DEPTH:
            raise CannotTransform("too_deep", f"{what} is nested deeper than {MAX_DEPTH}")
        inner: list[JsonValue] = []
        for each in level:
            if not isinstance(each, (list, dict, str)):
                continue
            weight += len(each)
            if weight > MAX_BYTES:
                raise CannotTransform("too_large", f"{what} is larger than {MAX_BYTES} bytes")
            if not isinstance(each, str):
                inner.extend(_children(each, what))
        level, depth = inner, depth + 1


def _children(value: list[JsonValue] | dict[str, JsonValue], what: str) -> Iterable[JsonValue]:
    if len(value) > MAX_ITEMS:
        raise CannotTransform("too_large", f"{what} has a container of over {MAX_ITEMS} items")
    return value.values() if isinstance(value, dict) else value


def _is_object(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return True
    raise CannotTransform("type_mismatch", f"pick and omit need objects, not {kind(value)}")


def _merged_objects(value: dict[str, JsonValue], over: dict[str, JsonValue]) -> JsonValue:
    result = dict(value)
    for key, item in over.items():
        own = result.get(key)
        both = isinstance(own, dict) and isinstance(item, dict)
        result[key] = merged(own, item) if both else item
    return result


def _flat_items(items: list[JsonValue]) -> list[JsonValue]:
    flat: list[JsonValue] = []
    for item in items:
        flat.extend(_flat_items(item) if isinstance(item, list) else [item])
    return flat


def _collect(value: JsonValue, path: str, leaves: dict[str, JsonValue]) -> None:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            _collect(item, appended(path, key), leaves)
    elif isinstance(value, list) and value:
        for index, item in enumerate(value):
            _collect(item, appended(path, index), leaves)
    elif path:
        leaves[path] = value
