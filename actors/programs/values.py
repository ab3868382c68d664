"""Values that cross the border between a program and its journal: plain JSON, and never shared."""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel

from ...cluster.canonical import NotCanonical, canonical, readable
from ...skills.contracts import JsonValue
from .errors import UnrecordableRequest


def recorded(value: object, what: str) -> JsonValue:
    """A copy of a program's value as it will be read from the journal.

    Models, UUIDs, dates and tuples become JSON. Raises `UnrecordableRequest` for everything else
    that is not JSON: sets, for one, have no order that could be repeated.
    """
    try:
        return readable(json.loads(canonical(_plain(value))))
    except (NotCanonical, RecursionError) as error:
        raise UnrecordableRequest(f"{what} is not JSON: {error}") from error


def fresh(value: JsonValue) -> JsonValue:
    """A copy for a program, which may change what it is given; the journal must not follow."""
    if isinstance(value, dict):
        return {key: fresh(item) for key, item in value.items()}
    if isinstance(value, list):
        return [fresh(item) for item in value]
    return value


def legible(text: str, limit: int = 2_000) -> str:
    """Text that any store takes: bounded, without NUL and lone surrogates."""
    clean = text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[Any]", value)]
    return value
