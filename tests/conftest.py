"""What every test may ask for: one embedded Postgres per session, one fresh database per test; and
one whole AOS, so one Ray, for all tests that need it.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

from aos.api.demo.site import DemoSite
from aos.cluster.postgres import Database, EmbeddedPostgres, migrate
from aos.skills.contracts import AgentProfile, PlannerChoice
from tests.support.anthropic_server import AnthropicServer
from tests.support.effect_ledger import EffectLedger
from tests.support.running import RunningAos, running_aos

SERVICES = (Path(__file__).parent / "support" / "services", Path(__file__).parents[1] / "examples")
_TEMPLATE = "aos_template"
_PLUGIN = Path(__file__).parent / "plugin"

Reporting = Generator[None, pytest.TestReport, pytest.TestReport]


def url_of(dsn: str, name: str) -> str:
    """The DSN of another database on the same server."""
    return urlsplit(dsn)._replace(path=f"/{name}").geturl()


# A server outlives whoever started it: should pytest be killed, this ends it all the same.
_GUARD = """
cat
pid=$(head -n 1 "$1/postgres/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"""


@contextmanager
def _temporary_home() -> Iterator[Path]:
    # A short path (a socket lies in it) that the server's user can enter; pytest's own are 0700.
    home = Path(tempfile.mkdtemp(prefix="aos-", dir="/tmp"))
    home.chmod(0o711)
    guard = ["sh", "-c", _GUARD, "guard", str(home)]
    with subprocess.Popen(guard, stdin=subprocess.PIPE, start_new_session=True) as watching:
        try:
            yield home
        finally:
            asyncio.run(EmbeddedPostgres(home).stop())
            shutil.rmtree(home)
            watching.terminate()


@pytest.fixture(scope="session")
def temporary_home() -> Callable[[], AbstractContextManager[Path]]:
    """Makes homes that are removed, and their server stopped, when the block is left."""
    return _temporary_home


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The session's server: up, and not to be stopped or crashed by a test."""
    with _temporary_home() as home:
        server = EmbeddedPostgres(home)
        asyncio.run(server.start())
        yield server


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody is connected to."""

    async def create() -> None:
        async with Database(postgres.dsn) as server:
            await server.execute(f"CREATE DATABASE {_TEMPLATE}")
        async with Database(url_of(postgres.dsn, _TEMPLATE)) as database:
            await migrate(database)

    asyncio.run(create())
    return _TEMPLATE


@pytest.fixture
def database_url(postgres: EmbeddedPostgres, template: str) -> Iterator[str]:
    """The DSN of a fresh, migrated database of this test's own; also for other processes."""
    name = f"test_{uuid4().hex}"

    async def on_server(statement: str) -> None:
        async with Database(postgres.dsn) as server:
            await server.execute(statement)

    asyncio.run(on_server(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield url_of(postgres.dsn, name)
    finally:
        asyncio.run(on_server(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A `Database` with four connections on a fresh, migrated database."""
    async with Database(database_url, max_connections=4, application_name="test") as database:
        yield database


@pytest.fixture
def effect_ledger(tmp_path: Path) -> Iterator[EffectLedger]:
    """The world outside, in a process of its own: for the skills `pay` and `pay_blindly`."""
    with EffectLedger(tmp_path / "effects.jsonl") as ledger:
        yield ledger


@pytest.fixture(scope="session")
def model_server() -> Iterator[AnthropicServer]:
    """A server on loopback that speaks the provider's protocol, and says what a test scripted."""
    with AnthropicServer() as server:
        yield server


@pytest.fixture(scope="session")
def aos(model_server: AnthropicServer) -> Iterator[RunningAos]:
    """A running AOS whose agents may fetch its demo site, with the skills of `tests/plugin`."""
    path = [str(_PLUGIN), *map(str, SERVICES), *filter(None, [os.environ.get("PYTHONPATH")])]
    given = {
        "PYTHONPATH": os.pathsep.join(path),
        "ANTHROPIC_API_KEY": model_server.key,
        "ANTHROPIC_BASE_URL": model_server.url,
        "AOS_AGENT_IDLE_SECONDS": "10",
        "AOS_HEARTBEAT_INTERVAL": "1",
        "AOS_JANITOR_INTERVAL": "2",
        "AOS_RETENTION_DAYS": "3650",
    }
    with DemoSite(slow_seconds=0.4) as site, running_aos(site, **given) as running:
        yield running


@pytest.fixture
def agent(aos: RunningAos) -> str:
    """A fresh agent that plans by rules, by name: tests that crash theirs disturb no other."""
    name = f"agent-{uuid4().hex[:12]}"
    offline = PlannerChoice(name="rules", model="scripted")
    aos.client.agents.create(AgentProfile(name=name, planner=offline))
    return name


@pytest.fixture
def literal_agent(aos: RunningAos) -> str:
    """A fresh agent whose goals are plans, as JSON."""
    name = f"agent-{uuid4().hex[:12]}"
    aos.client.agents.create(AgentProfile(name=name, planner=PlannerChoice(name="literal")))
    return name


@pytest.fixture
def claude_agent(aos: RunningAos) -> str:
    """A fresh agent that plans with the model server."""
    name = f"agent-{uuid4().hex[:12]}"
    aos.client.agents.create(AgentProfile(name=name, planner=PlannerChoice(name="claude")))
    return name


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark `ray` whatever uses the session's AOS; modules with clusters of their own say it."""
    for item in items:
        if "aos" in getattr(item, "fixturenames", ()):
            item.add_marker("ray")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Reporting:
    """A failed test on a running AOS shows what its supervisors and node said last."""
    report = yield
    running = getattr(item, "funcargs", {}).get("aos")
    if report.failed and isinstance(running, RunningAos):
        for name in ("supervisors.jsonl", "node.jsonl", "agents.jsonl"):
            log = running.settings.home / "logs" / name
            lines = log.read_text(errors="replace").splitlines()[-25:] if log.exists() else []
            report.sections.append((name, "\n".join(line[:400] for line in lines)))
    return report
