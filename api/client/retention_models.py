"""Retention on the wire."""

from __future__ import annotations

from datetime import datetime

from .models import Shape


class PartView(Shape):
    """A partition that is old enough to be looked at: a week, by the day it begins with, or
    `default`. `verdict`: remove, keep, or later (it was rewritten a short time ago).
    """

    part: str
    begins: datetime | None
    until: datetime | None
    runs: int
    removable: int
    verdict: str


class RemovalView(Shape):
    """Runs that left a partition. `kept` is how many stayed in it, since they are not finished, or
    have not been for long enough. `state`: begun, detached (nobody sees them any more), removed.
    """

    id: int
    part: str
    state: str
    runs: int
    kept: int
    ended_before: datetime
    began_at: datetime
    detached_at: datetime | None
    removed_at: datetime | None


class RetentionView(Shape):
    """The policy, what it lets go now, and what went last. `days` is null where runs are kept for
    ever. `begun`: a round was asked for and begins now. Whoever may not see the platform sees the
    policy: partitions hold the runs of all tenants.
    """

    days: int | None
    archive: str | None
    ended_before: datetime | None
    parts: list[PartView] | None
    removals: list[RemovalView] | None
    begun: bool = False


class ArchiveView(Shape):
    """A file of runs that were removed. `path` is where it lies, for those who may see that."""

    id: int
    removal: int
    tenant: str
    part: str
    name: str
    path: str | None
    runs: int
    events: int
    blobs: int
    bytes: int
    sha256: str
    written_at: datetime
    state: str


class ArchivePage(Shape):
    """Archives, newest first. `next_cursor` is null on the last page."""

    items: list[ArchiveView]
    next_cursor: str | None
