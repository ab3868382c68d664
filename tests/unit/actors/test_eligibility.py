"""Why a run gets a process, or does not: one row of the table after the other."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from aos.actors.runs.eligibility import Facts, Standing, judge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER, PAST = NOW + timedelta(hours=1), NOW - timedelta(hours=1)
RUNNING = Facts(
    run_id=UUID(int=1), agent="researcher", status="running", code=None, now=NOW, wake_at=PAST,
    waits_for="", unheard=0, epoch=3, agent_state="active", agent_epoch=3, quarantined_until=None,
    ahead=0, width=8, stopped=None,
)  # fmt: skip
RESTING: dict[str, Any] = {"status": "waiting", "wake_at": None}


@pytest.mark.parametrize(
    ("changes", "standing", "eligible"),
    [
        ({}, Standing.RUNNING, True),
        ({"status": "failed", "code": "ERR_HTTP_404"}, Standing.OVER, False),
        ({"unreadable": "run_started twice"}, Standing.UNREADABLE, False),
        ({"epoch": 2}, Standing.STARTING, True),
        ({"agent_state": "passive"}, Standing.STARTING, True),
        ({"status": "pending", "epoch": 0, "ahead": 8}, Standing.QUEUED, True),
        ({"epoch": 2, "quarantined_until": LATER}, Standing.AGENT_QUARANTINED, False),
        ({"epoch": 2, "quarantined_until": PAST}, Standing.STARTING, True),
        ({**RESTING, "waits_for": "waits for signal 'go'"}, Standing.WAITING, False),
        ({**RESTING, "wake_at": LATER}, Standing.WAITING, False),
        ({**RESTING, "wake_at": PAST}, Standing.STARTING, True),
        ({**RESTING, "unheard": 1}, Standing.STARTING, True),
        ({**RESTING, "status": "paused", "waits_for": "paused by ann"}, Standing.PAUSED, False),
        ({**RESTING, "waits_for": "emergency stop: fire"}, Standing.STOPPED, False),
        ({**RESTING, "waits_for": "not installed: pay@1.0.0"}, Standing.NOT_INSTALLED, False),
        ({**RESTING, "waits_for": "a person has to decide about pay"}, Standing.IN_DOUBT, False),
    ],
)
def test_the_first_row_that_applies(
    changes: dict[str, Any], standing: Standing, eligible: bool
) -> None:
    judgement = judge(replace(RUNNING, **changes))
    assert (judgement.standing, judgement.eligible) == (standing, eligible)
    assert judgement.why


def test_what_holds_a_run_up_is_said_beside_where_it_stands() -> None:
    assert "emergency stop: fire" in judge(replace(RUNNING, stopped="fire")).why
    assert "died 2 times" in judge(replace(RUNNING, crashes=2)).why
    queued = judge(replace(RUNNING, epoch=0, status="pending", ahead=9, width=2))
    assert queued.position == 10
    assert "9 runs of researcher go first" in queued.why
    assert judge(replace(RUNNING, **{**RESTING, "wake_at": LATER})).until == LATER
