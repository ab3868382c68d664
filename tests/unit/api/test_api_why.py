"""Why something was restarted, or is not: what is said, from which record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.api.client.models import AgentView, SupervisionEvent, TreeNode
from aos.api.why import EVENTS_READ, VERBS, Subject, why
from aos.cluster.exits import ExitReason
from aos.skills.contracts import AgentProfile

NOW = datetime(2026, 1, 2, 12, 3, 28, tzinfo=UTC)
Told = tuple[float, str, str, str]
"""Seconds ago, kind, reason, detail."""


def event(number: int, told: Told) -> SupervisionEvent:
    ago, kind, reason, detail = told
    return SupervisionEvent(
        id=number, at=NOW - timedelta(seconds=ago), supervisor="agents", child="c", kind=kind,
        reason=reason, detail=detail, delay_ms=0,
    )  # fmt: skip


def record(*told: Told) -> list[SupervisionEvent]:
    """Events, told oldest first; the newest is first in the record."""
    return [event(number, each) for number, each in enumerate(told)][::-1]


def node(state: str = "running", **fields: Any) -> TreeNode:
    since = NOW - timedelta(seconds=12) if state == "running" else None
    return TreeNode(id="c", state=state, **{"pid": 123, "since": since, **fields})


def agent(state: str = "passive", **fields: Any) -> AgentView:
    return AgentView(
        id=UUID(int=1), name="researcher", profile=AgentProfile(name="researcher"), state=state,
        **{
            "epoch": 1, "host": None, "pid": None, "created_at": NOW, "activated_at": None,
            "quarantined_until": None, **fields,
        },
    )  # fmt: skip


def answer(
    *told: Told, at: TreeNode | None = None, row: AgentView | None = None, name: str = "researcher"
) -> str:
    release = "aos agent release researcher" if row else ""
    return why(Subject(name, at, row, record(*told), release), NOW)


def crash(ago: float, detail: str = "exit code 1") -> Told:
    return (ago, "ended", "crash", detail)


LATER = NOW + timedelta(seconds=42)
SIX_CRASHES = [crash(ago) for ago in (42, 40, 38, 35, 30, 1)]


def test_a_quarantine_says_until_when_why_and_how_to_end_it() -> None:
    told = answer(
        *SIX_CRASHES, (1, "quarantined", "crash", ""),
        at=node("quarantined", until=LATER), row=agent(),
    )  # fmt: skip
    assert told == (
        "researcher is quarantined until 12:04:10 UTC (in 42 s) because it crashed 6 times in "
        "41 s (last: exit code 1). Its runs wait. Release it now with "
        "`aos agent release researcher`."
    )


def test_a_quarantine_counts_only_what_led_to_it() -> None:
    told = answer(
        crash(9_000), crash(8_000), crash(100), (99, "quarantined", "crash", ""),
        (39, "trial", "", ""), (38, "ended", "start_error", "no such module"),
        (38, "quarantined", "start_error", ""), at=node("quarantined", until=LATER), row=agent(),
    )  # fmt: skip
    assert "because it failed to start (no such module)." in told
    told = answer(
        crash(9_000), crash(100), crash(90), (90, "quarantined", "crash", ""),
        at=node("quarantined", until=LATER),
    )  # fmt: skip
    assert "because it crashed twice in 10 s" in told
    assert "aos agent release" not in told, "nobody's agent, or another tenant's"


def test_a_quarantine_of_different_ends_names_each() -> None:
    told = answer(
        (3, "ended", "killed", ""), crash(2), crash(1, ""), (1, "quarantined", "crash", ""),
        at=node("quarantined", until=LATER),
    )  # fmt: skip
    assert "because it ended 3 times in 2.0 s: it crashed twice, was killed once." in told


def test_a_quarantine_that_the_record_does_not_have_is_one_all_the_same() -> None:
    assert "quarantined until 12:04:10 UTC (in 42 s) because it failed too often" in answer(
        at=node("quarantined", until=LATER)
    )
    assert "is quarantined until 12:04:10" in answer(
        row=agent("quarantined", quarantined_until=LATER)
    )
    old = agent("quarantined", quarantined_until=NOW - timedelta(seconds=1))
    assert "is passive" in answer(row=old)


def test_a_quarantine_counts_no_end_that_was_meant() -> None:
    told = answer(
        crash(9), (8, "ended", "normal", "passive"), crash(3), (2, "ended", "fenced", ""), crash(1),
        (1, "quarantined", "crash", ""), at=node("quarantined", until=LATER),
    )  # fmt: skip
    assert "because it crashed twice in 2.0 s" in told


def test_a_quarantine_that_is_not_written_yet_is_explained_by_what_is() -> None:
    told = answer(*SIX_CRASHES, at=node("quarantined", until=LATER))
    assert "because it crashed 6 times in 41 s" in told


def test_a_restart_says_when_how_often_why_and_how_it_is_now() -> None:
    told = answer(
        (50, "started", "", ""), (40, "ended", "killed", ""), (40, "restarting", "killed", ""),
        (39, "started", "", ""), (12, "ended", "killed", ""), (12, "restarting", "killed", ""),
        (12, "started", "", ""), at=node(), name="front",
    )  # fmt: skip
    assert told == (
        "front was restarted twice in the last 24 h, last 12 s ago, because it was killed; it runs "
        "as process 123 since 12:03:16 UTC."
    )


def test_a_restart_of_long_ago_is_told_without_a_count() -> None:
    told = answer(
        crash(200_000), (200_000, "restarting", "crash", ""), (199_999, "started", "", ""),
        at=node(since=NOW - timedelta(days=2)),
    )  # fmt: skip
    assert told == (
        "researcher was restarted last 2 days ago, because it crashed (exit code 1); it runs as "
        "process 123 since 2025-12-31 12:03:28 UTC."
    )


def test_more_restarts_than_are_read_are_at_least_so_many() -> None:
    many = [(5.0, "restarting", "crash", "")] * EVENTS_READ
    assert f"restarted at least {EVENTS_READ} times in the last 24 h" in answer(*many, at=node())


@pytest.mark.parametrize(
    ("before", "said"),
    [
        ([], "was not restarted, as far as the record goes; it runs as process 123 since 12:03:16"),
        ([(9, "started", "", "")], "was not restarted, as far as"),
        (
            [crash(9), (9, "restarting", "crash", "with b, c")],
            "last 9.0 s ago, with b, c, because it crashed (exit code 1)",
        ),
        ([(9, "trial", "", "")], "is on trial: its quarantine ended 9.0 s ago"),
        ([(9, "released", "", "")], "was released from quarantine 9.0 s ago"),
        ([(9, "pending", "no_capacity", "GPU: 1")], "waited for a machine that has what it needs"),
        ([crash(9), (9, "gave_up", "reached_max_restart_intensity", "")], "which had given up"),
        (
            [(99, "ended", "normal", "passive")],
            "was passive until it had work; it had become so 99 s ago",
        ),
        ([(9, "ended", "shutdown", "")], "was stopped 9.0 s ago, by request or with a sibling"),
        ([(9, "renamed", "", "")], "was renamed 9.0 s ago"),
    ],
)
def test_what_led_to_the_present_life(before: list[Told], said: str) -> None:
    assert said in answer(*before, (8, "started", "", ""), at=node())


def test_who_waits_says_for_what() -> None:
    told = answer(at=node("waiting", waits_for="needs GPU 1, the cluster has 0"), name="gpu-agent")
    assert told.startswith("gpu-agent waits: needs GPU 1, the cluster has 0.")
    told = answer(crash(1), at=node("waiting", until=LATER))
    assert told == (
        "researcher is started again at 12:04:10 UTC (in 42 s) because it crashed (exit code 1)."
    )
    assert answer(at=node("waiting")) == "researcher is about to be started."


def test_who_is_stopped_says_since_when() -> None:
    told = answer((60, "ended", "normal", ""), at=node("stopped"), name="import")
    assert told == (
        "import is stopped: 60 s ago it ended by itself, and it is not started again by itself."
    )
    assert "nothing to do" in answer((60, "ignored", "", ""), at=node("stopped"))
    assert answer(at=node("stopped")) == "researcher is stopped."


def test_who_is_just_being_started_says_so() -> None:
    told = answer(crash(1), (1, "restarting", "crash", ""), at=node("starting"))
    assert told.endswith("because it crashed (exit code 1); it is starting.")


def test_nobody_counts_the_roots_restarts() -> None:
    told = answer(at=node().model_copy(update={"id": "root"}), name="root")
    assert told.startswith("root runs as process 123 since 12:03:16 UTC. Ray brings it back")


def test_a_passive_agent_says_why_and_what_wakes_it() -> None:
    assert "it had no run yet. Its first run activates it" in answer(row=agent())
    assert answer((120, "ended", "normal", "passive"), row=agent()) == (
        "researcher is passive: 2 min ago it had nothing more to do. Its next run activates it."
    )
    assert "is passive: 9.0 s ago it crashed (exit code 1)." in answer(crash(9), row=agent())


def test_without_a_tree_the_table_and_the_record_speak() -> None:
    told = answer(row=agent("active", pid=77))
    assert "active as process 77, as far as the table knows" in told
    assert answer((9, "started", "", ""), name="front") == (
        "front is not in the tree: the last that is known of it is `started`, 9.0 s ago."
    )
    assert answer(name="front") == "Nothing is known of front."


def test_every_reason_has_words() -> None:
    assert {reason.value for reason in ExitReason} <= VERBS.keys()
    assert "ended with `vanished`" in answer(
        (9, "ended", "vanished", ""), (9, "restarting", "vanished", ""), at=node()
    )


STATES = st.sampled_from(
    ["running", "starting", "waiting", "stopping", "stopped", "quarantined", "odd"]
)
KINDS = st.sampled_from(
    ["started", "ended", "restarting", "quarantined", "trial", "pending", "odd"]
)
TOLD = st.tuples(st.floats(-5, 1e6), KINDS, st.sampled_from([*VERBS, "odd"]), st.text(max_size=300))


@given(st.lists(TOLD, max_size=8), st.none() | STATES, st.booleans())
def test_there_is_always_an_answer_in_one_line(
    told: list[Told], state: str | None, is_agent: bool
) -> None:
    at = None if state is None else node(state, until=LATER)
    said = answer(*told, at=at, row=agent() if is_agent else None)
    assert "researcher" in said
    assert said.endswith((".", "`."))
    assert "\n" not in said
