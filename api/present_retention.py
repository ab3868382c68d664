"""Retention and provenance as what is shown. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from uuid import UUID

from ..actors.retention.policy import Policy
from ..actors.retention.removal import Judged
from ..actors.runs.provenance_records import (
    Attempt,
    Denial,
    Planned,
    Record,
    Restart,
    StatusChange,
)
from ..cluster.postgres import Row
from .client.history_models import (
    AttemptView,
    DenialView,
    PlannedView,
    RestartView,
    RunHistory,
    StatusChangeView,
)
from .client.retention_models import ArchiveView, PartView, RemovalView, RetentionView


def policy_view(policy: Policy, now: datetime) -> RetentionView:
    """The policy alone."""
    return RetentionView(
        days=policy.days,
        archive=None,
        ended_before=policy.ended_before(now),
        parts=None,
        removals=None,
    )


def retention_view(
    policy: Policy, now: datetime, judged: Sequence[Judged], removals: Iterable[Row]
) -> RetentionView:
    """The policy, what it lets go, and what went."""
    return RetentionView(
        days=policy.days,
        archive=str(policy.archive) if policy.archive else None,
        ended_before=policy.ended_before(now),
        parts=[part_view(each) for each in judged],
        removals=[removal_view(row) for row in removals],
    )


def part_view(judged: Judged) -> PartView:
    """A partition and what becomes of it."""
    stock = judged.stock
    return PartView(
        part=stock.part.name,
        begins=stock.part.begins,
        until=stock.part.until,
        runs=stock.runs,
        removable=stock.removable,
        verdict=judged.verdict.value,
    )


def removal_view(row: Row) -> RemovalView:
    """A removal."""
    return RemovalView(id=row["removal_id"], **{k: v for k, v in row.items() if k != "removal_id"})


def archive_view(row: Row, *, with_path: bool) -> ArchiveView:
    """An archive; where it lies is the platform's business."""
    path = Path(row["path"])
    same = ("part", "runs", "events", "blobs", "bytes", "sha256", "written_at", "state")
    return ArchiveView(
        id=row["archive_id"],
        removal=row["removal_id"],
        tenant=row["tenant_id"],
        name=path.name,
        path=str(path) if with_path else None,
        **{name: row[name] for name in same},
    )


def history_view(run_id: UUID, records: Sequence[Record]) -> RunHistory:
    """A run's history, sorted by what its records are about."""
    return RunHistory(
        run_id=run_id,
        status=[StatusChangeView(**asdict(r)) for r in records if isinstance(r, StatusChange)],
        plan=[PlannedView(**asdict(r)) for r in records if isinstance(r, Planned)],
        attempts=[AttemptView(**asdict(r)) for r in records if isinstance(r, Attempt)],
        denials=[DenialView(**asdict(r)) for r in records if isinstance(r, Denial)],
        restarts=[RestartView(**asdict(r)) for r in records if isinstance(r, Restart)],
    )
