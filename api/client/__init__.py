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
    from .retention_models import ArchivePage, ArchiveView, RetentionView
    from .synchronous import AosClient
    from .team_models import TeamChildView, TeamSummary, TeamView

# Loaded on first use: `aos --help` shall not wait for httpx and pydantic.
_LATER = {
    "AosClient": ".synchronous",
    "AsyncAosClient": ".asynchronous",
    "AgentView": ".models",
    "EventPage": ".models",
    "ArchivePage": ".retention_models",
    "ArchiveView": ".retention_models",
    "RetentionView": ".retention_models",
    "RunEvent": ".models",
    "RunHistory": ".history_models",
    "RunSummary": ".models",
    "RunView": ".models",
    "StatusView": ".models",
    "SupervisionEvent": ".models",
    "TeamChildView": ".team_models",
    "TeamSummary": ".team_models",
    "TeamView": ".team_models",
    "TreeNode": ".models",
}

__all__ = [
    "AgentView",
    "AosClient",
    "ApiError",
    "ArchivePage",
    "ArchiveView",
    "AsyncAosClient",
    "EventPage",
    "NoCredentials",
    "NotRunning",
    "RetentionView",
    "RunEvent",
    "RunHistory",
    "RunSummary",
    "RunView",
    "StatusView",
    "SupervisionEvent",
    "TeamChildView",
    "TeamSummary",
    "TeamView",
    "TreeNode",
]


def __getattr__(name: str) -> Any:
    if (module := _LATER.get(name)) is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(module, __name__), name)
