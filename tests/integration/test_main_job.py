"""A goal becomes a finished run: plan, fetch, extract, summarise, each skill a Ray task."""

from __future__ import annotations

from uuid import uuid4

import pytest
from tests.support.running import RunningAos

from aos.api.client import ApiError
from aos.api.client.models import RunView


def ended(aos: RunningAos, agent: str, goal: str) -> RunView:
    return aos.client.runs.wait(aos.client.runs.create(agent, goal).id, timeout=60)


def test_a_goal_becomes_an_answer(aos: RunningAos, agent: str) -> None:
    page = aos.site.url("/")
    run = ended(aos, agent, f"Fetch {page}, extract the headings and summarise them")
    assert (run.status, run.code) == ("completed", "OK")
    assert [(step.id, step.skill, step.status) for step in run.steps] == [
        ("plan", "planner.rules", "succeeded"),
        ("fetch", "http_call", "succeeded"),
        ("extract", "html_extract", "succeeded"),
        ("summarise", "llm_invoke", "succeeded"),
    ]
    assert "Harbour Observatory" in str(run.answer)
    assert run.totals.attempts == 4


def test_a_page_that_refuses_twice_is_tried_three_times(aos: RunningAos, agent: str) -> None:
    run = ended(aos, agent, f"Fetch {aos.site.url('/flaky')} and extract the title")
    assert run.status == "completed"
    assert {step.id: step.attempts for step in run.steps}["fetch"] == 3
    assert aos.site.answered["503 /flaky"] == 2


def test_branches_run_in_parallel_and_meet(aos: RunningAos, agent: str) -> None:
    marker = uuid4().hex
    pages = [aos.site.url(f"/slow/{marker}{n}") for n in range(4)]
    mark = len(aos.site.arrivals)
    run = ended(aos, agent, f"Fetch {', '.join(pages)}, extract the headings and summarise them")
    assert run.status == "completed"
    arrivals = [arrival.at for arrival in aos.site.arrivals[mark:] if marker in arrival.path]
    assert len(arrivals) == 4
    assert max(arrivals) - min(arrivals) < 4 * aos.site.slow_seconds


@pytest.mark.parametrize(
    ("path", "code"),
    [("/nowhere", "ERR_HTTP_404")],
)
def test_a_failing_page_fails_the_run_with_its_code(
    aos: RunningAos, agent: str, path: str, code: str
) -> None:
    run = ended(aos, agent, f"Fetch {aos.site.url(path)} and extract the headings")
    assert (run.status, run.code) == ("failed", code)
    assert "fetch" in (run.message or "")


def test_a_private_address_is_not_fetched(aos: RunningAos, agent: str) -> None:
    run = ended(aos, agent, "Fetch http://169.254.169.254/latest/meta-data and extract the text")
    assert (run.status, run.code) == ("failed", "ERR_BLOCKED_ADDRESS")


def test_a_goal_that_no_rule_fits_says_what_to_do(aos: RunningAos, agent: str) -> None:
    run = ended(aos, agent, "dance")
    assert (run.status, run.code) == ("failed", "ERR_PLANNER_NO_PLAN")
    assert "ANTHROPIC_API_KEY" in (run.message or "")


def test_a_large_page_travels_by_hash(aos: RunningAos, agent: str) -> None:
    run = ended(aos, agent, f"Fetch {aos.site.url('/large')} and extract the title")
    assert run.status == "completed"
    fetched = next(
        event for event in aos.client.runs.events(run.id)
        if event.kind == "step_settled" and event.fields["step_id"] == "fetch"
    )  # fmt: skip
    assert "sha256:" in str(fetched.fields)


def test_the_same_key_is_the_same_run(aos: RunningAos, agent: str) -> None:
    key, goal = uuid4().hex, f"Fetch {aos.site.url('/tides')} and extract the tables"
    first = aos.client.runs.create(agent, goal, idempotency_key=key)
    second = aos.client.runs.create(agent, goal, idempotency_key=key)
    assert first.id == second.id
    with pytest.raises(ApiError) as refused:
        aos.client.runs.create(agent, goal + " again", idempotency_key=key)
    assert (refused.value.status, refused.value.code) == (409, "AOS-3003")


def test_the_stream_tells_the_story_in_order(aos: RunningAos, agent: str) -> None:
    run = ended(aos, agent, f"Fetch {aos.site.url('/notices')} and extract the headings")
    events = list(aos.client.runs.events(run.id))
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert events[0].kind == "run_submitted"
    assert events[-1].kind == "run_finished"
    assert [event.seq for event in aos.client.runs.events(run.id, after=2)] == list(
        range(3, len(events) + 1)
    )


def test_a_large_answer_is_given_back_whole(aos: RunningAos, agent: str) -> None:
    run = ended(aos, agent, f"Fetch {aos.site.url('/large')}")
    assert run.status == "completed"
    assert isinstance(run.answer, str)
    assert run.answer.count("ebb and flow") == 10_000
