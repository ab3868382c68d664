"""Identifiers: UUIDv7, so that ids sort by creation and partitions can be cut by id."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A new UUIDv7."""
    return uuid7()


def new_trace_id() -> str:
    """A W3C trace id: 32 lower-case hex digits. UUIDv7 keeps traces sortable too."""
    return uuid7().hex


def id_floor(instant: datetime) -> UUID:
    """The smallest UUIDv7 of an instant: partition bounds and time filters are made of it."""
    millis = int(instant.astimezone(UTC).timestamp() * 1000)
    return UUID(int=(millis << 80) | (0x7 << 76) | (0x8 << 60))


def id_instant(identifier: UUID) -> datetime:
    """When a UUIDv7 was made, to the millisecond."""
    return datetime.fromtimestamp((identifier.int >> 80) / 1000, tz=UTC)
