"""Streams: read right however they are cut, and taken up again where they broke."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aos.api.client.calls import PATIENCE
from aos.api.client.errors import ApiError, NotRunning
from aos.api.client.models import RunSummary
from aos.api.client.sse import Decoder, Message
from aos.api.client.stream import Following

STREAM = (
    ": ping\n\n"
    'event: step_settled\ndata: {"a": "x\u2028y\x85z"}\nid: 7\n\n'
    "data: one\r\ndata: two\r\n\r\n"
    "event: lonely\n\n"
    "data:without space\rid:9\r\r"
    "data: unfinished"
).encode()
MESSAGES = [
    Message("step_settled", '{"a": "x\u2028y\x85z"}', "7"),
    Message("message", "one\ntwo", "7"),
    Message("lonely", "without space", "9"),
]


def read(chunks: list[bytes]) -> list[Message]:
    decoder = Decoder()
    return [message for chunk in chunks for message in decoder.feed(chunk)]


def test_events_as_the_specification_reads_them() -> None:
    # The last CR may be half of a CR LF, so the message before it is complete with the next byte.
    assert read([STREAM]) == MESSAGES


@given(st.lists(st.integers(min_value=0, max_value=len(STREAM)), max_size=12))
def test_it_does_not_matter_how_the_bytes_are_cut(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(places)]
    assert read(chunks) == MESSAGES


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def event(seq: int, kind: str = "step_settled") -> bytes:
    data = json.dumps({"seq": seq, "at": "2026-01-01T00:00:00Z", "kind": kind, "code": "OK"})
    return f"id: {seq}\nevent: {kind}\ndata: {data}\n\n".encode()


def test_an_event_is_given_once_and_the_next_attempt_begins_after_it() -> None:
    following = Following("run", 2)
    assert following.headers["Last-Event-ID"] == "2"
    chunk = event(2) + event(3) + event(3) + event(4, "run_finished")
    seen = list(following.events(Decoder(), chunk))
    assert [each.seq for each in seen] == [3, 4]
    assert seen[0].fields == {"code": "OK"}
    assert following.headers["Last-Event-ID"] == "4"
    assert following.finished


def test_pauses_grow_and_being_connected_shortens_them_again() -> None:
    time = Time()
    following = Following("run", 0, now=time)
    pauses = [following.lost(NotRunning()) for _ in range(8)]
    assert pauses[:3] == [0.05, 0.1, 0.2]
    assert max(pauses) == 2.0
    following.connected()
    assert following.lost(NotRunning()) == 0.05


def test_patience_ends() -> None:
    time = Time()
    following = Following("run", 0, now=time)
    time.now = PATIENCE
    following.lost(NotRunning())
    time.now += 1
    with pytest.raises(NotRunning):
        following.lost(NotRunning())


def test_a_refusal_for_good_is_raised_at_once_and_a_passing_one_is_not() -> None:
    following = Following("run", 0)
    assert following.lost(ApiError(503, {"retryable": True})) > 0
    with pytest.raises(ApiError):
        following.lost(ApiError(404, {}))


def test_a_deadline_is_kept() -> None:
    time = Time()
    following = Following("run", 0, deadline=10, now=time)
    assert following.timeout.read == 5
    time.now = 8
    assert following.timeout.read == 2
    time.now = 10
    with pytest.raises(TimeoutError):
        following.lost(NotRunning())
    with pytest.raises(TimeoutError):
        list(following.events(Decoder(), b": ping\n\n"))


def test_a_stream_has_told_everything_when_the_run_is_over_and_its_last_event_was_seen() -> None:
    def run(status: str, last_seq: int) -> RunSummary:
        return RunSummary.model_construct(status=status, last_seq=last_seq)

    following = Following("run", 5)
    assert following.complete(run("completed", 5))
    assert not following.complete(run("completed", 6))
    assert not following.complete(run("running", 5))
