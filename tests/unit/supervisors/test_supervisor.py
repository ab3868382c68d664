"""The shell around the decisions: starts, ends, requests, and time."""

from __future__ import annotations

import asyncio

import pytest
from tests.support.nursery import Begin, Nursery
from tests.support.supervision import DYNAMIC, TRANSIENT, child, within

from aos.cluster.exits import Exit, ExitReason
from aos.cluster.postgres import DatabaseUnavailable
from aos.supervisors import supervisor as shell
from aos.supervisors.children import NoCapacity, NotNeeded
from aos.supervisors.spec import ChildType
from aos.supervisors.state import DeleteChild, RestartChild, StartChild, Wanted
from aos.supervisors.supervisor import RequestRefused

# starting


async def test_static_children_start_in_order_each_when_the_one_before_runs(begin: Begin) -> None:
    nursery = Nursery(child("c"), child("a"), child("b"))
    nursery.gate("c", "a")
    await begin(nursery)
    assert nursery.log == ["start c"]
    await nursery.open("c")
    assert nursery.log == ["start c", "start a"]
    assert not nursery.supervisor.booted.is_set()
    await nursery.open("a")
    assert nursery.log == ["start c", "start a", "start b"]
    assert nursery.told == [(name, "started", "") for name in "cab"]
    assert nursery.supervisor.booted.is_set()


async def test_it_has_booted_when_it_is_known_of_every_child_how_its_start_ended(
    begin: Begin,
) -> None:
    nursery = Nursery(child("a"), child("b"))
    nursery.failures["a"] = [OSError("no socket")] * 2
    nursery.gate("b")
    await begin(nursery)
    assert not nursery.supervisor.booted.is_set()
    await nursery.open("b")
    assert nursery.supervisor.booted.is_set()
    assert nursery.phases == {"a": "waiting", "b": "running"}


async def test_what_a_start_failed_with_is_recorded(begin: Begin) -> None:
    nursery = Nursery(child("a"))
    nursery.failures["a"] = [OSError("no socket"), DatabaseUnavailable("away", ambiguous=False)]
    await begin(nursery)
    ended = [report for _, report in nursery.reports if report.kind == "ended"]
    assert [(each.reason, each.detail) for each in ended] == [
        ("start_error", "OSError: no socket"),
        ("start_error", "AOS-5001: away"),
    ]


async def test_a_start_that_hangs_keeps_nobody_from_being_served(begin: Begin) -> None:
    nursery = await begin(Nursery(child("a"), strategy=DYNAMIC))
    nursery.gate("stuck")
    await nursery.supervisor.request(StartChild(child("stuck")))
    await nursery.supervisor.request(StartChild(child("b")))
    with pytest.raises(RequestRefused, match="already_started"):
        await nursery.supervisor.request(StartChild(child("stuck")))
    await nursery.kill("a")
    assert nursery.phases == {"a": "running", "stuck": "starting", "b": "running"}
    about = await nursery.supervisor.describe()
    assert [each["state"] for each in about] == ["running", "starting", "running"]


