"""Actors: make, find, call, watch, kill."""

from __future__ import annotations

import asyncio
import importlib
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from ray import exceptions as ray_errors

from ..errors import AosError
from .errors import ActorGone, ActorSilent, ActorUnavailable, RemoteFailure
from .exits import Exit, ExitReason, classify
from .ray_api import api as ray

_CALLS_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class ActorOptions:
    """How an actor is made. All have a name: a supervisor that restarts finds its children by it.
    Detached ones outlive the process that made them; the others end with it, and share idle worker
    processes with all that descend from the same detached actor.
    """

    name: str
    cpus: float = 0.0
    resources: tuple[tuple[str, float], ...] = ()
    detached: bool = True
    restarted_by_ray: bool = False


class ActorRef:
    """A handle. Methods of the actor are called by name; only plain data crosses."""

    def __init__(self, name: str, handle: Any) -> None:
        self.name = name
        self._handle = handle

    def __repr__(self) -> str:
        return f"ActorRef({self.name!r})"

    async def call(self, method: str, *args: Any, timeout: float, name: str | None = None) -> Any:
        """Call and wait at most `timeout` seconds. `name`: what the Ray dashboard shows of the call
        instead of class and method.

        Raises the `AosError` that the method raised; `ActorGone`, `ActorUnavailable`,
        `ActorSilent`; `RemoteFailure` for anything else it raised.
        """
        return await _answer(self._submit(method, args, name), f"{self.name}.{method}", timeout)

    def tell(self, method: str, *args: Any) -> None:
        """Call without waiting: a hint whose loss somebody else makes good."""
        self._submit(method, args)

    async def watch(self, name: str | None = None) -> Exit:
        """Wait for the actor's end: a call to `watch` that never returns, which Ray fails when the
        process dies. Returns `SUSPECT` when Ray only lost touch. `name`: who the process is just
        now; it is what the Ray dashboard shows of the call, as long as the process lives.
        """
        try:
            await asyncio.wrap_future(self._submit("watch", (), name))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            return classify(error)
        return Exit(ExitReason.NORMAL, "the watch was answered")

    def kill(self) -> None:
        """End the process now, without a last word."""
        ray.kill(self._handle, no_restart=True)

    def _submit(self, method: str, args: tuple[Any, ...], name: str | None = None) -> Future[Any]:
        bound = getattr(self._handle, method)
        if name is not None:
            bound = bound.options(name=name)
        # ref.future() and not `await ref`: the latter keeps refs alive in async actors.
        return bound.remote(*args).future()


async def _answer(future: Future[Any], what: str, timeout: float) -> Any:
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
    except TimeoutError:
        raise ActorSilent(f"{what} did not answer within {timeout:g} s") from None
    except ray_errors.ActorUnavailableError as error:
        raise ActorUnavailable(f"{what}: {classify(error).detail}") from None
    except ray_errors.RayActorError as error:
        gone = classify(error)
        raise ActorGone(f"{what}: {gone.reason} ({gone.detail})", reason=gone.reason) from None
    except ray_errors.RayTaskError as error:
        cause = cast(Any, error).cause
        if isinstance(cause, AosError):
            raise cause from None
        raise RemoteFailure(f"{what} raised {type(cause).__name__}: {cause}") from error
    except ray_errors.RayError as error:
        raise RemoteFailure(f"{what}: {type(error).__name__}: {error}") from error


def spawn(path: str, *args: Any, options: ActorOptions) -> ActorRef:
    """Make an actor of the class at `package.module:Class`. Returns at once; the first call waits.

    Raises `ValueError` when a living actor has the name already.
    """
    handle = (
        _remote_class(path)
        .options(
            name=options.name,
            lifetime="detached" if options.detached else None,
            max_restarts=-1 if options.restarted_by_ray else 0,
            max_task_retries=0,
            max_concurrency=_CALLS_AT_ONCE,
            num_cpus=options.cpus,
            resources=dict(options.resources) or None,
        )
        .remote(*args)
    )
    return ActorRef(options.name, handle)


def find(name: str) -> ActorRef | None:
    """The living actor of that name in our namespace. Its death may not be known yet: ask it."""
    try:
        return ActorRef(name, ray.get_actor(name))
    except ValueError:
        return None


def names(prefix: str) -> list[str]:
    """Names of the namespace's living actors that start with a prefix, sorted."""
    found: list[str] = ray.util.list_named_actors()
    return sorted(name for name in found if name.startswith(prefix))


@cache
def _remote_class(path: str) -> Any:
    module, _, name = path.partition(":")
    return ray.remote(getattr(importlib.import_module(module), name))


def call_self(method: str) -> None:
    """From an actor's `__init__`: have one of its own methods run once it is constructed. The only
    way for an actor that Ray brought back to begin by itself.
    """
    getattr(ray.get_runtime_context().current_actor, method).remote()
