"""The application, put together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware import Middleware

from ..cluster.postgres import Database
from ..cluster.settings import Settings
from . import problems
from .doorbell import Doorbell, Unattended
from .follow import CHANNEL
from .middleware import Authenticate, BodyLimit, RequestScope
from .routes import (
    agents,
    control,
    derived,
    programs,
    provenance,
    replay,
    retention,
    runs,
    standing,
    supervision,
    system,
    teams,
)
from .services import Services, version


def create_app(
    settings: Settings, database: Database, *, doorbell: Doorbell | None = None
) -> FastAPI:
    """The HTTP application over a database. Without a doorbell nobody is told of new runs.

    Its lifespan ends with the streams closed, the doorbell silent and the database closed.
    """
    services = Services.over(settings, database, doorbell or Unattended())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        hearing = asyncio.create_task(database.listen(CHANNEL, services.follower.over))
        yield
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)
        await services.follower.close()
        await services.doorbell.close()
        await database.close()

    app = FastAPI(
        title="AOS",
        version=version(),
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(RequestScope),
            Middleware(BodyLimit, limit=settings.http_body_limit),
            Middleware(Authenticate, keys=services.keys),
        ],
    )
    app.state.services = services
    problems.install(app)
    for module in (
        agents, runs, provenance, control, derived, replay, standing, programs, teams,
        supervision, retention, system,
    ):  # fmt: skip
        app.include_router(module.router)
    return app
