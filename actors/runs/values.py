"""Large values: kept out of events, stored once by content hash, put back before they are used.

Pure. A field of an output whose canonical form is over the threshold becomes null in the event and
an entry in the event's `large`; if what remains is still too big, the whole output goes (under the
empty name). Nothing inside a value is ever interpreted as a reference: a page that contains our own
notation is just a page.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...cluster.canonical import bytes_hash, canonical
from ...skills.contracts.values import JsonValue

WHOLE = ""
"""The name under which an entire output is stored."""


def shrink(output: JsonValue, threshold: int) -> tuple[JsonValue, dict[str, str], dict[str, bytes]]:
    """The output fit for an event, its large fields by name, and their contents by hash."""
    if len(canonical(output)) <= threshold:
        return output, {}, {}
    large: dict[str, str] = {}
    contents: dict[str, bytes] = {}
    if isinstance(output, dict):
        kept = dict(output)
        for name, value in output.items():
            data = canonical(value)
            if name != WHOLE and len(data) > threshold:
                kept[name] = None
                large[name] = _keep(data, contents)
        if len(canonical(kept)) <= threshold:
            return kept, large, contents
    contents.clear()
    return None, {WHOLE: _keep(canonical(output), contents)}, contents


def restore(
    output: JsonValue, large: Mapping[str, str], contents: Mapping[str, JsonValue]
) -> JsonValue:
    """The output as it was; `contents` maps hashes to values."""
    if WHOLE in large:
        return contents[large[WHOLE]]
    if not large or not isinstance(output, dict):
        return output
    return {**output, **{name: contents[digest] for name, digest in large.items()}}


def _keep(data: bytes, contents: dict[str, bytes]) -> str:
    digest = bytes_hash(data)
    contents[digest] = data
    return digest
