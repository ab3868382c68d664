"""The SDK: submit goals, follow runs, read what came of them.

    from aos.api.client import AosClient

    with AosClient() as aos:                     # finds the AOS of this machine
        run = aos.runs.create("researcher", "Fetch https://example.com and summarise it")
        print(aos.runs.wait(run.id).answer)

Needs httpx and pydantic, and neither Ray nor Postgres nor FastAPI. `AsyncAosClient` has the same
methods with `await`. Submitting carries an idempotency key in any case, so what is sent again after
a lost answer is the same run. Errors: `ApiError` (the door refused), `NotRunning` (nobody answers).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import ApiError, NoCredentials, NotRunning

if TYPE_CHECKING:
    from .asynchronous import AsyncAosClient
    from .control_models import (
        DeadLetterView,
        EligibilityPage,
        EligibilityView,
        MessageView,
        ProgramView,
        RepairView,
        StopsView,
    )
    from .history_models import RunHistory
    from .models import (
        AgentView,
        EventPage,
        RunEvent,
        RunSummary,
        RunView,
        StatusView,
        SupervisionEvent,
        TreeNode,
    )
    from .replay_models import ReplayView, TraceView, VerificationView
    from .retention_models import ArchivePage, ArchiveView, RetentionView
    from .synchronous import AosClient
    from .team_models import TeamChildView, TeamSummary, TeamView

# Loaded on first use: `aos --help` shall not wait for httpx and pydantic.
_LATER = {
    "AgentView": ".models",
    "AosClient": ".synchronous",
    "AsyncAosClient": ".asynchronous",
    "DeadLetterView": ".control_models",
    "EligibilityPage": ".control_models",
    "EligibilityView": ".control_models",
    "EventPage": ".models",
    "MessageView": ".control_models",
    "ProgramView": ".control_models",
    "RepairView": ".control_models",
    "ReplayView": ".replay_models",
    "ArchivePage": ".retention_models",
    "ArchiveView": ".retention_models",
    "RetentionView": ".retention_models",
    "RunEvent": ".models",
    "RunHistory": ".history_models",
    "RunSummary": ".models",
    "RunView": ".models",
    "StatusView": ".models",
    "StopsView": ".control_models",
    "SupervisionEvent": ".models",
    "TeamChildView": ".team_models",
    "TeamSummary": ".team_models",
    "TeamView": ".team_models",
    "TraceView": ".replay_models",
    "TreeNode": ".models",
    "VerificationView": ".replay_models",
}

__all__ = [
    "AgentView",
    "AosClient",
    "ApiError",
    "ArchivePage",
    "ArchiveView",
    "AsyncAosClient",
    "DeadLetterView",
    "EligibilityPage",
    "EligibilityView",
    "EventPage",
    "MessageView",
    "NoCredentials",
    "NotRunning",
    "ProgramView",
    "RepairView",
    "ReplayView",
    "RetentionView",
    "RunEvent",
    "RunHistory",
    "RunSummary",
    "RunView",
    "StatusView",
    "StopsView",
    "SupervisionEvent",
    "TeamChildView",
    "TeamSummary",
    "TeamView",
    "TraceView",
    "TreeNode",
    "VerificationView",
]


def __getattr__(name: str) -> Any:
    if (module := _LATER.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(module, __name__), name)
