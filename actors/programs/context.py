"""`ProgramContext`: everything that a program may know, ask and wait for.

    async def agent(ctx, goal):
        page = await ctx.call("http_call", url=goal)
        if page["status_code"] != 200:
            await ctx.sleep(60)
        return await ctx.call("llm_invoke", {"prompt": page["body"]})

Calls are coroutines: nothing is asked for before they are awaited (or made into a task).
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Coroutine, Mapping
from datetime import datetime, timedelta
from random import Random
from typing import Any, cast
from uuid import UUID

from pydantic import BaseModel

from ...skills.contracts import JsonObject, JsonValue, RetryPolicy
from .desk import Desk
from .errors import UnrecordableRequest
from .lines import caller
from .protocol import RESERVED, RequestKind
from .scribe import Scribe
from .values import legible, recorded

_SKILL = re.compile(r"[a-z][a-z0-9_.]*(@\d+\.\d+\.\d+)?")

Asking = Coroutine[Any, Any, JsonValue]


class ProgramContext:
    """The one argument beside the goal. Belongs to one run.

    `run_id` is a label: a fork of the run has another one, so what is asked for should not depend
    on it. `random` and `uuid()` follow from the run's seed, which a fork keeps.
    """

    def __init__(
        self,
        desk: Desk,
        scribe: Scribe,
        *,
        run_id: str,
        seed: int,
        started_at: datetime,
        own: str,
    ) -> None:
        self.run_id = run_id
        self.started_at = started_at
        self.random = Random(seed)  # noqa: S311 - repeatable on purpose
        self._desk = desk
        self._scribe = scribe
        self._seed = seed
        self._own = own
        self._uuids = 0

    # What it may wait for.

    def call(
        self,
        skill: str,
        params: Mapping[str, Any] | BaseModel | None = None,
        /,
        *,
        retry: RetryPolicy | None = None,
        **fields: Any,
    ) -> Asking:
        """Call a skill, `name` or `name@version`, and wait for its output.

        Parameters are a mapping, a model, or keywords. Raises `SkillFailed` when the skill has
        failed for good; retries are over by then.
        """
        if not _SKILL.fullmatch(skill) or skill.partition("@")[0] in RESERVED.values():
            raise UnrecordableRequest(f"{skill!r} is not the name of a skill")
        if params is not None and fields:
            raise UnrecordableRequest(f"{skill}: give parameters either as one value or by keyword")
        return self._ask(RequestKind.CALL, skill, fields if params is None else params, retry)

    def sleep(self, duration: float | timedelta) -> Asking:
        """Wait for a number of seconds, or a timedelta. The process need not live meanwhile."""
        seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
        return self._wait(RequestKind.TIMER, seconds=max(seconds, 0))

    def sleep_until(self, instant: datetime) -> Asking:
        """Wait until an instant, which needs a time zone."""
        if instant.tzinfo is None:
            raise UnrecordableRequest(f"{instant.isoformat()} has no time zone")
        return self._wait(RequestKind.TIMER, until=instant)

    def signal(self, name: str, timeout: float | timedelta | None = None) -> Asking:
        """Wait for a signal; its payload. Raises `SkillFailed` with ERR_WAIT_TIMEOUT."""
        return self._wait(RequestKind.SIGNAL, name=name, timeout_s=_seconds(timeout))

    def decision(self, question: str, timeout: float | timedelta | None = None) -> Asking:
        """Ask a person; the answer. Raises `SkillFailed` when it is no, or comes too late."""
        return self._wait(RequestKind.DECISION, question=question, timeout_s=_seconds(timeout))

    def spawn(self, goal: str, *, agent: str | None = None, program: str | None = None) -> Asking:
        """Run a goal as a child run, of this agent unless another is named; its answer.

        Raises `SkillFailed` when the child fails.
        """
        return self._wait(RequestKind.CHILD, goal=goal, agent=agent, program=program)

    async def gather(
        self, *awaitables: Awaitable[Any], return_exceptions: bool = False
    ) -> list[Any]:
        """Wait for all of them together; results in their order. As `asyncio.gather`: the first
        failure is raised at once, and the others go on.
        """
        return await asyncio.gather(*awaitables, return_exceptions=return_exceptions)

    # What it may know.

    def now(self) -> datetime:
        """When the current turn began, as it is recorded."""
        return self._scribe.at or self.started_at

    def uuid(self) -> UUID:
        """The next of a row of UUIDs (version 4 in form) that follow from the run's seed."""
        self._uuids += 1
        digest = hashlib.sha256(f"{self._seed}:uuid:{self._uuids}".encode()).digest()
        return UUID(bytes=digest[:16], version=4)

    def patched(self, name: str) -> bool:
        """Whether this run takes the new way of a change that old runs must not see.

        The first question decides for the rest of the run: yes in a turn that is run for the first
        time (and recorded), on replay what that turn had recorded.
        """
        return self._scribe.patched(legible(name))

    def log(self, text: str) -> None:
        """Say something to whoever reads the log. Never journaled, and silent on replay."""
        self._scribe.log(legible(str(text)))

    def _wait(self, kind: RequestKind, **params: Any) -> Asking:
        given = {name: value for name, value in params.items() if value is not None}
        return self._ask(kind, RESERVED[kind], given, None)

    def _ask(
        self, kind: RequestKind, skill: str, params: object, retry: RetryPolicy | None
    ) -> Asking:
        return self._desk.ask(kind, skill, _object(params, skill), retry, caller(self._own))


def _object(params: object, skill: str) -> JsonObject:
    plain: object = dict(cast("Mapping[str, Any]", params)) if _is_mapping(params) else params
    value = recorded(plain, f"the input of {skill}")
    if not isinstance(value, dict):
        raise UnrecordableRequest(f"the input of {skill} is not an object")
    return value


def _is_mapping(value: object) -> bool:
    return isinstance(value, Mapping)


def _seconds(duration: float | timedelta | None) -> float | None:
    return duration.total_seconds() if isinstance(duration, timedelta) else duration
