"""The environment that a cluster's first process is started with, and all its processes inherit.

Ray reads most of these once, while it is imported: setting them later is too late, so they are
given to the process when it is made. What they say was measured on two cores.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path

from .settings import Settings

PRELOADED = (
    "pydantic",
    "asyncpg",
    "structlog",
    "aos.actors.agent",
    "aos.actors.worker",
)
"""Imported by each worker process before it is needed, so that no run waits for an import. Only
what agents need: what skills need `worker.prepare` imports, in the processes that run them.
"""


def ray_directory(settings: Settings) -> Path:
    """Where Ray keeps sockets and logs: short on purpose, since socket paths end at 107 bytes."""
    return Path("/tmp") / f"aos-ray-{settings.instance}"  # noqa: S108 - see above


def cluster_environment(settings: Settings) -> dict[str, str]:
    """The environment of the caller with a cluster's variables: usage statistics off, modules
    preloaded, token authentication with a token that belongs to this home. Makes the token.
    """
    token = settings.home / "ray-token"
    if not token.exists():
        descriptor = os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
    scripts = str(Path(sys.executable).parent)
    path = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return {
        **os.environ,
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_preload_python_modules": ",".join(PRELOADED),
        # Ray would give all of AOS the lowest priority but one; skills lower theirs by themselves.
        "RAY_worker_niceness": "0",
        # Ray's own killer takes the supervisors first (docs/design/0008-who-dies-first.md).
        "RAY_memory_monitor_refresh_ms": "0",
        # Ray would make all of AOS the kernel's first victim; processes take ranks by themselves.
        "RAY_worker_oom_score_adjustment": "0",
        "AOS_HOME": str(settings.home),
        # `ray job submit -- aos run …` finds the `aos` of this installation.
        "PATH": os.pathsep.join([scripts, *(part for part in path if part != scripts)]),
    }
