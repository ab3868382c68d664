"""Chains in a process of their own: what is done, what is left out, what is told when."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest
from tests.support.running import RunningAos

from aos.actors.fused import OVER, TOLD_SOME, Chain, Link, Work
from aos.skills.call import SkillCall
from aos.skills.contracts import JsonObject

PROGRAM = """
import json, sys, time
from aos.actors import fused
from aos.actors.fused import perform_chains
work, box, tell = json.load(sys.stdin)
fused.BOX, fused._TELL = box, tell
generator, items = perform_chains(work), []
try:
    while True:
        items.append(next(generator))
except StopIteration as stop:
    print(json.dumps({"items": items, "spent": stop.value}))
"""


def call(step_id: str, **params: Any) -> SkillCall:
    return SkillCall(
        run_id="r", step_id=step_id, attempt=1, skill="json_transform", version="",
        params={"operation": "extract", **params}, idempotency_key=f"r/{step_id}/1", seed=0,
        tenant="t", trace_id="0" * 32,
    )  # fmt: skip


def link(step_id: str, *follows: str, known: JsonObject | None = None, **params: Any) -> Link:
    made = call(step_id, **params)
    return Link(call=made, follows=follows, known=known or {}, literal=not (follows or known))


def performed(*chains: tuple[Link, ...], box: float = 10, tell: float = 10) -> list[Any]:
    """The items of a process that is given these: kinds, and (chain, link, output or code)."""
    work = Work(chains=tuple(Chain(links=each) for each in chains)).model_dump_json()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps([work, box, tell]), env=os.environ,
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["spent"] is None
    return [(kind, [_short(*each) for each in json.loads(text)]) for kind, text in said["items"]]


def _short(chain: int, index: int, outcome: dict[str, Any]) -> tuple[int, int, Any]:
    ok = outcome["status"] == "success"
    return chain, index, outcome["output"]["result"] if ok else outcome["code"]


def test_a_chain_goes_on_with_what_it_has_found() -> None:
    first = link("a", data={"x": {"y": 7}}, path="x")
    then = link("b", "a", data="{{a.result}}", path="y")
    last = link("c", "b", known={"z": [5]}, data={"p": "{{b.result}}", "q": "{{z.0}}"}, path="q")
    assert performed((first, then, last)) == [(OVER, [(0, 0, {"y": 7}), (0, 1, 7), (0, 2, 5)])]


def test_what_needs_something_that_failed_is_left_out_and_other_chains_go_on() -> None:
    bad = link("a", data={"x": 1}, path="nothing")
    after = link("b", "a", data="{{a.result}}", path="y")
    other = link("a", data={"x": 1}, path="x")
    assert performed((bad, after), (other,)) == [
        (OVER, [(0, 0, "ERR_TRANSFORM_FAILED"), (1, 0, 1)])
    ]


def test_a_reference_that_leads_nowhere_is_the_steps_failure() -> None:
    first = link("a", data={"x": 1}, path="x")
    lost = link("b", "a", data="{{a.nothing}}", path="y")
    assert performed((first, lost)) == [(OVER, [(0, 0, 1), (0, 1, "ERR_INVALID_REFERENCE")])]


def test_when_time_is_up_something_was_done_and_the_rest_is_left() -> None:
    chain = tuple(link(step_id, data={"x": 1}, path="x") for step_id in "abc")
    assert performed(chain, chain, box=0) == [(OVER, [(0, 0, 1)])]


def test_a_call_that_takes_its_time_lets_others_be_told() -> None:
    chain = tuple(link(step_id, data={"x": 1}, path="x") for step_id in "ab")
    told = performed(chain, tell=0)
    assert [kind for kind, _ in told[:-1]] == [TOLD_SOME] * (len(told) - 1)
    assert [each for _, items in told for each in items] == [(0, 0, 1), (0, 1, 1)]


def submitted(aos: RunningAos, agent: str, *steps: dict[str, Any]) -> Any:
    goal = json.dumps({"steps": steps, "answer": "done"})
    return aos.client.runs.create(agent, goal).id


def step(step_id: str, skill: str, *needs: str, **params: Any) -> dict[str, Any]:
    made = {"id": step_id, "skill": skill, "params": params, "on_error": "continue"}
    return {**made, "depends_on": list(needs)}


def hoard(step_id: str, *needs: str, how: str = "pass", megabytes: int = 1) -> dict[str, Any]:
    return step(step_id, "hoard", *needs, how=how, megabytes=megabytes)


@pytest.mark.ray
def test_a_shared_process_that_dies_is_told_of_the_step_that_killed_it(
    aos: RunningAos, literal_agent: str
) -> None:
    quick = submitted(aos, literal_agent, hoard("x"), hoard("y", "x"), hoard("z", "y"))
    assert aos.client.runs.wait(quick, timeout=60).status == "completed"
    run = submitted(
        aos,
        literal_agent,
        hoard("a"),
        hoard("b", "a"),
        hoard("c", "b", how="abort", megabytes=10_000),
        hoard("d", "b"),
    )
    ended = aos.client.runs.wait(run, timeout=60)
    steps = {each.id: (each.status, each.code, each.attempts) for each in ended.steps[1:]}
    assert steps == {
        "a": ("succeeded", "OK", 1),
        "b": ("succeeded", "OK", 1),
        "c": ("failed", "ERR_WORKER_DIED", 1),
        "d": ("succeeded", "OK", 1),
    }


@pytest.mark.ray
def test_a_step_that_is_slow_all_at_once_is_cancelled_like_any_other(
    aos: RunningAos, literal_agent: str
) -> None:
    front = step("a", "http_call", url=aos.site.url("/"))
    for _ in range(5):  # until it is known to be quick, however busy the machine is
        run = submitted(aos, literal_agent, front)
        assert aos.client.runs.wait(run, timeout=60).status == "completed"
    path = f"/slow/{literal_agent}"
    mark = len(aos.site.arrivals)
    slow = step("b", "http_call", "a", url=aos.site.url(path))
    run = submitted(aos, literal_agent, front, slow, step("c", "http_call", "b", url="{{b.url}}"))
    aos.site.await_arrival(lambda arrival: arrival.path == path, after=mark)
    aos.client.runs.cancel(run)
    ended = aos.client.runs.wait(run, timeout=60)
    assert (ended.status, ended.steps[1].status, ended.steps[3].status) == (
        "cancelled",
        "succeeded",
        "skipped",
    )
    assert ended.steps[2].code in ("ERR_CANCELLED", "OK"), "it may have been answered just before"
