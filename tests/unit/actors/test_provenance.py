"""What a journal says of a run's result, whatever is in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.runs import START, History, ok, permanent, step, transient

from aos.actors.runs.events import (
    Event,
    RunContinued,
    RunParked,
    RunPaused,
    RunWoken,
    encode,
)
from aos.actors.runs.fold import fold
from aos.actors.runs.provenance import (
    Entry,
    Supervised,
    attempts,
    denials,
    plans,
    records,
    restarts,
    status_history,
)
from aos.actors.runs.provenance_records import Other
from aos.skills.contracts import Effects, EffectState, StructuredOutcome, Usage

LATER = timedelta(seconds=10)


def entries(events: Iterable[Event]) -> list[Entry]:
    """Events as they stand in a journal: the writer's epoch beside them, defaults left out."""
    found: list[Entry] = []
    epoch = 0
    for seq, event in enumerate(events, 1):
        epoch = getattr(event, "epoch", epoch)
        body = json.loads(json.dumps(encode(event)))
        found.append(Entry(seq, epoch, event.kind, event.at, body))
    return found


def entry(kind: str, seq: int = 1, **body: Any) -> Entry:
    return Entry(seq, 1, kind, START, body)


def ended(epoch: int, reason: str = "killed", kind: str = "ended") -> Supervised:
    return Supervised(epoch, START + epoch * LATER, epoch, "agents", kind, reason, f"by {reason}")


def test_statuses_with_since_cause_and_epoch() -> None:
    history = History().started().planned(step("a")).later(10).resumed()
    history.settled("a", ok()).later(10).finished()
    assert [(s.status, s.at, s.epoch) for s in status_history(entries(history.events))] == [
        ("pending", START, 0),
        ("running", START, 1),
        ("running", START + LATER, 2),
        ("completed", START + 2 * LATER, 2),
    ]
    causes = [each.cause for each in status_history(entries(history.events))]
    assert causes[0] == "accepted"
    assert "the activation before had ended" in causes[2]
    assert causes[3] == "OK"


def test_a_run_that_waits_and_one_that_is_paused() -> None:
    parked = RunParked(at=START, reason="waits for signal go")
    woken = RunWoken(at=START, epoch=2)
    events = [*History().started().events, parked, woken]
    events += [RunPaused(at=START, number=1, by="ann"), parked]
    events += [RunWoken(at=START, epoch=3), RunContinued(at=START, number=2), parked]
    found = status_history(entries(events))
    assert [each.status for each in found] == [
        "pending", "running", "waiting", "running", "paused", "running", "waiting",
    ]  # fmt: skip
    assert found[2].cause == "waits for signal go"
    assert fold(History().state.run_id, events).status == found[-1].status


def test_the_plan_by_rounds() -> None:
    history = History().started().planned(step("a"), step("b", needs=["a"]), answer=None)
    history.succeeded("a", "b").planned(step("c", Effects.UNSAFE))
    found = plans(entries(history.events))
    assert [(p.round, p.step, p.depends_on, p.effects) for p in found] == [
        (1, "a", (), "read"),
        (1, "b", ("a",), "read"),
        (2, "c", (), "unsafe"),
    ]


def test_steps_that_a_program_asks_for() -> None:
    asked = {"id": "s1", "skill": "pay", "version": "2.0.0", "effects": "unsafe"}
    closed = {"step_id": "s1", "outcome": {"status": "failure", "code": "ERR_WAIT_TIMEOUT"}}
    given = [entry("program_advanced", 1, requests=[asked]), entry("step_closed", 2, **closed)]
    assert [(p.round, p.step, p.skill) for p in plans(given)] == [(0, "s1", "pay")]
    (attempt,) = attempts(given)
    assert (attempt.skill, attempt.version, attempt.effects) == ("pay", "2.0.0", "unsafe")


def test_attempts_with_everything_that_they_cost() -> None:
    used = Usage(provider="p", model="m", input_tokens=7, output_tokens=3)
    history = History().started().planned(step("a"))
    history.settled("a", transient(skill="do_read", version="1.0.0"))
    history.settled("a", ok(cost_microusd=9, usage=(used, used), effect=EffectState.DONE))
    planned, first, second = attempts(entries(history.events))
    assert (planned.step, planned.round) == ("plan", 1)
    assert (first.attempt, first.code, first.retryable) == (1, "ERR_HTTP_503", True)
    assert (second.attempt, second.code, second.effect) == (2, "OK", "done")
    assert (second.skill, second.version, second.round) == ("do_read", "1.0.0", 1)
    assert (second.cost_microusd, second.input_tokens, second.output_tokens) == (9, 14, 6)
    assert second.idempotency_key == history.state.idempotency_key("a")
    assert second.duration_ms == 25


