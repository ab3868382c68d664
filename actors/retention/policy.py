"""What is to be removed, decided from facts. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

from ...cluster.settings import Settings

DEFAULT_PART = "default"
"""The partition of all ids that have no week of their own."""

_GRACE = timedelta(days=1)
"""A week's last runs end in the next one: so much later a partition is looked at."""

_PAUSE = timedelta(days=1)
"""A partition with more runs that stay than go is rewritten once in so long."""


@dataclass(frozen=True, slots=True)
class Policy:
    """How long finished runs are kept, and where they go. Without days they are kept for ever."""

    days: int | None = None
    archive: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """The configured one."""
        return cls(settings.retention_days, settings.retention_archive)

    def ended_before(self, now: datetime) -> datetime | None:
        """Runs that ended later stay; None: all do."""
        return None if self.days is None else now - timedelta(days=self.days)


@dataclass(frozen=True, slots=True)
class Part:
    """A partition: `until` is where its week ends, None for the default one. `last` is when runs
    were last removed from it.
    """

    name: str
    begins: datetime | None = None
    until: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True, slots=True)
class Stock:
    """A partition and how many of its runs may go, and how many there are."""

    part: Part
    removable: int
    runs: int


class Verdict(StrEnum):
    """What becomes of a partition."""

    KEEP = "keep"
    """Nothing in it may go, or not yet."""
    REMOVE = "remove"
    """Runs go now."""
    LATER = "later"
    """Few runs could go, and it was rewritten a short time ago."""


def old_enough(part: Part, ended_before: datetime) -> bool:
    """Whether it is worth counting what may go: only partitions wholly before the policy's instant
    are handled. The default one has no bounds, so its runs decide.
    """
    return part.until is None or part.until + _GRACE <= ended_before


def judge(stock: Stock, now: datetime) -> Verdict:
    """What becomes of a partition that is old enough."""
    if stock.removable == 0:
        return Verdict.KEEP
    stays = stock.runs - stock.removable
    last = stock.part.last
    if stays > stock.removable and last is not None and now - last < _PAUSE:
        return Verdict.LATER
    return Verdict.REMOVE
