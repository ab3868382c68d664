"""`Retry-After`, as HTTP servers send it (RFC 9110, 10.2.3)."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

_DAY_MS = 86_400_000


def retry_after_ms(value: str | None, now: datetime) -> int | None:
    """Milliseconds to wait: from seconds or an HTTP date; None if absent or neither of the two.

    A date in the past is 0, and nobody is waited for longer than a day.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return min(int(text[:9]) * 1000, _DAY_MS)
    try:
        instant = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return min(max(0, round((instant - now).total_seconds() * 1000)), _DAY_MS)
