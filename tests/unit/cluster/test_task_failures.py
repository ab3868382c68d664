"""How a task that did not deliver is told of: by the type of Ray's error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from ray import exceptions as ray_errors

from aos.cluster.engine import SPENT, TaskFailure, TaskStream
from aos.cluster.engine.tasks import _perform


def told_by_ray(error: Exception) -> Exception:
    """As a reader of the task's items gets what the task raised."""
    wrapped: Any = ray_errors.RayTaskError("perform", "Traceback …", error)
    return wrapped.as_instanceof_cause()


async def failing(error: Exception) -> AsyncIterator[Any]:
    raise error
    yield


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ray_errors.OutOfMemoryError("killed"), "out_of_memory"),
        (told_by_ray(MemoryError("no memory")), "out_of_memory"),
        (told_by_ray(ValueError("a bug")), "raised"),
        (ray_errors.WorkerCrashedError(), "worker_died"),
        (ConnectionError("ours"), "raised"),
    ],
)
async def test_the_kind_of_a_failure(error: Exception, kind: str) -> None:
    with pytest.raises(TaskFailure) as caught:
        async for _ in TaskStream(failing(error)):
            pass
    assert caught.value.kind == kind


async def test_memory_that_runs_out_here_is_not_the_tasks_failure() -> None:
    """It is the caller's process that is at its end, and it must learn of it."""
    with pytest.raises(MemoryError):
        async for _ in TaskStream(failing(MemoryError())):
            pass


def leaves(value: str | None) -> Any:
    def generator(payload: str) -> Any:
        yield payload
        return value

    return generator


def test_a_task_that_is_spent_ends_its_process_after_its_last_item(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aos.cluster.engine.tasks._function", leaves)
    assert list(_perform(None, "item")) == ["item"]  # type: ignore[arg-type]
    items = _perform(SPENT, "item")
    assert next(items) == "item"
    with pytest.raises(SystemExit) as left:
        next(items)
    assert left.value.code == 0
