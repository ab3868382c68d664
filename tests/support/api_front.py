"""A real front on loopback over a real Postgres; journals written by the real writer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from aos.actors.runs.chain import chained
from aos.actors.runs.events import (
    Event,
    Plan,
    PlannedStep,
    RunFinished,
    RunResumed,
    RunStarted,
    RunStatus,
    StepIntended,
    StepSettled,
)
from aos.actors.runs.fold import apply, fold
from aos.actors.runs.journal import Append, JournalWriter
from aos.actors.runs.store import RunStore
from aos.api.auth import KeyStore
from aos.api.errors import NotReady
from aos.api.server import HttpFront
from aos.cluster.errors import AosError
from aos.cluster.identity import DEFAULT_TENANT, Role
from aos.cluster.ids import new_id
from aos.cluster.postgres import Database
from aos.skills.contracts import Effects, EffectState, StructuredOutcome, Usage

ACTIVATE = """
    INSERT INTO activations (agent_id, tenant_id, epoch, state, host)
    VALUES ($1, $2, 1, 'active', 'test')
    ON CONFLICT (agent_id) DO UPDATE SET epoch = activations.epoch + 1
    RETURNING epoch
"""


class Bell:
    """A doorbell that remembers who was rung for and released, and shows the tree it is given."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, UUID]] = []
        self.released: list[tuple[str, UUID]] = []
        self.refusal: AosError | None = None
        self.shown: dict[str, Any] | None = {"id": "root", "state": "running", "children": []}
        self.rung_for_teams = 0
        self.retained = 0
        self.teams: dict[UUID, dict[str, Any]] = {}
        self.administered: list[tuple[UUID, str, str]] = []
        self.refusal: AosError | None = None
        self.broken_services: dict[str, str] = {}
        self.attended = True

    def ring(self, tenant: str, agent_id: UUID) -> None:
        self.rung.append((tenant, agent_id))

    async def tree(self) -> dict[str, Any]:
        if self.shown is None:
            raise NotReady("the supervisor does not answer")
        return self.shown

    async def release(self, tenant: str, agent_id: UUID) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.released.append((tenant, agent_id))

    async def resources(self) -> dict[str, float]:
        return {"CPU": 2.0}

    async def retain(self) -> bool:
        self.retained += 1
        return True

    def ring_teams(self) -> None:
        self.rung_for_teams += 1

    async def team(self, team_id: UUID) -> dict[str, Any] | None:
        if not self.attended:
            raise NotReady("nobody answers")
        return self.teams.get(team_id)

    async def administer(self, team_id: UUID, child: str, verb: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.administered.append((team_id, child, verb))

    async def unusable(self, service: str, args: Any) -> str | None:
        return self.broken_services.get(service)

    async def close(self) -> None:
        pass


@dataclass
class Front:
    """A served API, and what tests need of its inside."""

    url: str
    database: Database
    bell: Bell
    served: HttpFront
    home: Path
    clients: list[httpx.AsyncClient] = field(default_factory=list[httpx.AsyncClient])

    async def key(self, role: Role = Role.OPERATOR, tenant: str = DEFAULT_TENANT) -> str:
        await self.database.execute(
            "INSERT INTO tenants (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING", tenant
        )
        return await KeyStore(self.database).create(tenant, role, "a test's")

    async def client(
        self, role: Role = Role.OPERATOR, tenant: str = DEFAULT_TENANT
    ) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {await self.key(role, tenant)}"}
        return self.open(headers)

    def open(self, headers: dict[str, str] | None = None) -> httpx.AsyncClient:
        client = httpx.AsyncClient(base_url=self.url, headers=headers, trust_env=False, timeout=20)
        self.clients.append(client)
        return client

    async def close(self) -> None:
        for client in self.clients:
            await client.aclose()
        await self.served.stop()


@dataclass
class Journal:
    """Writes what an agent would: each method commits one event, or several at once."""

    database: Database
    run_id: UUID
    tenant: str
    agent_id: UUID
    _writer: JournalWriter
    epoch: int

    async def take_over(self) -> None:
        """Become a new activation of the agent: the one before is fenced off."""
        self.epoch = await self.database.fetch_value(ACTIVATE, self.agent_id, self.tenant)
        self._writer = JournalWriter(self.database, self.agent_id, self.tenant, self.epoch)

    async def append(self, *events: Event) -> None:
        store = RunStore(self.database)
        recorded = await store.events(self.tenant, self.run_id)
        state = fold(self.run_id, [each.event for each in recorded])
        last = (await store.links(self.tenant, self.run_id))[-1]
        rows = chained(last.chain, state.seq + 1, events)
        for event in events:
            state = apply(state, event)
        await self._writer.append(Append(state, rows))

    async def started(self) -> None:
        await self.append(RunStarted(at=now(), epoch=self.epoch))

    async def resumed(self) -> None:
        await self.append(RunResumed(at=now(), epoch=self.epoch))

    async def planned(self, *steps: str, skill: str = "http_call") -> None:
        await self.append(self.plan(*steps, skill=skill))

    async def settled(self, step: str, output: Any = None, **outcome: Any) -> None:
        await self.append(self.settle(step, output, **outcome))

    async def in_doubt(self, step: str) -> None:
        """An unsafe call is made, and nobody knows what came of it."""
        key = f"{self.run_id}/{step}/1"
        outcome = StructuredOutcome.failure("ERR_TIMEOUT", effect=EffectState.UNKNOWN)
        await self.append(
            StepIntended(at=now(), step_id=step, attempt=1, skill="pay", idempotency_key=key),
            StepSettled(
                at=now(), step_id=step, attempt=1, effects=Effects.UNSAFE, idempotency_key=key,
                outcome=outcome,
            ),
        )  # fmt: skip

    async def finished(self, answer: Any = "done", status: RunStatus = RunStatus.COMPLETED) -> None:
        code = "OK" if status is RunStatus.COMPLETED else "ERR_INTERNAL"
        await self.append(RunFinished(at=now(), status=status, code=code, answer=answer))

    def plan(self, *steps: str, skill: str = "http_call") -> StepSettled:
        plan = Plan(
            steps=tuple(
                PlannedStep(id=step, skill=skill, version="1.0.0", effects=Effects.READ)
                for step in steps
            ),
            answer="{{" + steps[-1] + "}}" if steps else "nothing to do",
        )
        outcome = StructuredOutcome.success(
            None, skill="planner.rules", version="1.0.0", duration_ms=2
        )
        return self._settle("plan", 1, outcome, plan)

    def settle(
        self, step: str, output: Any = None, *, attempt: int = 1, code: str = "OK", **fields: Any
    ) -> StepSettled:
        fields = {"skill": "http_call", "version": "1.0.0", "duration_ms": 10, **fields}
        if code == "OK":
            return self._settle(step, attempt, StructuredOutcome.success(output, **fields))
        return self._settle(step, attempt, StructuredOutcome.failure(code, **fields))

    def _settle(
        self, step: str, attempt: int, outcome: StructuredOutcome, plan: Plan | None = None
    ) -> StepSettled:
        return StepSettled(
            at=now(),
            step_id=step,
            attempt=attempt,
            effects=Effects.READ,
            idempotency_key=f"{self.run_id}/{step}/1",
            outcome=outcome,
            plan=plan,
        )


Submit = Callable[..., Awaitable[Journal]]


def now() -> datetime:
    return datetime.now(UTC)


def usage(model: str = "claude-x", tokens: tuple[int, int, int] = (100, 20, 40)) -> Usage:
    fresh_and_cached, output, cached = tokens
    return Usage(
        provider="anthropic",
        model=model,
        input_tokens=fresh_and_cached,
        output_tokens=output,
        cached_tokens=cached,
    )


async def journal_of(database: Database, run_id: UUID, agent_id: UUID, tenant: str) -> Journal:
    """Become the agent's activation."""
    epoch = await database.fetch_value(ACTIVATE, agent_id, tenant)
    writer = JournalWriter(database, agent_id, tenant, epoch)
    return Journal(database, run_id, tenant, agent_id, writer, epoch)


async def make_front(database: Database, database_url: str, home: Path, **settings: Any) -> Front:
    bell = Bell()
    configured = {"home": str(home), "http_port": 0, **settings}
    served = HttpFront(json.dumps(configured), database_url, bell, log_file=False)
    about = await served.start()
    return Front(about["url"], database, bell, served, home)


def some_id() -> str:
    return str(new_id())
