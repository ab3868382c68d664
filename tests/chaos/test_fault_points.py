"""Kill a process at each named point; the run is finished all the same, and nothing finished twice.

The ledger is outside: the web site counts what was fetched, and the journal is read as written.
"""

from __future__ import annotations

from collections import Counter
from uuid import UUID, uuid4

import pytest

from aos.actors.runs.fold import fold
from aos.actors.runs.state import Phase
from aos.actors.runs.store import RunStore
from aos.api.client import NotRunning
from aos.cluster import faults
from tests.support.running import RunningAos, eventually

POINTS = [
    ("journal.appending", "kill"),
    ("journal.appending", "kill@3"),
    ("journal.appended", "kill"),
    ("journal.appended", "kill@3"),
    ("step.dispatching", "kill@2"),
    ("step.dispatched", "kill@2"),
    ("step.outcome", "kill@2"),
    ("skill.started", "kill"),
    ("skill.finished", "kill"),
    ("skill.started", "exhaust"),
    ("agent.activated", "kill"),
    ("supervisor.activating", "kill"),
    ("run.accepted", "kill"),
]


@pytest.mark.parametrize(("point", "fault"), POINTS)
async def test_a_process_dies_at(aos: RunningAos, agent: str, point: str, fault: str) -> None:
    marker = uuid4().hex
    urls = ", ".join(aos.site.url(f"/slow/{marker}{number}") for number in range(3))
    faults.arm(aos.faults, point, fault)
    goal = f"Fetch {urls}, extract the headings and summarise them"
    run_id = submit(aos, agent, goal, key=marker)
    ended = aos.client.runs.wait(run_id, timeout=90)
    assert (ended.status, ended.code) == ("completed", "OK"), ended.message
    eventually(lambda: faults.fired(aos.faults, point), 10)
    (aos.faults / f"{point}.fired").unlink()
    await assert_explained_by_the_journal(aos, run_id, marker)
    assert len(aos.client.runs.list(agent=agent).items) == 1, "one key, one run"


def submit(aos: RunningAos, agent: str, goal: str, key: str) -> UUID:
    """Submit, and again under the same key if the front dies over it: as any client would."""
    for _ in range(100):
        try:
            return aos.client.runs.create(agent, goal, idempotency_key=key).id
        except NotRunning:
            eventually(lambda: front_answers(aos))
    raise AssertionError("the front never accepted it")


def front_answers(aos: RunningAos) -> bool:
    try:
        return bool(aos.client.status())
    except NotRunning:
        return False


async def assert_explained_by_the_journal(aos: RunningAos, run_id: UUID, marker: str) -> None:
    """Each step has one successful outcome, and each page went out at most once more than there
    were processes that died without having committed it.
    """
    async with aos.database() as database:
        store = RunStore(database)
        events = [recorded.event for recorded in await store.events("default", run_id)]
    state = fold(run_id, events)
    assert {step.phase for step in state.steps.values()} == {Phase.SUCCEEDED}
    successes = Counter(
        event.step_id for event in events if event.kind == "step_settled" and event.outcome.ok
    )
    assert set(successes.values()) == {1}
    answered = [count for page, count in aos.site.answered.items() if marker in page]
    assert max(answered) <= 2
