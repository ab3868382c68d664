"""What real processes write on a real cluster verifies, and replays alike."""

from __future__ import annotations

from contextlib import suppress

import pytest
from tests.support.running import RunningAos, eventually, kill

from aos.api.client import ApiError
from aos.skills.contracts import AgentProfile

pytestmark = pytest.mark.ray

PAGES = ("/", "/tides.html", "/flaky", "/nowhere", "/slow/docs")


def test_real_runs_verify_and_replay_alike(aos: RunningAos) -> None:
    profile = {"name": "replayed", "planner": {"name": "rules"}}
    with suppress(ApiError):
        aos.client.agents.create(AgentProfile.model_validate(profile))
    goals = [f"Fetch {aos.site.url(page)}, extract the headings and summarise" for page in PAGES]
    runs = [aos.client.runs.create("replayed", goal).id for goal in goals * 2]
    eventually(lambda: aos.client.agents.get("replayed").pid is not None)
    pid = aos.client.agents.get("replayed").pid
    assert pid is not None
    kill(pid)
    for run in runs:
        aos.client.runs.wait(run, timeout=90)
    for run in runs:
        found = aos.client.replays.verify(run)
        assert found.divergence is None, found.divergence
        assert (found.chain, found.unchecked) == ("intact", [])
        again = aos.client.replays.mock(run)
        assert again.same, again.difference
        assert not aos.client.replays.dry_run(run).problems
