"""Paths into JSON: `$.a.b[0]`, `a.b`, `a["odd key"]`, `items[*].name`; `$` is the value itself.

A small part of RFC 9535: names, indices (negative ones from the end) and `[*]` over arrays.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache

from ..contracts import JsonValue

Step = str | int | None
"""A name, an index, or None for every item of an array."""

_NAME = re.compile(r"\.?([^\s.\[\]'\"$*][^.\[\]]*)")
_BRACKET = re.compile(r"""\[(?:(-?\d{1,9})|(\*)|("(?:[^"\\]|\\.)*")|'([^'\\]*)')\]""")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


class InvalidPath(ValueError):
    """The text is not a path."""


class PathLeadsNowhere(LookupError):
    """The value has nothing at this path."""


@lru_cache(maxsize=256)
def parse(path: str) -> tuple[Step, ...]:
    """The steps of a path. Raises `InvalidPath`."""
    text = path.strip()
    position = 1 if text.startswith("$") else 0
    if not text or (position == 0 and text.startswith(".")):
        raise InvalidPath(path)
    steps: list[Step] = []
    while position < len(text):
        step, position = _step(text, position)
        steps.append(step)
    return tuple(steps)


def find(value: JsonValue, steps: Sequence[Step]) -> JsonValue:
    """The value at a path. Raises `PathLeadsNowhere`."""
    for index, step in enumerate(steps):
        if step is None:
            if not isinstance(value, list):
                raise PathLeadsNowhere
            return [find(item, steps[index + 1 :]) for item in value]
        value = _into(value, step)
    return value


def appended(path: str, step: str | int) -> str:
    """The text of a path one step further, such that `parse` reads it back."""
    if isinstance(step, int):
        return f"{path}[{step}]"
    if not _PLAIN.fullmatch(step):
        return f"{path}[{json.dumps(step, ensure_ascii=False)}]"
    return f"{path}.{step}" if path else step


def _step(text: str, position: int) -> tuple[Step, int]:
    if text[position] == "[":
        matched = _BRACKET.match(text, position)
        if matched is None:
            raise InvalidPath(text)
        index, star, quoted, single = matched.groups()
        if index is not None:
            return int(index), matched.end()
        return (None if star else _unquoted(quoted, single)), matched.end()
    matched = _NAME.match(text, position)
    # Only the first name may stand without a dot.
    if matched is None or (position > 0 and text[position] != "."):
        raise InvalidPath(text)
    return matched[1].rstrip(), matched.end()


def _unquoted(quoted: str | None, single: str | None) -> str:
    if quoted is None:
        return single or ""
    try:
        return str(json.loads(quoted))
    except ValueError as error:
        raise InvalidPath(quoted) from error


def _into(value: JsonValue, step: str | int) -> JsonValue:
    if isinstance(step, str) and isinstance(value, dict) and step in value:
        return value[step]
    if isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
        return value[step]
    raise PathLeadsNowhere