@pytest.mark.parametrize(
    ("code", "denied"),
    [
        ("ERR_PERMISSION_DENIED", True),
        ("ERR_FORBIDDEN_SKILL", True),
        ("ERR_LIMIT_EXCEEDED", True),
        ("ERR_BLOCKED_ADDRESS", True),
        ("ERR_CANCELLED", False),
        ("ERR_HTTP_404", False),
    ],
)
def test_denials(code: str, denied: bool) -> None:
    outcome = StructuredOutcome.failure(code, "no", skill="do_read")
    history = History().started().planned(step("a")).settled("a", outcome)
    found = denials(entries(history.events))
    assert [(d.step, d.skill, d.code, d.message) for d in found] == (
        [("a", "do_read", code, "no")] if denied else []
    )


def test_a_run_that_ends_with_a_denial_says_so() -> None:
    refused = entry("run_finished", status="failed", code="ERR_FORBIDDEN_SKILL", message="no pay")
    assert [d.message for d in denials([refused])] == ["no pay"]


def test_a_restart_is_explained_by_the_end_before_it() -> None:
    history = History().started().planned(step("a")).later(30).resumed().later(30).resumed()
    ends = [ended(1, "out_of_memory"), ended(1, "x", "restarting"), ended(2, "killed"), ended(3)]
    found = restarts(entries(history.events), ends)
    assert [(r.before, r.epoch, r.reason) for r in found] == [
        (1, 2, "out_of_memory"),
        (2, 3, "killed"),
    ]
    assert found[0].ended_at == ends[0].at
    assert found[0].supervisor == "agents"


def test_an_end_that_nobody_meant_explains_more_than_one_that_was_asked_for() -> None:
    history = History().started().resumed()
    assert restarts(entries(history.events), [ended(1, "crash"), ended(1, "shutdown")])[
        0
    ].reason == ("crash")
    assert restarts(entries(history.events), [ended(1, "shutdown")])[0].reason == "shutdown"
    assert restarts(entries(history.events), [])[0].reason == ""


def test_what_a_newer_version_wrote_is_read_too() -> None:
    strange = [
        entry("run_levitated", 1, step_id="a", by="ann", reason="because"),
        entry("step_tried", 2, step_id="a", outcome={"code": "ERR_PERMISSION_DENIED"}),
    ]
    first, attempt, denial = records(strange)
    assert first == Other(1, START, 1, "run_levitated", "a", "ann", "because")
    assert (attempt.kind, denial.kind) == ("step_tried", "step_tried")


NAMES = st.sampled_from(
    ["step_id", "outcome", "plan", "steps", "requests", "epoch", "status", "code", "usage", "id",
     "depends_on", "reason", "input_tokens", "attempt", "skill", "duration_ms", "x"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
KINDS = st.sampled_from(
    ["run_submitted", "run_started", "run_resumed", "run_woken", "run_parked", "run_paused",
     "step_settled", "run_finished", "program_advanced", "of_the_future"]
)  # fmt: skip


@given(st.lists(st.tuples(KINDS, st.dictionaries(NAMES, JSON, max_size=6)), max_size=8))
def test_whatever_is_in_a_journal_it_is_read_to_its_end(given: list[tuple[str, Any]]) -> None:
    journal = [Entry(seq, 1, kind, START, body) for seq, (kind, body) in enumerate(given, 1)]
    found = list(records(journal, [ended(0), ended(1)]))
    assert {record.seq for record in found} == set(range(1, len(given) + 1)), "nothing is silent"
    assert [record.seq for record in found] == sorted(record.seq for record in found)
    for record in found:
        for value in asdict(record).values():
            assert isinstance(value, str | int | tuple | datetime | None)


@given(st.lists(st.sampled_from(["ok", "transient", "permanent", "resume"]), max_size=8))
def test_the_last_status_is_that_of_the_machine(steps: list[str]) -> None:
    history = History().started().planned(step("a"))
    for each in steps:
        if each == "resume":
            history.resumed()
        elif history["a"].outcome is None or history["a"].retry_at is not None:
            history.settled("a", {"ok": ok, "transient": transient, "permanent": permanent}[each]())
            if each != "transient" or history["a"].retry_at is None:
                break
    assert status_history(entries(history.events))[-1].status == history.state.status
    settled = [event for event in history.events if event.kind == "step_settled"]
    assert len(attempts(entries(history.events))) == len(settled)
