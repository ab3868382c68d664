"""Instants and spans as people read them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def span(time: timedelta) -> str:
    """How long, roughly: one number and its unit. What is negative is nothing."""
    seconds = max(0.0, time.total_seconds())
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3_600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"


def at(instant: datetime, now: datetime) -> str:
    """When, in UTC: the time of day, with the date if that is not today's."""
    utc = instant.astimezone(UTC)
    same_day = utc.date() == now.astimezone(UTC).date()
    return utc.strftime("%H:%M:%S UTC" if same_day else "%Y-%m-%d %H:%M:%S UTC")
