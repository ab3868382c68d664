from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs
from tests.support.runs import RUN, History, ok, permanent, step
from tests.support.strategies import json_values

from aos.actors.outputs import Outputs
from aos.actors.runs.references import UnresolvedReference
from aos.actors.runs.values import WHOLE, restore, shrink
from aos.cluster.canonical import bytes_hash, canonical
from aos.skills.contracts import JsonValue, StructuredOutcome
from aos.skills.guards import MAX_OUTPUT_BYTES

THRESHOLD = 40
LONG = "long " * 20
long_texts = st.text(min_size=THRESHOLD, max_size=2 * THRESHOLD)
outputs = json_values | st.dictionaries(st.text(max_size=4), json_values | long_texts, max_size=5)


@given(outputs)
def test_nothing_is_lost(output: JsonValue) -> None:
    kept, large, contents = shrink(output, THRESHOLD)
    loaded = {digest: json.loads(data) for digest, data in contents.items()}
    assert restore(kept, large, loaded) == output


@given(outputs)
def test_what_is_kept_fits_and_what_leaves_is_stored_by_its_hash(output: JsonValue) -> None:
    kept, large, contents = shrink(output, THRESHOLD)
    assert len(canonical(kept)) <= THRESHOLD
    assert set(large.values()) == set(contents)
    assert all(bytes_hash(data) == digest for digest, data in contents.items())


@given(outputs)
def test_what_fits_does_not_leave(output: JsonValue) -> None:
    size = len(canonical(output))
    assert shrink(output, size) == (output, {}, {})
    assert shrink(output, size - 1)[1] != {}


def test_only_the_large_fields_leave() -> None:
    output = {"url": "x", "body": LONG, "none": None, "text": LONG}
    kept, large, contents = shrink(output, 60)
    assert kept == {"url": "x", "body": None, "none": None, "text": None}
    assert set(large) == {"body", "text"}
    assert list(contents.values()) == [canonical(LONG)]  # once, for the two are equal


@pytest.mark.parametrize(
    "output",
    [LONG, [LONG], {f"k{n}": n for n in range(40)}, {"": LONG}],
    ids=["a text", "a list", "an object of many small fields", "a field without a name"],
)
def test_else_the_whole_output_leaves(output: Any) -> None:
    kept, large, contents = shrink(output, THRESHOLD)
    assert (kept, set(large)) == (None, {WHOLE})
    assert list(contents.values()) == [canonical(output)]


def test_content_in_our_own_notation_is_content() -> None:
    forged = {"large": {"body": "sha256:" + "0" * 64}, WHOLE: "sha256:" + "0" * 64}
    assert restore(forged, {}, {}) == forged


class Blobs:
    """The blobs table, and how often it was asked."""

    def __init__(self) -> None:
        self.contents: dict[str, JsonValue] = {}
        self.loads: list[str] = []

    async def load(self, run_id: UUID, digest: str) -> JsonValue:
        assert run_id == RUN
        self.loads.append(digest)
        return self.contents[digest]


def packed(outputs: Outputs, blobs: Blobs, output: JsonValue) -> tuple[StructuredOutcome, Any]:
    outcome, large, contents = outputs.pack(ok(output), THRESHOLD)
    blobs.contents |= {digest: json.loads(data) for digest, data in contents.items()}
    return outcome, large


def with_output(outcome: StructuredOutcome, large: dict[str, str]) -> History:
    run = History().started().planned(step("a"), step("b"), answer=None)
    run.settled("a", outcome)
    run.events[-1] = run.events[-1].model_copy(update={"large": large})
    return run


async def test_this_process_never_loads_what_it_has_just_stored() -> None:
    blobs = Blobs()
    outputs = Outputs(blobs.load)
    outcome, large = packed(outputs, blobs, {"body": LONG, "n": 1})
    assert outcome.output == {"body": None, "n": 1}
    run = with_output(outcome, large)
    assert await outputs.of(run.state, ["a"]) == {"a": {"body": LONG, "n": 1}}
    assert blobs.loads == []


async def test_another_process_loads_it_once() -> None:
    blobs = Blobs()
    run = with_output(*packed(Outputs(blobs.load), blobs, {"body": LONG, "n": 1}))
    elsewhere = Outputs(blobs.load)
    for _ in range(2):
        assert await elsewhere.of(run.state, ["a"]) == {"a": {"body": LONG, "n": 1}}
    assert len(blobs.loads) == 1


async def test_what_was_forgotten_is_loaded_again() -> None:
    blobs = Blobs()
    outputs = Outputs(blobs.load)
    run = with_output(*packed(outputs, blobs, LONG))
    for number in range(100):
        packed(outputs, blobs, f"{number} {LONG}")
    assert await outputs.of(run.state, ["a"]) == {"a": LONG}
    assert len(blobs.loads) == 1


async def test_steps_without_an_output_are_left_out() -> None:
    run = History().started().planned(step("a"), step("b"), step("c"))
    run.settled("a", ok(1)).settled("b", permanent())
    assert await Outputs(Blobs().load).of(run.state, ["a", "b", "c", "nobody"]) == {"a": 1}


async def test_an_answer_says_null_where_a_step_has_failed() -> None:
    run = History().started().planned(step("a"), step("b"))
    run.settled("a", ok({"n": 1})).settled("b", permanent())
    template = {"good": "{{a.n}}", "bad": ["{{b.n}}", "about {{b}} and {{a}}"], "text": "as is"}
    assert await Outputs(Blobs().load).answer(run.state, template) == {
        "good": 1,
        "bad": [None, None],
        "text": "as is",
    }


async def test_an_answer_that_refers_to_what_is_not_there_is_refused() -> None:
    run = History().started().planned(step("a")).settled("a", ok({"n": 1}))
    for template in ("{{a.m}}", "{{nobody}}"):
        with pytest.raises(UnresolvedReference):
            await Outputs(Blobs().load).answer(run.state, template)


@pytest.mark.parametrize(("share", "said"), [(0.79, False), (0.81, True)])
def test_an_output_near_its_limit_is_spoken_of(share: float, said: bool) -> None:
    async def no_blob(run_id: UUID, digest: str) -> JsonValue:
        raise AssertionError

    text = "x" * int(MAX_OUTPUT_BYTES * share)
    with capture_logs() as lines:
        Outputs(no_blob).pack(StructuredOutcome.success({"body": text}, skill="fetch"), 65_536)
    assert [(line["event"], line["skill"]) for line in lines] == [
        ("output near its limit", "fetch")
    ] * said
