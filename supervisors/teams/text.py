"""The text of a declaration as data, with the line of each place. YAML, of which JSON is a part.

Safe to be given anything: only plain data is made, aliases cannot multiply it beyond the bounds,
and a key that is given twice, which YAML readers pass over in silence, is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml

from .errors import InvalidDeclaration, Problem, TooLarge, UnreadableText, refusal

LONGEST_TEXT = 65_536
DEEPEST = 40
MOST_VALUES = 10_000

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Text:
    """What a text says; `lines` are those of its values by their place, where they are known."""

    data: dict[str, Any]
    lines: Mapping[str, int]


def place_name(place: Place) -> str:
    """A place as people write it: `children[1].restart`."""
    name = ""
    for part in place:
        name += f"[{part}]" if isinstance(part, int) else f".{part}"
    return name.removeprefix(".")


def read(text: str) -> Text:
    """Raises `UnreadableText`, `TooLarge`; `InvalidDeclaration` for a key that is given twice."""
    if len(text) > LONGEST_TEXT:
        raise TooLarge(f"the text has {len(text)} characters; {LONGEST_TEXT} are the most")
    try:
        data, lines = _json(text) if text.lstrip().startswith("{") else _yaml(text)
    except RecursionError:
        raise TooLarge("the text is nested too deeply to be read") from None
    if not isinstance(data, dict):
        what = "nothing" if data is None else type(data).__name__
        raise UnreadableText(f"a declaration is a mapping of keys to values; this is {what}")
    _bounded(cast("object", data))
    return Text(cast("dict[str, Any]", data), lines)


def _json(text: str) -> tuple[Any, dict[str, int]]:
    try:
        return json.loads(text, object_pairs_hook=_once), {}
    except ValueError as error:
        if isinstance(error, json.JSONDecodeError):
            return _yaml(text)  # a flow mapping of YAML begins with a brace as well
        raise


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise refusal([Problem(twice, "this key is given twice in one mapping")])
    return found


def _yaml(text: str) -> tuple[Any, dict[str, int]]:
    try:
        loader: Any = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return None, {}
            lines, problems = _walk(node)
            if problems:
                raise refusal(problems)
            return loader.construct_document(node), lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UnreadableText(f"{where}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise UnreadableText(str(error).splitlines()[0]) from None
    except (ValueError, TypeError) as error:  # values that look like dates and are none, and such
        raise UnreadableText(f"a value cannot be read: {error}") from None


def _walk(root: yaml.Node) -> tuple[dict[str, int], list[Problem]]:
    """The line of each value, and keys that are given twice."""
    lines: dict[str, int] = {}
    problems: list[Problem] = []
    todo: list[tuple[Place, yaml.Node]] = [((), root)]
    while todo:
        place, node = todo.pop()
        lines[place_name(place)] = node.start_mark.line + 1
        if len(lines) > MOST_VALUES or len(place) > DEEPEST:
            raise _too_much(len(place))
        if isinstance(node, yaml.SequenceNode):
            todo += [((*place, number), item) for number, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, value in node.value:
                name = str(key.value)
                inner = (*place, name)
                if name in seen:
                    line = key.start_mark.line + 1
                    problems.append(Problem(place_name(inner), "is given twice", line=line))
                seen.add(name)
                todo.append((inner, value))
    return lines, problems


def _bounded(data: object) -> None:
    count = 0
    todo: list[tuple[int, object]] = [(0, data)]
    while todo:
        depth, value = todo.pop()
        count += 1
        if count > MOST_VALUES or depth > DEEPEST:
            raise _too_much(depth)
        todo += [(depth + 1, item) for item in _items(value)]


def _items(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        yield from cast("dict[object, object]", value).values()
    elif isinstance(value, list):
        yield from cast("list[object]", value)


def _too_much(depth: int) -> InvalidDeclaration:
    if depth > DEEPEST:
        return TooLarge(f"the declaration is nested deeper than {DEEPEST} levels")
    return TooLarge(f"the declaration has more than {MOST_VALUES} values")
