"""What people read: complete, and harmless whatever a web page has written into it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from aos.api.cli import words
from aos.api.cli.render import (
    event_line,
    render_agent,
    render_agents,
    render_run,
    render_runs,
    render_status,
)
from aos.api.client.models import (
    AgentPage,
    AgentView,
    RunEvent,
    RunPage,
    RunView,
    StatusView,
    StepView,
    Totals,
)
from aos.skills.contracts import AgentProfile

AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)
EVIL = "[bold]not markup[/] \x1b[2J\x1b]0;title\x07 end"


def printed(renderable: RenderableType) -> str:
    console = Console(width=160, force_terminal=False, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def a_run(**changes: Any) -> RunView:
    step = StepView(
        id="fetch", skill="http_call", version="1.2.0", round=1, plans=False, status="succeeded",
        code="OK", attempts=3, duration_ms=1_234, cost_microusd=0, message="",
    )  # fmt: skip
    run = RunView(
        id=UUID(int=1), agent_id=UUID(int=2), agent="researcher", goal="find it",
        status="completed", planner="rules", priority=0, trace_id="t", last_seq=9, code="OK",
        message=None, totals=Totals(
            steps=1, attempts=4, cost_microusd=1_250, input_tokens=10, output_tokens=20
        ),
        created_at=AT, started_at=AT, finished_at=AT + timedelta(seconds=2), duration_ms=2_000,
        answer="forty-two", steps=[step], resumes=0,
    )  # fmt: skip
    return run.model_copy(update=changes)


def an_event(kind: str, **fields: Any) -> RunEvent:
    return RunEvent.model_validate({"seq": 1, "at": AT, "kind": kind, **fields})


def test_a_report_has_answer_steps_and_cost() -> None:
    text = printed(render_run(a_run()))
    for part in (
        "completed", str(UUID(int=1)), "find it", "forty-two", "fetch", "http_call@1.2.0", "OK",
        "3", "1.2 s", "$0.00125", "10 tokens in, 20 out", "2.0 s",
    ):  # fmt: skip
        assert part in text
    assert "taken up again" not in text
    assert "taken up again 2×" in printed(render_run(a_run(resumes=2)))


def test_a_failed_run_says_why() -> None:
    text = printed(render_run(a_run(status="failed", code="ERR_X", message="no page", answer=None)))
    assert "why: no page" in text
    assert "Answer" not in text


def test_an_answer_that_is_data_is_shown_as_json() -> None:
    assert '"titles": [' in printed(render_run(a_run(answer={"titles": ["a"]})))


def test_nothing_foreign_drives_the_terminal() -> None:
    run = a_run(answer=EVIL, goal=EVIL, message=EVIL)
    settled = an_event("step_settled", step_id="s", status="failure", code="E", message=EVIL)
    page = RunPage(items=[run], next_cursor=None)
    for shown in (render_run(run), render_runs(page), event_line(settled)):
        text = printed(shown)
        assert "\x1b" not in text
        assert "\x07" not in text
        assert "[bold]not markup[/]" in text


@given(st.text())
def test_no_control_character_is_left(text: str) -> None:
    assert all(c in "\n\t" or c.isprintable() or ord(c) > 0x9F for c in words.plain(text))
    assert "\n" not in words.one_line(text)
    assert len(words.one_line(text, 20)) <= 20


@pytest.mark.parametrize(
    ("event", "parts"),
    [
        (an_event("run_submitted", agent_name="r", planner="rules", goal="g"), ("r", "rules", "g")),
        (an_event("run_started", epoch=3), ("epoch 3",)),
        (an_event("run_resumed", epoch=4), ("new process", "epoch 4")),
        (an_event("step_intended", step_id="pay", skill="bank"), ("pay", "bank", "twice")),
        (
            an_event("step_settled", step_id="s", skill="k", version="1.0.0", status="success",
                     code="OK", attempt=2, duration_ms=30, cost_microusd=5),
            ("✓", "s", "k@1.0.0", "OK", "attempt 2", "30 ms", "$0.000005"),
        ),
        (
            an_event("step_settled", step_id="s", status="failure", code="ERR_HTTP_503",
                     retryable=True, message="busy"),
            ("↺", "ERR_HTTP_503", "busy"),
        ),
        (an_event("step_settled", step_id="s", status="failure", code="ERR_X"), ("✗", "ERR_X")),
        (
            an_event("step_settled", step_id="plan", status="success", code="OK",
                     plan={"steps": [{"id": "a", "skill": "http_call"}]}),
            ("→ a (http_call)",),
        ),
        (an_event("run_finished", status="completed", code="OK", answer="42"), ("completed", "42")),
        (an_event("run_finished", status="failed", code="E", message="why"), ("failed E: why",)),
        (an_event("run_teleported", where="mars"), ("run teleported",)),
    ],
)  # fmt: skip
def test_every_event_is_one_line(event: RunEvent, parts: tuple[str, ...]) -> None:
    text = event_line(event).plain
    assert "\n" not in text
    assert text.startswith("03:04:05.678")
    for part in parts:
        assert part in text


def test_agents() -> None:
    agent = AgentView(
        id=UUID(int=3), name="researcher", profile=AgentProfile(name="researcher", description="d"),
        state="active", epoch=4, host="h", pid=123, created_at=AT, activated_at=AT,
        quarantined_until=None,
    )  # fmt: skip
    text = printed(render_agent(agent))
    for part in ("researcher", "active, process 123", "all", "auto", "4"):
        assert part in text
    assert "more: --cursor next" in printed(
        render_agents(AgentPage(items=[agent], next_cursor="next"))
    )
    assert printed(render_agents(AgentPage(items=[], next_cursor=None))).strip() == "no agents"


def test_status_with_everything_and_with_nothing() -> None:
    nothing = StatusView(
        instance="i", version="0", postgres={"ok": False}, tree=None, resources=None, agents=None,
        runs=None, ray_address=None, dashboard_url=None, problems=["tree: away"],
    )  # fmt: skip
    text = printed(render_status(nothing, "http://x"))
    for part in ("not reachable", "not known", "problem: tree: away"):
        assert part in text
    child = {"id": "agents", "state": "backing_off", "restarts": 3, "unreachable": "silent"}
    whole = nothing.model_copy(
        update={
            "tree": {"id": "root", "state": "running", "pid": 1, "children": [child]},
            "resources": {"CPU": 2.0, "memory": 2.0**31},
            "runs": {"pending": 2},
            "agents": {},
        }
    )
    text = printed(render_status(whole, "http://x"))
    for part in ("2 CPUs, 2.0 GiB memory", "2 pending", "agents  backing_off", "3 restarts"):
        assert part in text


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(None, "–"), (0, "0 ms"), (999, "999 ms"), (61_500, "61.5 s"), (125_000, "2 min 5 s")],
)
def test_durations(milliseconds: int | None, text: str) -> None:
    assert words.duration(milliseconds) == text


@pytest.mark.parametrize(
    ("microusd", "text"), [(0, "$0"), (1, "$0.000001"), (1_500_000, "$1.5"), (30_000_000, "$30")]
)
def test_money(microusd: int, text: str) -> None:
    assert words.money(microusd) == text