async def test_a_start_takes_a_minute_at_most(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shell.START_SECONDS == 60
    monkeypatch.setattr(shell, "START_SECONDS", 0.0)
    nursery = Nursery(child("a"), intensity=within(0, 1))
    nursery.gate("a")
    await begin(nursery)
    assert nursery.log == ["start a", "cancelled a"]
    assert nursery.reports[0][1].reason == "start_error"
    assert nursery.reports[0][1].detail == "not started within 0 s"


async def test_a_supervisor_may_take_longer_to_start(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "START_SECONDS", 0.0)
    nursery = Nursery(child("a", type=ChildType.SUPERVISOR))
    nursery.gate("a")
    await begin(nursery)
    assert nursery.phases == {"a": "starting"}


async def test_what_is_not_needed_is_not_started_and_no_failure(begin: Begin) -> None:
    nursery = Nursery(child("a"), child("b"))
    nursery.failures["a"] = [NotNeeded()]
    await begin(nursery)
    assert nursery.phases == {"a": "stopped", "b": "running"}
    assert nursery.told == [("a", "ignored", ""), ("b", "started", "")]


async def test_a_child_without_a_machine_waits_for_one_and_says_so(begin: Begin) -> None:
    nursery = Nursery(child("a"), intensity=within(0, 1))
    nursery.failures["a"] = [NoCapacity("2 GPUs")] * 3
    await begin(nursery)
    for _ in range(2):
        assert nursery.phases == {"a": "waiting"}
        (about,) = await nursery.supervisor.describe()
        assert about["waits_for"] == "2 GPUs"
        await nursery.later(5)
    assert nursery.told == [("a", "pending", "no_capacity")]
    await nursery.later(5)
    assert nursery.phases == {"a": "running"}
    assert "waits_for" not in (await nursery.supervisor.describe())[0]


# ending


async def test_a_child_that_ends_is_started_again_and_the_others_are_let_alone(
    begin: Begin,
) -> None:
    nursery = await begin(Nursery(child("a"), child("b")))
    before = dict(nursery.supervisor.running)
    await nursery.kill("a")
    assert nursery.log == ["start a", "start b", "start a"]
    assert nursery.supervisor.running["a"] is not before["a"]
    assert nursery.supervisor.running["b"] is before["b"]


async def test_what_happens_is_recorded_in_order(begin: Begin) -> None:
    nursery = await begin(Nursery(child("a")))
    await nursery.kill("a", ExitReason.OUT_OF_MEMORY)
    assert nursery.told == [
        ("a", "started", ""),
        ("a", "ended", "out_of_memory"),
        ("a", "restarting", "out_of_memory"),
        ("a", "started", ""),
    ]
    assert {supervisor for supervisor, _ in nursery.reports} == {"tree"}


async def test_progress_makes_the_next_restart_immediate(begin: Begin) -> None:
    nursery = await begin(Nursery(child("a"), intensity=None))
    nursery.progress["a"] = True
    for _ in range(5):
        await nursery.kill("a")
        assert nursery.phases == {"a": "running"}


@pytest.mark.parametrize("where", ["progressed", "watch"])
async def test_a_child_whose_end_cannot_be_judged_is_not_forgotten(
    begin: Begin, where: str
) -> None:
    """Else it counts as running for ever, and nobody starts it again."""
    nursery = await begin(Nursery(child("a")))
    if where == "progressed":
        nursery.progress["a"] = RuntimeError("a query failed")
        await nursery.kill("a")
    else:
        nursery.children[0].exit.set_exception(RuntimeError("a bug in the seam"))
        await nursery.settled()
        assert ("a", "ended", "crash") in nursery.told
    assert nursery.log == ["start a", "start a"]


async def test_a_watch_that_somebody_else_cancels_is_a_crash_and_no_stop(begin: Begin) -> None:
    """A service's own task may be cancelled from within: as a stop it would be as intended."""
    nursery = await begin(Nursery(child("a", TRANSIENT)))
    nursery.children[0].exit.cancel()
    await nursery.settled()
    assert nursery.told[1:3] == [("a", "ended", "crash"), ("a", "restarting", "crash")]
    assert nursery.phases == {"a": "running"}


async def test_a_start_that_somebody_else_cancels_has_failed(begin: Begin) -> None:
    nursery = Nursery(child("a", TRANSIENT))
    nursery.failures["a"] = [asyncio.CancelledError()]
    await begin(nursery)
    assert nursery.log == ["start a", "start a"]
    assert nursery.phases == {"a": "running"}


# requests


async def test_a_request_is_granted_before_it_is_done(begin: Begin) -> None:
    nursery = await begin(Nursery())
    nursery.gate("a")
    await nursery.supervisor.request(StartChild(child("a")))
    assert nursery.phases == {"a": "starting"}
    assert not nursery.supervisor.is_up("a")
    await nursery.open("a")
    assert nursery.supervisor.is_up("a")
    assert not nursery.supervisor.is_up("nobody")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (StartChild(child("a")), "already_started"),
        (RestartChild("a"), "running"),
        (DeleteChild("nobody"), "not_found"),
        (StartChild(child("b")), "max_children"),
    ],
)
async def test_a_refusal_says_why(begin: Begin, asked: StartChild, why: str) -> None:
    nursery = await begin(Nursery(child("a"), max_children=1))
    with pytest.raises(RequestRefused, match=why) as refused:
        await nursery.supervisor.request(asked)
    assert refused.value.context == {"why": why}
    assert nursery.phases == {"a": "running"}


async def test_requests_at_once_are_each_answered(begin: Begin) -> None:
    nursery = await begin(Nursery())
    asked = (nursery.supervisor.request(StartChild(child(name))) for name in "abab")
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert [type(answer) for answer in answers] == [type(None)] * 2 + [RequestRefused] * 2
    await nursery.settled()
    assert nursery.phases == {"a": "running", "b": "running"}


async def test_who_does_not_wait_for_an_answer_is_served_all_the_same(begin: Begin) -> None:
    nursery = await begin(Nursery())
    asking = asyncio.create_task(nursery.supervisor.request(Wanted(child("a"))))
    await asyncio.sleep(0)
    asking.cancel()
    await nursery.settled()
    assert nursery.phases == {"a": "running"}


# the report


async def test_the_report_shows_children_in_start_order_with_their_own_words(begin: Begin) -> None:
    nursery = await begin(Nursery(child("b"), child("a", TRANSIENT)))
    await nursery.kill("b")
    common = {"state": "running", "type": "worker", "since": nursery.clock.now().isoformat()}
    assert await nursery.supervisor.describe() == [
        {"id": "b", "restart": "permanent", "restarts": 1, "pid": 3, **common},
        {"id": "a", "restart": "transient", "restarts": 0, "pid": 2, **common},
    ]


async def test_run_ends_with_what_the_supervisor_ends_with(begin: Begin) -> None:
    nursery = await begin(Nursery(child("a"), child("b"), intensity=within(1, 5)))
    await nursery.kill("b")
    assert not nursery.task.done()
    await nursery.kill("a")
    why = "reached_max_restart_intensity: more than 1 in 5 s"
    assert await nursery.task == Exit(ExitReason.SHUTDOWN, why)
    assert nursery.log[-1] == "stop b"
    assert ("a", "gave_up", why) in nursery.told
