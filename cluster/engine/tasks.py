"""Tasks: one generic remote generator that imports what it runs, and streams what that yields."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

from ray import exceptions as ray_errors

from .nodes import demand, missing
from .ray_api import api as ray

SPENT = "spent"
"""Returned by a task's generator: its process is not to be used again, and ends itself."""


class TaskFailure(Exception):
    """The task's process did not deliver: `kind` is worker_died, out_of_memory, node_lost,
    cancelled, unschedulable or raised.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.detail = detail


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """Resources and the name that the Ray dashboard shows."""

    name: str
    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int = 0
    custom: tuple[tuple[str, float], ...] = ()

    def missing(self) -> dict[str, float]:
        """What no machine of the cluster has enough of: such a task would wait for ever."""
        return missing(demand(self.cpus, self.gpus, self.memory_bytes, self.custom))


class TaskStream:
    """What a running task yields, in order. `cancel` ends its process, `stop` asks it first."""

    def __init__(self, generator: Any) -> None:
        self._generator = generator

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for ref in self._generator:
                yield await ref
        except asyncio.CancelledError:
            raise
        except Exception as error:
            if isinstance(error, MemoryError) and not isinstance(error, ray_errors.RayError):
                raise  # ours, not the task's
            raise _failure(error) from error

    def cancel(self) -> None:
        """Kill the worker that runs this task: the only way that always works."""
        ray.cancel(self._generator, force=True, recursive=True)

    async def stop(self, patience: float) -> None:
        """Interrupt the task (`KeyboardInterrupt`), and kill its process if it has not ended within
        `patience` seconds.
        """
        ray.cancel(self._generator, force=False, recursive=True)
        with suppress(Exception):  # however it ends
            async with asyncio.timeout(patience):
                await self._generator.completed()
        self.cancel()


def stream(path: str, payload: Any, options: TaskOptions) -> TaskStream:
    """Run the generator function at `package.module:function` on a worker and stream its items.

    Iterating raises `TaskFailure`. Ray never repeats the task. If the function returns `SPENT`, the
    iteration may end in `worker_died` after the last item.
    """
    generator = (
        _remote_function()
        .options(
            name=options.name,
            num_cpus=options.cpus,
            num_gpus=options.gpus or None,
            memory=options.memory_bytes or None,
            resources=dict(options.custom) or None,
            max_retries=0,
            retry_exceptions=False,
            num_returns="streaming",
        )
        .remote(path, payload)
    )
    return TaskStream(generator)


def _perform(path: str, payload: Any) -> Iterator[Any]:
    if (yield from _function(path)(payload)) == SPENT:
        # Ray has sent what was yielded by now, and ends the process before it takes another task.
        raise SystemExit(0)


@cache
def _function(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@cache
def _remote_function() -> Any:
    return ray.remote(_perform)


_KINDS: tuple[tuple[type[BaseException], str], ...] = (
    (ray_errors.TaskCancelledError, "cancelled"),
    (ray_errors.OutOfMemoryError, "out_of_memory"),
    (ray_errors.NodeDiedError, "node_lost"),
    (ray_errors.WorkerCrashedError, "worker_died"),
    (ray_errors.TaskUnschedulableError, "unschedulable"),
    (ray_errors.OwnerDiedError, "worker_died"),
    (ray_errors.ObjectLostError, "node_lost"),
)


def _failure(error: Exception) -> TaskFailure:
    detail = next(iter(str(error).strip().splitlines()), "")[:300]
    for kind, name in _KINDS:
        if isinstance(error, kind):
            return TaskFailure(name, detail)
    kind = "out_of_memory" if isinstance(error, MemoryError) else "raised"
    return TaskFailure(kind, f"{type(error).__name__}: {detail}")
