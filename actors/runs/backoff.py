"""How long to wait before trying again. Pure: the jitter comes from the run's seed."""

from __future__ import annotations

from datetime import datetime, timedelta

from ...skills.contracts import RetryPolicy

_LONGEST_WAIT_MS = 365 * 86_400_000
"""A year: longer than a retry is any use, and short enough for arithmetic with instants."""


def after(instant: datetime, milliseconds: int) -> datetime:
    """An instant later, however long somebody asked us to wait."""
    return instant + timedelta(milliseconds=min(milliseconds, _LONGEST_WAIT_MS))


def backoff_ms(policy: RetryPolicy, attempt: int, seed: int) -> int:
    """Milliseconds between attempt `attempt` (from 1) and the next: exponential, capped, and
    jittered upwards from the seed alone.
    """
    try:
        delay = policy.initial_delay_ms * policy.multiplier ** (attempt - 1)
    except OverflowError:
        delay = float(policy.max_delay_ms if policy.initial_delay_ms else 0)
    delay = min(delay, float(policy.max_delay_ms))
    fraction = (seed & 0xFFFFFFFF) / 0x1_0000_0000
    return round(delay * (1 + policy.jitter * fraction))
