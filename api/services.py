"""What the routes work with: made once per application, handed to each request."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Annotated
from uuid import UUID

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from ..actors.programs.store import ProgramStore
from ..actors.roster import AgentStore
from ..actors.runs.derivations import Derivations
from ..actors.runs.eligibility import Standings
from ..actors.runs.events import RunFinished
from ..actors.runs.inbox import Inbox
from ..actors.runs.operators import Operators
from ..actors.runs.store import Recorded, RunStore
from ..actors.runs.values import restore
from ..cluster.identity import Principal, Role
from ..cluster.postgres import Database
from ..cluster.settings import Settings
from ..supervisors.teams.store import TeamStore
from .auth import KeyMissing, KeyStore, require
from .client.models import RunView
from .doorbell import Doorbell
from .follow import Follower
from .metrics import Scrape
from .present import run_view

BEARER = Security(HTTPBearer(auto_error=False, description="An API key: `aos_…`."))
"""For the OpenAPI document only: who has no key does not get past `middleware.Authenticate`."""


@dataclass(frozen=True)
class Services:
    """Stores over one database, and what lives as long as the application."""

    settings: Settings
    database: Database
    runs: RunStore
    agents: AgentStore
    inbox: Inbox
    derivations: Derivations
    operators: Operators
    standings: Standings
    programs: ProgramStore
    teams: TeamStore
    keys: KeyStore
    follower: Follower
    doorbell: Doorbell
    scrape: Scrape

    @classmethod
    def over(cls, settings: Settings, database: Database, doorbell: Doorbell) -> Services:
        """All of them over one database."""
        runs = RunStore(database)
        return cls(
            settings=settings,
            database=database,
            runs=runs,
            agents=AgentStore(database),
            inbox=Inbox(database),
            derivations=Derivations(database, settings.blob_threshold),
            operators=Operators(database),
            standings=Standings(database),
            programs=ProgramStore(database),
            teams=TeamStore(database),
            keys=KeyStore(database),
            follower=Follower(runs),
            doorbell=doorbell,
            scrape=Scrape(database),
        )

    async def run_view(self, tenant: str, run_id: UUID) -> RunView:
        """A run with its steps, as of one instant. Raises `RunNotFound`."""
        row = await self.runs.read(tenant, run_id)
        journal: list[Recorded] = []
        while len(journal) < row["last_seq"]:
            page = await self.runs.events(tenant, run_id, len(journal))
            if not page:
                break
            journal.extend(page)
        journal = journal[: row["last_seq"]]
        view = run_view(row, journal)
        ended = journal[-1].event if journal else None
        if isinstance(ended, RunFinished) and ended.large:
            contents = {
                digest: await self.runs.blob(tenant, run_id, digest)
                for digest in set(ended.large.values())
            }
            view = view.model_copy(update={"answer": restore(ended.answer, ended.large, contents)})
        return view


def version() -> str:
    """The version of the installed program."""
    return metadata.version("aos")


# Coroutines, though they await nothing: the framework runs plain functions in threads.
async def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


async def _caller(request: Request) -> Principal:
    principal: Principal | None = request.scope.get("state", {}).get("principal")
    if principal is None:
        raise KeyMissing
    return principal


async def _writer(caller: Annotated[Principal, Depends(_caller)]) -> Principal:
    return require(caller, Role.OPERATOR)


async def _admin(caller: Annotated[Principal, Depends(_caller)]) -> Principal:
    return require(caller, Role.ADMIN)


Door = Annotated[Services, Depends(_services)]
"""The application's services."""

Caller = Annotated[Principal, Depends(_caller)]
"""Whoever has a key."""

Writer = Annotated[Principal, Depends(_writer)]
"""Whoever may change something."""

Admin = Annotated[Principal, Depends(_admin)]
"""Whoever may change what holds for everybody of a tenant."""
