"""Services as children: who starts their processes, watches and ends them.

A service's process belongs to the process of its supervisor and ends with it: Ray sees to that. Its
name follows from its place in the tree. So a successor that starts the same service, while the old
process is not gone yet, is refused the name by Ray, ends the old one, and waits until Ray says that
it is gone. That is a few milliseconds before it is, and Ray cannot end what runs on a machine that
it has lost: a service that must not run twice at all needs a lock of its own.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from weakref import WeakSet

from ..cluster.engine import ActorOptions, ActorRef, ActorSilent, describe, find, spawn
from ..cluster.errors import AosError
from ..cluster.exits import Exit
from .children import NoCapacity
from .heartbeat import until_ended
from .liveness import Patience
from .spec import ChildSpec

_ACTOR = "aos.supervisors.service:ServiceActor"
_PLACE_SECONDS = 20.0
_START_SECONDS = 30.0
_STOP_SECONDS = 60.0
_NAME_SECONDS = 0.05
_CLOSE_SECONDS = 3.0


class ServiceChild:
    """A service that runs."""

    def __init__(self, ref: ActorRef, pid: int, patience: Patience) -> None:
        self.ref, self.pid, self._patience = ref, pid, patience

    async def watch(self) -> Exit:
        """Return when the service has ended, or was ended because its event loop stands still."""
        bound = self._patience.answer_within.total_seconds()

        async def ask() -> dict[str, Any]:
            answer: dict[str, Any] = await self.ref.call("ping", timeout=bound)
            return answer

        return await until_ended(self.ref, ask, self._patience, lambda _: None)

    async def stop(self, seconds: float | None) -> None:
        """Ask it to end, then end its process: after `seconds`, or whenever it has ended."""
        with suppress(AosError):  # it is ended either way
            while seconds != 0:
                try:
                    await self.ref.call("stop", timeout=seconds or _STOP_SECONDS)
                    break
                except ActorSilent:
                    if seconds is not None:
                        break
        self.ref.kill()

    async def describe(self) -> dict[str, Any]:
        """Its process."""
        return {"kind": "service", "pid": self.pid}


class ServiceStarter:
    """Starts services. `args` of a child: `service`, the class; `args` of its own; `resources` as
    Ray names them; `place`, which is unique among all services.
    """

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._started: WeakSet[ServiceChild] = WeakSet()

    async def start(self, spec: ChildSpec) -> ServiceChild:
        """A new process with the service in it. Raises `ServiceFailed`; `NoCapacity` if no machine
        has what it needs, or none has it free.
        """
        options = options_of(spec)
        if lacking := await asyncio.to_thread(options.missing):
            raise NoCapacity(f"needs {describe(lacking)}; no machine has it")
        ref = await _spawned(options)
        try:
            await _placed(ref, options)
            about = await ref.call(
                "start", spec.args["service"], spec.args["args"], options.memory_bytes,
                timeout=_START_SECONDS,
            )  # fmt: skip
        except BaseException:
            ref.kill()
            raise
        child = ServiceChild(ref, about["pid"], self._patience)
        self._started.add(child)
        return child

    async def progressed(self, spec: ChildSpec) -> bool:
        """A service is judged by how long it lived."""
        del spec
        return False

    async def close(self) -> None:
        """Stop all of them with little patience: this process is about to end, and they with it."""
        stops = (child.stop(_CLOSE_SECONDS) for child in self._started)
        await asyncio.gather(*stops, return_exceptions=True)


def options_of(spec: ChildSpec) -> ActorOptions:
    """A service's resources, in the engine's words."""
    custom = dict(spec.args["resources"])
    return ActorOptions(
        name=f"aos-service:{spec.args['place']}",
        cpus=custom.pop("CPU", 0.0),
        gpus=custom.pop("GPU", 0.0),
        memory_bytes=int(custom.pop("memory", 0)),
        resources=tuple(sorted(custom.items())),
        detached=False,
    )


async def _spawned(options: ActorOptions) -> ActorRef:
    """A new actor of that name, once an earlier one is gone: its name stays taken for a moment."""
    while True:
        try:
            return spawn(_ACTOR, options=options)
        except ValueError as error:
            if "already" not in str(error):  # then it is not about the name
                raise
            if (earlier := find(options.name)) is not None:
                earlier.kill()
            await asyncio.sleep(_NAME_SECONDS)


async def _placed(ref: ActorRef, options: ActorOptions) -> None:
    """Wait for its process. If there is none for long, then other work has what it needs."""
    try:
        await ref.call("ping", timeout=_PLACE_SECONDS)
    except ActorSilent:
        if not options.wanted():
            raise
        raise NoCapacity(f"needs {options.wanted()}; no machine has it free") from None
