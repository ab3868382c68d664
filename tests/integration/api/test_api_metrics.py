"""Counters are exact: over restarts, over several fronts, over commits that come late."""

from __future__ import annotations

import asyncio
from uuid import UUID

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.support.api_front import Front, Journal, Submit, usage

from aos.actors.runs.events import RunStatus
from aos.api.metrics import Counted, Scrape
from aos.cluster.postgres import Database

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples(text: bytes) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0)


async def runs_counted(scrape: Scrape) -> float:
    found = samples(await scrape.text())
    return sum(number for (name, _), number in found.items() if name == "aos_runs_total")


async def whole_run(journal: Journal, status: RunStatus = RunStatus.COMPLETED) -> None:
    await journal.take_over()
    await journal.started()
    await journal.append(journal.plan("fetch"), journal.settle("fetch"))
    await journal.finished(status=status)


async def test_everything_that_a_journal_says_is_counted_once(
    http: httpx.AsyncClient, submit: Submit
) -> None:
    journal = await submit()
    await journal.started()
    await journal.planned("fetch", "think")
    await journal.settled("fetch", code="ERR_HTTP_503", duration_ms=30)
    await journal.resumed()
    await journal.settled("fetch", attempt=2, duration_ms=300)
    await journal.settled(
        "think", skill="llm_invoke", usage=(usage(),), cost_microusd=75, duration_ms=2_000
    )
    queued = await submit()
    await journal.take_over()
    await journal.finished()
    for _ in range(2):  # scraping again counts nothing again
        found = samples((await http.get("/metrics")).content)
    assert value(found, "aos_runs_total", status="completed", planner="rules") == 1
    assert value(found, "aos_run_duration_seconds_count", planner="rules") == 1
    assert value(found, "aos_run_resumes_total") == 1
    assert value(found, "aos_skill_attempts_total", skill="http_call", code="ERR_HTTP_503") == 1
    assert value(found, "aos_skill_attempts_total", skill="http_call", code="OK") == 1
    seconds = {"skill": "http_call"}
    assert value(found, "aos_skill_duration_seconds_sum", **seconds) == pytest.approx(0.33)
    assert value(found, "aos_skill_duration_seconds_bucket", le="0.05", **seconds) == 1
    assert value(found, "aos_skill_duration_seconds_bucket", le="+Inf", **seconds) == 2
    assert value(found, "aos_plans_generated_total", planner="rules", status="success") == 1
    assert value(found, "aos_plan_steps_total", planner="rules") == 2
    model = {"provider": "anthropic", "model": "claude-x"}
    tokens = {
        kind: value(found, "aos_llm_tokens_total", token_type=kind, **model)
        for kind in ("input", "cached", "output")
    }
    assert tokens == {"input": 60, "cached": 40, "output": 20}
    assert value(found, "aos_llm_cost_microusd_total", **model) == 75
    assert value(found, "aos_llm_invocations_total", status="success", **model) == 1
    assert (value(found, "aos_runs_queued"), value(found, "aos_runs_active")) == (1, 0)
    await queued.take_over()
    await queued.started()
    found = samples((await http.get("/metrics")).content)
    assert (value(found, "aos_runs_queued"), value(found, "aos_runs_active")) == (0, 1)


async def test_counters_survive_their_process(database: Database, submit: Submit) -> None:
    await whole_run(await submit())
    assert await runs_counted(Scrape(database)) == 1
    await whole_run(await submit(), RunStatus.FAILED)
    assert await runs_counted(Scrape(database)) == 2
    assert await runs_counted(Scrape(database)) == 2


async def test_fronts_that_scrape_at_once_never_count_twice(
    database: Database, database_url: str, submit: Submit
) -> None:
    async with Database(database_url, max_connections=2) as another:
        scrapes = [Scrape(database, page=3), Scrape(another, page=3)]
        for _ in range(8):
            await whole_run(await submit())
            await asyncio.gather(*(scrape.text() for scrape in scrapes for _ in range(2)))
        found = samples(await scrapes[1].text())
    assert value(found, "aos_runs_total", status="completed", planner="rules") == 8
    assert value(found, "aos_skill_attempts_total", skill="http_call", code="OK") == 8
    assert value(found, "aos_plan_steps_total", planner="rules") == 8


