"""`{{step.path}}`: how a step uses what earlier steps returned. Pure.

A string that is one reference becomes the value itself, with its type; references inside a longer
string are rendered into it (strings as they are, everything else as canonical JSON). A path walks
objects by key and arrays by index: `{{fetch.body}}`, `{{extract.headings.0.text}}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from ...cluster.canonical import canonical
from ...skills.contracts.values import JsonValue

_REFERENCE = re.compile(r"\{\{\s*([a-z][a-z0-9_-]*)((?:\.[^.{}\s]+)*)\s*\}\}")


class UnresolvedReference(ValueError):
    """A reference names a step without output, or a path that its output does not have."""


def referenced(value: JsonValue) -> frozenset[str]:
    """The ids of all steps that a value refers to."""
    return frozenset(match.group(1) for match in _matches(value))


def resolve(value: JsonValue, outputs: Mapping[str, JsonValue]) -> JsonValue:
    """The value with every reference replaced. Raises `UnresolvedReference`, never guesses."""
    if isinstance(value, str):
        return _resolve_text(value, outputs)
    if isinstance(value, list):
        return [resolve(item, outputs) for item in value]
    if isinstance(value, dict):
        return {key: resolve(item, outputs) for key, item in value.items()}
    return value


def _matches(value: JsonValue) -> Iterator[re.Match[str]]:
    if isinstance(value, str):
        yield from _REFERENCE.finditer(value)
    elif isinstance(value, list):
        for item in value:
            yield from _matches(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _matches(item)


def _is_index(part: str) -> bool:
    return part.isdecimal() and len(part) < 10


def _resolve_text(text: str, outputs: Mapping[str, JsonValue]) -> JsonValue:
    if (whole := _REFERENCE.fullmatch(text.strip())) is not None:
        return _look_up(whole, outputs)
    return _REFERENCE.sub(lambda match: _render(_look_up(match, outputs)), text)


def _render(value: JsonValue) -> str:
    return value if isinstance(value, str) else canonical(value).decode()


def _look_up(match: re.Match[str], outputs: Mapping[str, JsonValue]) -> JsonValue:
    step, path = match.group(1), match.group(2)
    if step not in outputs:
        raise UnresolvedReference(f"{match.group(0)}: step {step!r} has no output")
    value = outputs[step]
    for part in path.split(".")[1:]:
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and _is_index(part) and int(part) < len(value):
            value = value[int(part)]
        else:
            raise UnresolvedReference(f"{match.group(0)}: there is no {part!r} in it")
    return value
