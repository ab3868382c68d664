"""What replaying found, as it is shown. Pure."""

from __future__ import annotations

from dataclasses import asdict
from uuid import UUID

from ..actors.replay.dry_run import DryRun
from ..actors.replay.mock import Replayed
from ..actors.replay.verify import Verification
from .client.replay_models import ReplayView, VerificationView


def verification_view(found: Verification) -> VerificationView:
    """What came of verifying."""
    return VerificationView.model_validate({**asdict(found), "holds": found.holds})


def replay_view(found: Replayed) -> ReplayView:
    """What came of a mock replay, or of one with something changed."""
    return ReplayView.model_validate(asdict(found))


def dry_run_view(run_id: UUID, found: DryRun) -> ReplayView:
    """What a run would call now."""
    return ReplayView.model_validate(
        {**asdict(found), "mode": "dry_run", "run_id": run_id, "problems": found.problems}
    )