async def test_a_front_that_dies_between_counting_and_saving_has_counted_nothing(
    database: Database, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    await whole_run(await submit())

    async def die(*_: object) -> bool:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(Scrape, "_save", die)
        with pytest.raises(RuntimeError):
            await Scrape(database).text()
    assert await runs_counted(Scrape(database)) == 1


async def test_what_was_counted_from_an_old_cursor_is_not_saved_over_newer_counts(
    database: Database, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, fast = Scrape(database), Scrape(database)
    await whole_run(await submit())
    save, outcomes = Scrape._save, list[bool]()

    async def overtaken(self: Scrape, known: Counted, further: Counted) -> bool:
        if self is slow and not outcomes:
            await whole_run(await submit())
            await fast.text()
        outcomes.append(await save(self, known, further))
        return outcomes[-1]

    monkeypatch.setattr(Scrape, "_save", overtaken)
    assert await runs_counted(slow) == 2
    assert outcomes[:2] == [True, False]


async def test_a_commit_that_comes_late_is_counted_and_so_is_what_came_before_it(
    database: Database, submit: Submit, database_url: str
) -> None:
    journal = await submit()
    scrape = Scrape(database)
    async with Database(database_url) as slow, slow.transaction() as transaction:
        # An older transaction that is still open when a younger one has committed.
        await transaction.execute("SELECT pg_current_xact_id()")
        await whole_run(journal)
        await scrape.text()
        await transaction.execute(
            "INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body)"
            """ VALUES ($1, 99, 'default', 1, 'run_resumed', 1, now(),"""
            """ '{"at": "2026-01-01T00:00:00Z", "epoch": 1}')""",
            journal.run_id,
        )
    found = samples(await scrape.text())
    assert value(found, "aos_run_resumes_total") == 1
    assert value(found, "aos_runs_total", status="completed", planner="rules") == 1


async def test_a_page_never_cuts_a_transaction(database: Database, submit: Submit) -> None:
    journal = await submit()
    await journal.started()
    await journal.append(
        journal.plan("a", "b", "c"), *(journal.settle(step) for step in ("a", "b", "c"))
    )
    await journal.finished()
    found = samples(await Scrape(database, page=1).text())
    assert value(found, "aos_skill_attempts_total", skill="http_call", code="OK") == 3
    assert value(found, "aos_runs_total", status="completed", planner="rules") == 1


async def test_restarts_are_counted_before_and_after_they_are_settled(
    database: Database, front: Front
) -> None:
    async def happened(age: str, supervisor: str, child: str, kind: str) -> None:
        await database.execute(
            "INSERT INTO supervision_events (recorded_at, supervisor, child, kind)"
            " VALUES (now() - $1::text::interval, $2, $3, $4)",
            age, supervisor, child, kind,
        )  # fmt: skip

    for age in ("2 hours", "1 hour", "1 minute"):
        await happened(age, "agents", str(UUID(int=1)), "ended")
        await happened(age, "agents", str(UUID(int=1)), "restarting")
        await happened(age, "root", "front", "restarting")
        await happened(age, "hosts", "hosts:e732b68f982e", "restarting")
        await happened(age, "team:1", "mailbox", "restarting")
    for _ in range(2):
        found = samples(await Scrape(database).text())
        assert value(found, "aos_restarts_total", kind="agent") == 3
        for kind in ("front", "hosts", "team"):
            assert value(found, "aos_restarts_total", kind=kind) == 3
    async with database.transaction() as changing:  # as if a day had passed
        await changing.execute("ALTER TABLE supervision_events DISABLE TRIGGER USER")
        await changing.execute(
            "UPDATE supervision_events SET recorded_at = recorded_at - interval '1 day'"
        )
        await changing.execute("ALTER TABLE supervision_events ENABLE TRIGGER USER")
    await happened("0 seconds", "agents", str(UUID(int=2)), "restarting")
    found = samples(await Scrape(database).text())
    assert value(found, "aos_restarts_total", kind="agent") == 4


async def test_a_row_that_nobody_understands_does_not_end_the_counting(
    database: Database, submit: Submit
) -> None:
    journal = await submit()
    await database.execute(
        "INSERT INTO journal (run_id, seq, tenant_id, epoch, kind, version, at, body)"
        " VALUES ($1, 99, 'default', 1, 'run_teleported', 1, now(), '{}')",
        journal.run_id,
    )
    await whole_run(await submit())
    assert await runs_counted(Scrape(database)) == 1
