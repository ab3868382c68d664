"""The doorbell of a running AOS: calls on the supervisors' actors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from ..cluster import engine
from ..cluster.errors import AosError
from ..cluster.telemetry import logger
from ..supervisors.service import CHECK
from ..supervisors.teams.errors import TeamsNotKnown
from ..supervisors.tree import AGENTS, ROOT, actor_name
from .errors import NotReady

_CALL_SECONDS = 2.0
_RINGS_AT_ONCE = 512
_IMPORT_SECONDS = 20.0
_HARDLY_ANY_CPU = 0.001

_NOT_NOW = (engine.ActorGone, engine.ActorSilent, engine.ActorUnavailable, TeamsNotKnown)

log = logger(__name__)


class EngineDoorbell:
    """Finds the supervisors by name, once, and again after they were replaced."""

    def __init__(self) -> None:
        self._found: dict[str, engine.ActorRef] = {}
        self._ringing: set[asyncio.Task[None]] = set()

    def ring(self, tenant: str, agent_id: UUID) -> None:
        """Poke the partition supervisor in the background; too many rings at once are dropped."""
        self._ring("poke", tenant, str(agent_id))

    def ring_teams(self) -> None:
        """Poke whoever keeps the teams, in the background."""
        self._ring("poke_teams")

    async def tree(self) -> dict[str, Any]:
        """The root supervisor's report. Raises `NotReady` if it does not answer."""
        report: dict[str, Any] = await self._ask(ROOT, "report")
        return report

    async def release(self, tenant: str, agent_id: UUID) -> None:
        """Ask the agents' supervisor. Raises `RequestRefused` for what it refuses."""
        await self._ask(AGENTS, "release", tenant, str(agent_id))

    async def retain(self) -> bool:
        """Ask the root, in whose process the service is. Raises `NotReady`."""
        return bool(await self._ask(ROOT, "retain"))

    async def resources(self) -> dict[str, float]:
        """Total resources of all living nodes."""
        try:
            return await asyncio.wait_for(asyncio.to_thread(engine.resources), _CALL_SECONDS)
        except TimeoutError:
            raise NotReady("the cluster does not say what it has") from None

    async def team(self, team_id: UUID) -> dict[str, Any] | None:
        """How a team and its children stand; None if it is not there. Raises `NotReady`."""
        standing: dict[str, Any] | None = await self._ask(AGENTS, "team", str(team_id))
        return standing

    async def administer(self, team_id: UUID, child: str, verb: str) -> None:
        """Have a child of a team terminated, restarted or released."""
        await self._ask(AGENTS, "administer", str(team_id), child, verb)

    async def unusable(self, service: str, args: Mapping[str, Any]) -> str | None:
        """Why a class cannot be a service, found out by a task."""
        payload = json.dumps({"service": service, "args": args})
        options = engine.TaskOptions(name=f"check:{service}", cpus=_HARDLY_ANY_CPU)
        task = engine.stream(CHECK, payload, options)
        try:
            async with asyncio.timeout(_IMPORT_SECONDS):
                async for problem in task:
                    return str(problem)
        except TimeoutError:
            task.cancel()
            return f"{service} cannot be imported within {_IMPORT_SECONDS:g} s"
        except engine.TaskFailure as failure:
            return f"{service} cannot be imported: {failure.detail}"
        return None

    async def close(self) -> None:
        """Cancel the rings that are under way."""
        for task in self._ringing:
            task.cancel()
        await asyncio.gather(*self._ringing, return_exceptions=True)

    def _ring(self, method: str, *args: str) -> None:
        if len(self._ringing) >= _RINGS_AT_ONCE:
            return
        task = asyncio.create_task(self._poke(method, args))
        self._ringing.add(task)
        task.add_done_callback(self._ringing.discard)

    async def _poke(self, method: str, args: tuple[str, ...]) -> None:
        try:
            await self._call(actor_name(AGENTS), method, *args)
        except AosError as error:
            log.info("nobody answered the bell", rung=method, args=args, code=error.code)
        except Exception as error:  # Ray is going down around us; what was rung for will be found
            log.warning("the bell is broken", rung=method, args=args, error=repr(error))

    async def _ask(self, supervisor: str, method: str, *args: Any) -> Any:
        """Call for somebody who waits: that nobody answers just now is no failure of ours."""
        try:
            return await self._call(actor_name(supervisor), method, *args)
        except _NOT_NOW as error:
            raise NotReady(f"the supervisor {supervisor}: {error.detail}") from None

    async def _call(self, name: str, method: str, *args: Any) -> Any:
        """Call a supervisor; one that was replaced since we last found it is looked up again."""
        known = name in self._found
        supervisor = self._found.get(name) or await self._find(name)
        try:
            return await supervisor.call(method, *args, timeout=_CALL_SECONDS)
        except engine.ActorGone:
            self._found.pop(name, None)
            if not known:
                raise
        replaced = await self._find(name)
        return await replaced.call(method, *args, timeout=_CALL_SECONDS)

    async def _find(self, name: str) -> engine.ActorRef:
        # The look-up blocks on Ray's control store; the loop that serves HTTP must not.
        ref = await asyncio.to_thread(engine.find, name)
        if ref is None:
            raise NotReady(f"the supervisor {name} is not there yet")
        self._found[name] = ref
        return ref
