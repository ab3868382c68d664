"""Start a local cluster, or join the one that `AOS_RAY_ADDRESS` names."""

from __future__ import annotations

import os
import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..environment import ray_directory
from ..settings import Settings
from .errors import ClusterStartFailed, ClusterUnreachable
from .ray_api import api as ray

_KEPT_SESSIONS = 3
_RESOURCES_AGE = 5.0
_LISTEN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ClusterInfo:
    """A cluster that this process is connected to."""

    address: str
    dashboard_url: str | None
    session_dir: Path
    local: bool


def start(settings: Settings) -> ClusterInfo:
    """Start Ray on this machine; it lives as long as this process.

    Worker processes are kept while idle (making one costs half a second of CPU) and the object
    store is small (payloads live in Postgres). The process must have been started with
    `cluster_environment`. Raises `ClusterStartFailed`.
    """
    temp = ray_directory(settings)
    if os.environ.get("RAY_AUTH_TOKEN_PATH") != str(settings.home / "ray-token"):
        raise ClusterStartFailed("this process was not given the cluster's environment")
    _prune_sessions(temp)
    try:
        context = ray.init(
            address="local",
            namespace=settings.ray_namespace,
            num_cpus=settings.ray_cpus,
            include_dashboard=settings.ray_dashboard,
            dashboard_port=_free_port(settings.ray_dashboard_port),
            object_store_memory=settings.ray_object_store_bytes,
            _temp_dir=str(temp),
            _system_config={
                "num_workers_soft_limit": 4 * (os.cpu_count() or 1),
                "idle_worker_killing_time_threshold_ms": 600_000,
            },
            log_to_driver=False,
            logging_level="warning",
        )
    except Exception as error:
        raise ClusterStartFailed(
            f"Ray did not start: {_brief(error)}. Its logs are under {temp}/session_latest/logs."
        ) from error
    return _describe(context, local=True)


def connect(settings: Settings) -> ClusterInfo:
    """Join the cluster at `settings.ray_address` as a driver without a runtime environment."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _check_listening(settings.ray_address or "")
    try:
        context = ray.init(
            address=settings.ray_address,
            namespace=settings.ray_namespace,
            log_to_driver=False,
            logging_level="warning",
        )
    except Exception as error:
        raise ClusterUnreachable(
            f"no Ray cluster answers at {settings.ray_address}: {_brief(error)}"
        ) from error
    return _describe(context, local=False)


def shutdown() -> None:
    """Leave the cluster; a local one ends with it, all its processes included."""
    ray.shutdown()


_seen_resources: tuple[float, dict[str, float]] = (-_RESOURCES_AGE, {})


def resources(*, max_age: float = _RESOURCES_AGE) -> dict[str, float]:
    """Total resources of all living nodes, at most `max_age` seconds old."""
    global _seen_resources  # noqa: PLW0603 - one cache per process, and losing a race only costs a call
    if time.monotonic() - _seen_resources[0] > max_age:
        _seen_resources = (time.monotonic(), ray.cluster_resources())
    return _seen_resources[1]


def available_resources() -> dict[str, float]:
    """What is free right now."""
    return ray.available_resources()


def own_node() -> str:
    """The id of the node that this process runs on."""
    return str(ray.get_runtime_context().get_node_id())


def own_address() -> str:
    """Where this node's processes are reached from the others."""
    return str(ray.util.get_node_ip_address())


def _prune_sessions(temp: Path) -> None:
    sessions = sorted(path for path in temp.glob("session_2*") if path.is_dir())
    for stale in sessions[: -_KEPT_SESSIONS or None]:
        shutil.rmtree(stale, ignore_errors=True)


def _check_listening(address: str) -> None:
    """Ray tries for minutes to reach an address where nothing listens; this says so at once."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal():
        return  # "auto", or a form that Ray knows better
    try:
        socket.create_connection((host.removeprefix("ray://"), int(port)), _LISTEN_SECONDS).close()
    except OSError as error:
        raise ClusterUnreachable(
            f"nothing listens at {address}: {error.strerror or error}"
        ) from None


def _free_port(preferred: int) -> int:
    """The preferred port if nobody listens there, else any free one."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise ClusterStartFailed("this machine has no free TCP port")


def _describe(context: Any, *, local: bool) -> ClusterInfo:
    url = context.dashboard_url
    return ClusterInfo(
        address=context.address_info["address"],
        dashboard_url=f"http://{url}" if url else None,
        session_dir=Path(context.address_info["session_dir"]),
        local=local,
    )


def _brief(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
