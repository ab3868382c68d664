"""What people see of supervision on a real AOS: the tree, its record, and Ray's own views."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.support.running import RunningAos, eventually, kill

from aos.api.auth import KeyStore
from aos.api.client import AosClient, ApiError
from aos.api.client.models import TreeNode
from aos.cluster import faults
from aos.cluster.identity import Role


def environment(aos: RunningAos) -> dict[str, str]:
    inherited = {name: text for name, text in os.environ.items() if not name.startswith("AOS_")}
    return {
        **inherited, "AOS_HOME": str(aos.settings.home), "COLUMNS": "200", "LINES": "50",
        "TERM": "xterm",
    }  # fmt: skip


def cli(aos: RunningAos, *arguments: str) -> str:
    """What `aos …` prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "aos.api.cli.main", *arguments],
        env=environment(aos), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


class Terminal:
    """A command on a terminal, as far as one can read its screen."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process, self._master, self.seen = process, master, ""

    def until(self, text: str, seconds: float = 30) -> None:
        """Read until a text has appeared since the last one that was waited for."""
        deadline = time.monotonic() + seconds
        while text not in self.seen:
            assert time.monotonic() < deadline, f"{text!r} is not shown:\n{self.seen[-2_000:]}"
            if select.select([self._master], [], [], 0.1)[0]:
                self.seen += os.read(self._master, 65_536).decode(errors="replace")
        self.seen = self.seen.partition(text)[2]


@contextmanager
def on_a_terminal(aos: RunningAos, *arguments: str) -> Iterator[Terminal]:
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "aos.api.cli.main", *arguments]
    with subprocess.Popen(
        command, env=environment(aos), stdin=slave, stdout=slave, stderr=slave
    ) as process:
        try:
            yield Terminal(process, master)
        finally:
            process.kill()
            os.close(slave)
            os.close(master)


def is_running(aos: RunningAos, title: str) -> bool:
    node = node_of(aos.client.tree(), title)
    return node is not None and node.state == "running"


def start_a_run(aos: RunningAos, agent: str, pages: int = 4) -> Any:
    """A run of some slow pages, its agent being active: in the table, and to its supervisor, which
    hears of it a moment later.
    """
    urls = ", ".join(aos.site.url(f"/slow/{uuid4().hex}") for _ in range(pages))
    run = aos.client.runs.create(agent, f"Fetch {urls}, extract the headings and summarise them")
    eventually(lambda: aos.client.agents.get(agent).pid is not None)
    eventually(lambda: is_running(aos, agent))
    return run


def node_of(root: TreeNode, title: str) -> TreeNode | None:
    return next((node for node in root.walk() if node.title == title), None)


def test_a_crash_is_in_the_tree_in_the_record_and_explained(aos: RunningAos, agent: str) -> None:
    run = start_a_run(aos, agent)
    before = aos.client.agents.get(agent)
    assert before.pid is not None
    kill(before.pid)
    assert aos.client.runs.wait(run.id, timeout=60).status == "completed"
    node = node_of(aos.client.tree(), agent)
    assert node is not None
    assert (node.state, node.restarts, node.epoch) == ("running", 1, before.epoch + 1)
    assert (node.tenant, node.restart) == ("default", "transient")
    eventually(lambda: len(aos.client.tree_events(child=agent).items) >= 4)
    page = aos.client.tree_events(child=agent)
    told = [(event.kind, event.epoch, event.tenant) for event in reversed(page.items)]
    first, second = before.epoch, before.epoch + 1
    assert told == [
        ("started", first, "default"), ("ended", first, "default"),
        ("restarting", first, "default"), ("started", second, "default"),
    ]  # fmt: skip
    assert page.why is not None
    assert f"{agent} was restarted once in the last 24 h" in page.why
    assert "because it crashed" in page.why
    assert f"it runs as process {node.pid} since" in page.why
    shown = cli(aos, "tree", "events", agent)
    assert shown.startswith(f"{agent} was restarted once")
    assert shown.index("restarting") < shown.index("ended")
    assert f"{agent}  running  process {node.pid}  epoch {second}  1 restart" in cli(aos, "tree")


def test_following_the_tree_survives_what_it_shows(aos: RunningAos) -> None:
    front = aos.pid_of("front")
    with on_a_terminal(aos, "tree", "--watch") as terminal:
        terminal.until(f"process {front}")
        kill(front)
        terminal.until("restarting")
        eventually(lambda: aos.is_reachable() and aos.pid_of("front") not in (0, front))
        terminal.until(f"process {aos.pid_of('front')}")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.process.wait(timeout=10) == 0


def test_a_part_that_hangs_does_not_hide_the_tree(aos: RunningAos) -> None:
    manager = aos.manager
    assert manager["pid"] > 0
    os.kill(manager["pid"], signal.SIGSTOP)
    try:
        root = aos.client.tree()
    finally:
        os.kill(manager["pid"], signal.SIGCONT)
    stopped, front = node_of(root, manager["id"]), node_of(root, "front")
    assert stopped is not None
    assert front is not None
    assert "did not answer" in str(stopped.unreachable)
    assert (front.state, front.unreachable) == ("running", None)


def test_a_quarantine_is_explained(aos: RunningAos, agent: str) -> None:
    agent_id = aos.client.agents.get(agent).id
    faults.arm(aos.faults, "agent.activated", f"kill*9 of {agent_id}")
    run = aos.client.runs.create(agent, f"Fetch {aos.site.url('/')} and extract the title")
    try:
        eventually(lambda: aos.client.agents.get(agent).state == "quarantined", 60)
    finally:
        (aos.faults / "agent.activated").unlink(missing_ok=True)
    page = aos.client.tree_events(child=agent)
    assert page.why is not None
    assert page.why.startswith(f"{agent} is quarantined until ")
    assert "because it failed to start 6 times in " in page.why
    assert f"aos agent release {agent}" in page.why
    node = node_of(aos.client.tree(), agent)
    assert node is not None
    assert (node.state, node.until is not None) == ("quarantined", True)
    assert "quarantined until" in cli(aos, "agent", "show", agent)
    assert aos.client.runs.get(run.id).status == "pending", "its run waits"
    assert f"agent {agent} is released" in cli(aos, "agent", "release", agent)
    assert aos.client.runs.wait(run.id, timeout=60).status == "completed"
    assert "was released from quarantine" in str(aos.client.tree_events(child=agent).why)
    with pytest.raises(ApiError, match="AOS-4102: not_quarantined"):
        aos.client.agents.release(agent)


async def test_another_tenant_sees_none_of_this(aos: RunningAos, agent: str) -> None:
    start_a_run(aos, agent, pages=1)
    async with aos.database() as database:
        await database.execute("INSERT INTO tenants VALUES ('others') ON CONFLICT DO NOTHING")
        key = await KeyStore(database).create("others", Role.ADMIN, "test")
    with AosClient(aos.client.url, key) as theirs:
        assert theirs.tree().children == []
        assert theirs.tree_events().items == []
        for child in (agent, str(aos.client.agents.get(agent).id), "front"):
            with pytest.raises(ApiError, match="AOS-1110"):
                theirs.tree_events(child=child)


def of_ray(aos: RunningAos, what: str, **equal: str) -> list[dict[str, Any]]:
    """Ray's state API, as the dashboard asks it. `equal`: what is wanted, since it answers with
    10,000 rows at most, and a session of tests has more tasks than that.
    """
    token = (aos.settings.home / "ray-token").read_text().strip()
    answer = httpx.get(
        f"{aos.info['dashboard_url']}/api/v0/{what}",
        params={
            "limit": 10_000,
            "detail": "true",
            "filter_keys": list(equal),
            "filter_predicates": ["="] * len(equal),
            "filter_values": list(equal.values()),
        },
        headers={"Authorization": f"Bearer {token}"},
        trust_env=False, timeout=30,
    )  # fmt: skip
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()["data"]["result"]["result"]
    return found


def test_the_ray_dashboard_shows_who_is_who(aos: RunningAos, agent: str) -> None:
    run = start_a_run(aos, agent, pages=8)
    actors = {row["name"]: row for row in of_ray(aos, "actors") if row["state"] == "ALIVE"}
    assert {"aos-root", f"aos-{aos.manager['id']}", "aos-agents", "aos-front"} <= actors.keys()
    hosts = {row["pid"] for name, row in actors.items() if name.startswith("aos-host:")}
    assert aos.client.agents.get(agent).pid in hosts

    def states(name: str) -> set[str]:
        return {row["state"] for row in of_ray(aos, "tasks", name=name)}

    # Ray tells of a task's states a second late, when a page has long been fetched.
    eventually(lambda: bool(states("skill:planner.rules@1.0.0")))
    eventually(lambda: bool(states("skill:http_call@1.0.0")))
    eventually(lambda: "RUNNING" in states(f"agent:default/{agent}"))
    assert aos.client.runs.wait(run.id, timeout=90).status == "completed"
    eventually(lambda: "RUNNING" not in states(f"agent:default/{agent}"), 60)
    assert aos.client.agents.get(agent).state == "passive", "its process may be another agent now"


def test_json_of_a_followed_tree_is_a_line_per_change(aos: RunningAos) -> None:
    command = [sys.executable, "-m", "aos.api.cli.main", "tree", "--watch", "--json"]
    with subprocess.Popen(command, env=environment(aos), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["id"] == "root"
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 0
