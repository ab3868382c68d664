"""Actors: make, find, call, watch, kill."""

from __future__ import annotations

import asyncio
import importlib
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

from ray import exceptions as ray_errors
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import AosError
from .errors import ActorGone, ActorSilent, ActorUnavailable, RemoteFailure
from .exits import Exit, ExitReason, brief, classify
from .nodes import demand, describe, missing
from .ray_api import api as ray

_CALLS_AT_ONCE = 1_000
_LEAVING_SECONDS = 1.0
_KILLED_SECONDS = 5.0
CONTROL = "control"
"""A concurrency group that each actor has: calls in it run in a thread and event loop of their own.
What they touch must be safe to touch from another thread.
"""


@dataclass(frozen=True, slots=True)
class ActorOptions:
    """How an actor is made. All have a name: a supervisor that restarts finds its children by it.
    Detached ones outlive the process that made them; the others end with it, and share idle worker
    processes with all that descend from the same detached actor.
    """

    name: str
    cpus: float = 0.0
    gpus: float = 0.0
    memory_bytes: int = 0
    resources: tuple[tuple[str, float], ...] = ()
    node: str | None = None
    detached: bool = True
    restarted_by_ray: bool = False

    def missing(self) -> dict[str, float]:
        """What no machine of the cluster has enough of: such an actor would wait for ever."""
        return missing(self._demand())

    def wanted(self) -> str:
        """What it needs, in words."""
        return describe(self._demand())

    def _demand(self) -> dict[str, float]:
        return demand(self.cpus, self.gpus, self.memory_bytes, self.resources)

    def placement(self) -> dict[str, Any]:
        """The same in Ray's words."""
        options: dict[str, Any] = {
            "num_cpus": self.cpus,
            "num_gpus": self.gpus or None,
            "memory": self.memory_bytes or None,
            "resources": dict(self.resources) or None,
        }
        if self.node is not None:
            options["scheduling_strategy"] = NodeAffinitySchedulingStrategy(self.node, soft=False)
        return options


class ActorRef:
    """A handle. Methods of the actor are called by name; only plain data crosses."""

    def __init__(self, name: str, handle: Any) -> None:
        self.name = name
        self._handle = handle

    def __repr__(self) -> str:
        return f"ActorRef({self.name!r})"

    async def call(self, method: str, *args: Any, timeout: float, control: bool = False) -> Any:
        """Call and wait at most `timeout` seconds. `control`: in the thread that is kept for it, so
        that an actor whose event loop hangs still answers.

        Raises the `AosError` that the method raised; `ActorGone`, `ActorUnavailable`,
        `ActorSilent`; `RemoteFailure` for anything else it raised.
        """
        group = CONTROL if control else None
        return await _answer(self._submit(method, args, group), f"{self.name}.{method}", timeout)

    def tell(self, method: str, *args: Any) -> None:
        """Call without waiting: a hint whose loss somebody else makes good."""
        self._submit(method, args)

    async def watch(self) -> Exit:
        """Wait for the actor's end, and return it once the process is gone. Cancel to stop
        watching. Returns `SUSPECT` when Ray only lost touch.

        This is a call to the actor's `watch()`, which is not answered while the process goes on:
        Ray fails it when the process dies. A process that leaves by itself, which to Ray would look
        like a crash, answers with its `Exit.last_word`. It is then told that it was heard, by
        `watch(True)`, which is never answered; that is how its end is waited for, and if it stays
        after all it is killed, so that its successor does not begin beside it.
        """
        try:
            exit_ = Exit.told(await asyncio.wrap_future(self._submit("watch", ())))
        except Exception as error:
            if (exit_ := classify(error)) is not None:
                return exit_
            # It lives, but nobody would learn of its end.
            exit_ = Exit(ExitReason.CRASH, f"its watch failed: {brief(error)}")
        if not await self._ends_within(_LEAVING_SECONDS):
            self.kill()
            await self._ends_within(_KILLED_SECONDS)
        return exit_

    def kill(self) -> None:
        """End the process now, without a last word.

        Ray says that it is dead before it is: 5 to 13 ms before, as measured, and 5 s if the
        process is stopped (SIGSTOP). Whoever starts a successor meanwhile relies on its epoch.
        """
        ray.kill(self._handle, no_restart=True)

    async def _ends_within(self, seconds: float) -> bool:
        try:
            async with asyncio.timeout(seconds):
                await asyncio.wrap_future(self._submit("watch", (True,)))
        except TimeoutError:
            return False
        except Exception as error:
            ended = classify(error)
            return ended is not None and ended.reason is not ExitReason.SUSPECT
        return False

    def _submit(self, method: str, args: tuple[Any, ...], group: str | None = None) -> Future[Any]:
        bound = getattr(self._handle, method)
        if group is not None:
            bound = bound.options(concurrency_group=group)
        # ref.future() and not `await ref`: the latter keeps refs alive in async actors.
        return bound.remote(*args).future()


async def _answer(future: Future[Any], what: str, timeout: float) -> Any:
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
    except ray_errors.RayTaskError as error:  # first: it can be of any type that a method raised
        cause = cast(Any, error).cause
        if isinstance(cause, AosError):
            raise cause from None
        raise RemoteFailure(f"{what} raised {type(cause).__name__}: {cause}") from error
    except TimeoutError:
        raise ActorSilent(f"{what} did not answer within {timeout:g} s") from None
    except ray_errors.RayError as error:
        ended = classify(error)
        if ended is None:
            raise RemoteFailure(f"{what}: {type(error).__name__}: {error}") from error
        if ended.reason is ExitReason.SUSPECT:
            raise ActorUnavailable(f"{what}: {ended.detail}") from None
        raise ActorGone(f"{what}: {ended.reason} ({ended.detail})", reason=ended.reason) from None


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
            **options.placement(),
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
    return ray.remote(concurrency_groups={CONTROL: 4})(
        getattr(importlib.import_module(module), name)
    )


def call_self(method: str, *, name: str | None = None) -> None:
    """From within an actor: have one of its own methods run; from `__init__` once it is
    constructed, which is the only way for an actor that Ray brought back to begin by itself.

    `name`: what Ray's views show of the call instead of class and method, until it is answered or
    the process ends. A call of somebody else's would stay in them if that one died first.
    """
    options = {"name": name} if name is not None else {}
    getattr(ray.get_runtime_context().current_actor, method).options(**options).remote()
