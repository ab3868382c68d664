"""Hanging is told from dying and from being slow; losing touch is not believed unasked."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.cluster.engine import ActorGone, ActorRef, ActorSilent, ActorUnavailable
from aos.cluster.exits import Exit, ExitReason
from aos.supervisors.heartbeat import until_ended
from aos.supervisors.liveness import Patience, Pulse, felt, next_beat

PATIENCE = Patience()
QUICK = Patience(every=timedelta(milliseconds=1), answer_within=timedelta(milliseconds=2), misses=3)
SUSPECT = Exit(ExitReason.SUSPECT, "the connection was lost")


def test_three_misses_in_a_row_are_a_hang_and_one_answer_makes_up_for_two() -> None:
    pulse = Pulse()
    for lag in (None, None, timedelta(0), None, None):
        pulse = felt(pulse, lag, PATIENCE)
        assert not pulse.hangs(PATIENCE)
    assert felt(pulse, None, PATIENCE).hangs(PATIENCE)


def test_a_loop_that_stands_still_counts_like_silence_but_only_past_its_limit() -> None:
    assert felt(Pulse(), PATIENCE.longest_lag, PATIENCE) == Pulse()
    late = felt(Pulse(), PATIENCE.longest_lag + timedelta(seconds=1), PATIENCE)
    assert (late.misses, late.reason) == (1, "its event loop has stood still for 31 s")


@given(st.text(max_size=20), st.integers(0, 10_000), st.integers(0, 5))
def test_beats_are_spread_around_the_interval_and_follow_soon_after_a_miss(
    name: str, count: int, misses: int
) -> None:
    pause = next_beat(name, count, Pulse(misses), PATIENCE)
    if misses:
        assert pause == timedelta(seconds=1)
    else:
        assert PATIENCE.every * 0.9 <= pause <= PATIENCE.every * 1.1


class Process:
    """A process as its watcher sees it: what the watch says, in order, and whether it answers."""

    name = "process"

    def __init__(self, *ends: Exit) -> None:
        self.ends = list(ends)
        self.killed = False
        self.asked = 0
        self.answers: list[AosAnswer] = []
        self._dead = asyncio.Event()

    @property
    def ref(self) -> ActorRef:
        return cast("ActorRef", self)

    async def watch(self) -> Exit:
        if self.ends:
            return self.ends.pop(0)
        await self._dead.wait()
        return Exit(ExitReason.KILLED)

    def kill(self) -> None:
        self.killed = True
        self._dead.set()

    async def ask(self) -> dict[str, Any]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


AosAnswer = dict[str, Any] | Exception


async def test_a_death_is_passed_on_at_once() -> None:
    process = Process(Exit(ExitReason.CRASH, "signal 9"))
    ended = await until_ended(process.ref, process.ask, PATIENCE, lambda _: None)
    assert ended == Exit(ExitReason.CRASH, "signal 9")
    assert not process.killed


async def test_a_process_that_never_answers_is_ended_and_it_is_said_why() -> None:
    process = Process()
    process.answers = [ActorSilent("no answer")]
    ended = await until_ended(process.ref, process.ask, QUICK, lambda _: None)
    assert (ended.reason, ended.detail) == (ExitReason.CRASH, "it hangs: no answer within 0.002 s")
    assert process.killed
    assert process.asked == 3


async def test_what_it_answers_is_passed_on() -> None:
    process, heard = Process(), list[dict[str, Any]]()
    process.answers = [{"lag_s": 0.0, "rss": 1}, {"lag_s": 0.0, "rss": 2}, {"lag_s": 99.0}]
    await until_ended(process.ref, process.ask, QUICK, heard.append)
    assert [beat.get("rss") for beat in heard[:2]] == [1, 2]


async def test_losing_touch_is_no_death_when_the_process_answers() -> None:
    process = Process(SUSPECT, Exit(ExitReason.NORMAL))
    process.answers = [ActorUnavailable("not now"), {"lag_s": 0.0}]
    ended = await until_ended(process.ref, process.ask, PATIENCE, lambda _: None)
    assert ended.reason is ExitReason.NORMAL
    assert not process.killed


async def test_who_stays_out_of_touch_is_ended_and_lost() -> None:
    process = Process(SUSPECT)
    process.answers = [ActorUnavailable("not now")]
    patience = Patience(answer_within=timedelta(milliseconds=50), misses=3)
    ended = await until_ended(process.ref, process.ask, patience, lambda _: None)
    assert ended == Exit(ExitReason.NODE_LOST, SUSPECT.detail)
    assert process.killed


@pytest.mark.parametrize("reason", [ExitReason.CRASH, ExitReason.OUT_OF_MEMORY])
async def test_an_answer_that_it_is_gone_is_left_to_the_watch(reason: ExitReason) -> None:
    process = Process(SUSPECT, Exit(reason))
    process.answers = [ActorGone("gone", reason=reason)]
    ended = await until_ended(process.ref, process.ask, PATIENCE, lambda _: None)
    assert ended.reason is reason
