"""Cursors: opaque names of the place where a page ended."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, TypeVar
from uuid import UUID

from fastapi import Query

from .errors import InvalidCursor

Item = TypeVar("Item")

Limit = Annotated[int, Query(ge=1, le=200, description="How many at most.")]
"""The length of a page."""

Cursor = Annotated[str | None, Query(description="`next_cursor` of the page before.")]
"""Where to go on."""


def parse(cursor: str | None) -> UUID | None:
    """The last id of the page before. Raises `InvalidCursor`."""
    if cursor is None:
        return None
    try:
        return UUID(bytes=base64.b64decode(cursor + "==", altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise InvalidCursor(f"{cursor[:100]!r} is not a cursor") from None


def parse_number(cursor: str | None) -> int | None:
    """The last number of the page before. Raises `InvalidCursor`."""
    last = parse(cursor)
    if last is not None and last.int >= 2**63:
        raise InvalidCursor("this cursor is of another list")
    return None if last is None else last.int


def cut(items: Sequence[Item], limit: int) -> tuple[Sequence[Item], Item | None]:
    """A page, and its last item if there is more: fetch one more than the page shall have."""
    page = items[:limit]
    return page, page[-1] if len(items) > limit else None


def cursor_of(item_id: UUID) -> str:
    """The cursor that goes on after this id."""
    return base64.urlsafe_b64encode(item_id.bytes).decode().rstrip("=")


def cursor_of_number(number: int) -> str:
    """The cursor that goes on after this number."""
    return cursor_of(UUID(int=number))
