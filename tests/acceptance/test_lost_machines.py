"""Whole machines are lost, and the whole cluster: what was accepted is finished elsewhere, or after
the next `aos up`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import psutil
import pytest
from tests.support.ray_machines import RayMachines, ray_machines
from tests.support.running import FRUGAL, eventually, own_home

from aos.api.cli.lifecycle import running, start_node, stop_node
from aos.api.client import AosClient
from aos.api.demo.site import DemoSite
from aos.cluster.postgres import Database, dsn_of
from aos.cluster.settings import load
from aos.skills.contracts import AgentProfile, PlannerChoice

pytestmark = pytest.mark.ray

OFFLINE = PlannerChoice(name="rules", model="scripted")


@pytest.fixture
def site() -> Iterator[DemoSite]:
    with DemoSite(slow_seconds=1.5) as site:
        yield site


@pytest.fixture
def home(site: DemoSite) -> Iterator[Path]:
    # A cluster that is there already cannot be told which port was chosen: it is said beforehand.
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    given = {
        **FRUGAL,
        "AOS_PRIVATE_HOSTS_ALLOWED": f'["{site.address}"]',
        "AOS_HTTP_PORT": str(port),
        "AOS_LEASE_SECONDS": "8",
        "AOS_HEARTBEAT_INTERVAL": "2",
    }
    with own_home(**given) as home:
        try:
            yield home
        finally:
            stop_node(load())


def up() -> AosClient:
    for _ in start_node(load()):
        pass
    return AosClient()


def submit(client: AosClient, site: DemoSite, name: str, pages: int = 5) -> UUID:
    client.agents.create(AgentProfile(name=name, planner=OFFLINE))
    urls = ", ".join(site.url(f"/slow/{name}{number}") for number in range(pages))
    return client.runs.create(name, f"Fetch {urls} and extract the headings").id


def until_first_fetch(client: AosClient, run_id: UUID) -> str:
    for event in client.runs.events(run_id, timeout=60):
        if event.kind == "step_settled" and str(event.fields["step_id"]).startswith("fetch"):
            return str(event.fields["output"]["url"])
    raise AssertionError("the run ended without a fetch")


def test_every_process_is_killed_and_up_finds_everything(home: Path, site: DemoSite) -> None:
    with up() as client:
        run_id = submit(client, site, "survivor")
        finished = until_first_fetch(client, run_id)
        tree = client.status().tree
    info = running(load())
    assert info is not None
    assert tree is not None
    node = psutil.Process(info["pid"])
    for process in [*node.children(recursive=True), node]:  # Ray and all of its workers, at once
        if process.is_running():
            process.send_signal(signal.SIGKILL)
    node.wait(timeout=10)
    with up() as client:
        run = client.runs.wait(run_id, timeout=60)
        assert (run.status, run.resumes) == ("completed", 1)
        again = client.status().tree
        assert again is not None
        assert [child["id"] for child in again["children"]] == [
            child["id"] for child in tree["children"]
        ]
    assert site.times_answered(finished.removeprefix(site.url(""))) == 1


def test_a_machine_comes_and_goes(home: Path, site: DemoSite) -> None:
    with ray_machines(load()) as machines:
        os.environ["AOS_RAY_ADDRESS"] = machines.address
        try:
            with up() as client:
                _comes_and_goes(client, site, machines)
                _half_of_the_tree_dies(client)
            with up() as client:
                _is_whole_again(client, site)
            stop_node(load())
        finally:
            del os.environ["AOS_RAY_ADDRESS"]


def _comes_and_goes(client: AosClient, site: DemoSite, machines: RayMachines) -> None:
    machines.add()
    eventually(lambda: len(managers(client)) == 2)
    placed: dict[str, UUID] = {}
    while asyncio.run(machines_in_use()) < 2:
        assert len(placed) < 12, "all agents are on one machine"
        name = f"agent-{len(placed)}"
        placed[name] = submit(client, site, name, pages=10)
        until_first_fetch(client, placed[name])
    finished = {name: until_first_fetch(client, run_id) for name, run_id in placed.items()}
    before = {name: client.agents.get(name).epoch for name in placed}
    machines.remove()
    for run_id in placed.values():
        run = client.runs.wait(run_id, timeout=100)
        assert run.status == "completed", (run.code, run.message)
    moved = [name for name in placed if client.agents.get(name).epoch > before[name]]
    hosts = {name: client.agents.get(name).host for name in placed}
    assert 0 < len(moved) < len(placed), hosts
    for url in finished.values():
        assert site.times_answered(url.removeprefix(site.url(""))) == 1
    reasons = {
        (event.reason, event.detail if event.reason != "node_lost" else "")
        for name in moved
        for event in client.supervision_events(child=str(client.agents.get(name).id))
        if event.kind == "ended"
    }
    assert ("node_lost", "") in reasons, sorted(reasons)
    # An agent may have been on its way to a process of the lost machine once more.
    assert {reason for reason, _ in reasons} <= {"node_lost", "start_error"}, sorted(reasons)
    eventually(lambda: len(managers(client)) == 1)


async def machines_in_use() -> int:
    async with Database(dsn_of(load()), application_name="test") as database:
        count: int = await database.fetch_value(
            "SELECT count(DISTINCT node_id) FROM activations WHERE state = 'active'"
        )
        return count


def managers(client: AosClient) -> list[str]:
    tree = client.status().tree
    assert tree is not None
    hosts = next(child for child in tree["children"] if child["id"] == "hosts")
    return [
        child["id"]
        for child in hosts["children"]
        if child["id"].startswith("hosts:") and child["state"] == "running"
    ]


def _half_of_the_tree_dies(client: AosClient) -> None:
    """The node process too: nobody is left who would make a new root, had that one died."""
    tree = client.status().tree
    info = running(load())
    assert tree is not None
    assert info is not None
    pids = {child["id"]: child.get("pid") for child in tree["children"]}
    node = psutil.Process(info["pid"])
    for pid in (node.pid, pids["agents"], tree["pid"], pids["front"]):
        psutil.Process(pid).kill()
    node.wait(timeout=10)


def _is_whole_again(client: AosClient, site: DemoSite) -> None:
    tree = client.status().tree
    assert tree is not None
    eventually(lambda: len(managers(client)) == 1)
    run = client.runs.create("agent-0", f"Fetch {site.url('/')} and extract the title")
    assert client.runs.wait(run.id, timeout=60).status == "completed"
