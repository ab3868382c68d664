"""What `filter` compares.

A field that is missing satisfies only `ne` and `exists: false`; null has no order and no parts.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Literal

from ...cluster.canonical import canonical
from ..contracts import JsonValue
from .json_path import PathLeadsNowhere, Step, find
from .transform import CannotTransform, kind

Operator = Literal[
    "eq", "ne", "gt", "gte", "lt", "lte", "contains", "startswith", "endswith", "exists"
]

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}


def holds(item: JsonValue, steps: tuple[Step, ...], test: Operator, expected: JsonValue) -> bool:
    """Whether a condition holds for an item. Raises `CannotTransform` not_comparable where the
    two values have no order, or no parts.
    """
    try:
        found = find(item, steps)
    except PathLeadsNowhere:
        found, present = None, False
    else:
        present = True
    if test == "exists":
        return present == (expected is not False)
    if test in ("eq", "ne"):
        return (present and _same(found, expected)) == (test == "eq")
    if found is None:
        return False
    return _contains(found, expected) if test == "contains" else _compare(test, found, expected)


def _same(one: JsonValue, other: JsonValue) -> bool:
    """Equal as JSON: 1 and 1.0 are, true and 1 are not."""
    return canonical(one) == canonical(other)


def _contains(found: JsonValue, expected: JsonValue) -> bool:
    if isinstance(found, list):
        return any(_same(item, expected) for item in found)
    if isinstance(found, (str, dict)) and isinstance(expected, str):
        return expected in found
    raise _incomparable("contains", found, expected)


def _compare(test: str, found: JsonValue, expected: JsonValue) -> bool:
    if isinstance(found, str) and isinstance(expected, str):
        if test in ("startswith", "endswith"):
            return found.startswith(expected) if test == "startswith" else found.endswith(expected)
        return _ORDER[test](found, expected)
    if _is_number(found) and _is_number(expected) and test in _ORDER:
        return _ORDER[test](found, expected)
    raise _incomparable(test, found, expected)


def _is_number(value: JsonValue) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _incomparable(test: str, found: JsonValue, expected: JsonValue) -> CannotTransform:
    return CannotTransform(
        "not_comparable", f"{test} cannot compare {kind(found)} with {kind(expected)}"
    )
