"""Children that are actors with a known name: adopted when they live, made when they do not."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from ..cluster.engine import ActorGone, ActorOptions, ActorRef, find, spawn
from ..cluster.errors import AosError
from ..cluster.exits import Exit
from .heartbeat import until_ended
from .liveness import Patience
from .spec import ChildSpec
from .tree import actor_name

_START_SECONDS = 45.0
_STOP_SECONDS = 30.0
_REPORT_SECONDS = 1.0
"""A child that hangs must not hang the tree: who looks at it waits two seconds."""
_NAME_SECONDS = 0.05


class ActorChild:
    """A detached actor of the tree."""

    def __init__(self, ref: ActorRef, about: dict[str, Any], patience: Patience) -> None:
        self.ref, self._about, self._patience = ref, about, patience

    async def watch(self) -> Exit:
        """Return when the process has ended, or was ended because it hangs."""
        bound = self._patience.answer_within.total_seconds()

        async def ask() -> dict[str, Any]:
            answer: dict[str, Any] = await self.ref.call("ping", timeout=bound)
            return answer

        return await until_ended(self.ref, ask, self._patience, lambda _: None)

    async def stop(self, seconds: float | None) -> None:
        """Ask it to stop, then end the process."""
        patience = _STOP_SECONDS if seconds is None else seconds
        if patience > 0:
            with suppress(AosError):  # it is ended either way
                await self.ref.call("stop", timeout=patience)
        self.ref.kill()

    async def describe(self) -> dict[str, Any]:
        """What it said when it started, and its own children if it has any."""
        try:
            return {**self._about, **await self.ref.call("report", timeout=_REPORT_SECONDS)}
        except AosError as error:
            return {**self._about, "unreachable": error.detail}


class ActorStarter:
    """Starts or adopts them. `args["node"]` is the machine that one belongs on."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience

    async def start(self, spec: ChildSpec) -> ActorChild:
        """The living actor of that name if it answers, else a new one; then its `start`. One that
        lives and does not answer is ended: the next try finds the name free.
        """
        name = actor_name(spec.id)
        while True:
            ref = await asyncio.to_thread(find, name)
            try:
                ref = ref or spawn(
                    spec.start, options=ActorOptions(name=name, node=spec.args.get("node"))
                )
                about = await ref.call("start", timeout=_START_SECONDS)
                return ActorChild(ref, about, self._patience)
            except (ActorGone, ValueError) as error:
                # A dead actor's name stays taken for a moment, and a twin may have been faster.
                if isinstance(error, ActorGone) and error.context["reason"] == "start_error":
                    raise
                await asyncio.sleep(_NAME_SECONDS)
            except BaseException:
                if ref is not None:
                    ref.kill()
                raise
