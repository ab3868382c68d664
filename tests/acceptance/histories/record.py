"""Records the histories beside this file: `python tests/acceptance/histories/record.py`.

Those that are not there yet, or those that are named. Each is driven by the real driver over the
real machine; only calls and time are scripted. What is recorded must replay for ever: record new
ones beside the old, and never again what is there.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.support.catalogue import descriptor
from tests.support.driving import World, planning
from tests.support.runs import RUN, ok, permanent, transient

from aos.actors.replay.behaviour import behaviour, signature
from aos.actors.replay.signing import Signer
from aos.actors.replay.trace import write_trace
from aos.actors.runs.chain import chained, genesis
from aos.actors.runs.events import Derivation, Derived, StepSettled
from aos.actors.runs.submission import CODE_VERSION
from aos.actors.runs.waiting import WAITS
from aos.cluster.canonical import bytes_hash
from aos.cluster.telemetry import configure
from aos.skills.contracts import Effects, EffectState, InDoubtPolicy, SideEffect, Usage

HERE = Path(__file__).parent
INDEX = HERE / "behaviour.json"
PAY = {"id": "pay", "skill": "pay"}

Scenario = Callable[[], Awaitable[World]]
SCENARIOS: dict[str, Scenario] = {}


def recorded(scenario: Scenario) -> Scenario:
    SCENARIOS[scenario.__name__] = scenario
    return scenario


def world(*steps: dict[str, Any], **fields: Any) -> World:
    may = {"permissions": ("money:spend",), "code_version": CODE_VERSION}
    made = World(*steps, **(may | fields))
    made.catalogue |= WAITS
    made.catalogue["reserve"] = descriptor(
        "reserve", Effects.UNSAFE, reconciles=True, compensates=True
    )
    return made


@recorded
async def successful() -> World:
    """Two rounds of planning, all classes of effects, a large value, costs."""
    first = planning({"id": "look", "skill": "look"}, answer=None, memo={"asked": 1})
    second = planning(
        {"id": "think", "skill": "think", "params": {"page": "{{look.body}}"}},
        {"id": "put", "skill": "put", "params": {"text": "{{think.0}}"}},
        {**PAY, "params": {"amount": 3}, "depends_on": ["put"]},
        answer={"page": "{{look.body}}", "paid": "{{pay}}"},
    )
    made = world(plan_outcome=ok(first, cost_microusd=120))
    used = (Usage(provider="scripted", model="m", input_tokens=7, output_tokens=2),)
    made.replies |= {
        "plan-2": [ok(second, cost_microusd=80, usage=used)],
        "look": [ok({"body": "tide " * 400, "status": 200})],
        "think": [ok(["short"])],
        "put": [ok(side_effects=(SideEffect(type="file", target="report.txt"),))],
        "pay": [ok({"receipt": 7}, effect=EffectState.DONE)],
    }
    await made.drive()
    return made


@recorded
async def failed() -> World:
    """A step fails for good after its attempts; another one was allowed to fail."""
    made = world(
        {"id": "may", "skill": "think", "on_error": "continue"},
        {"id": "must", "skill": "look", "depends_on": []},
    )
    made.replies |= {"may": [permanent()], "must": [transient()] * 3}
    made.begin()
    for _ in range(6):
        await made.settled()
        await made.later(1)
    return made


@recorded
async def partial() -> World:
    """An answer without one of its parts."""
    made = world(
        {"id": "a", "skill": "think"},
        {"id": "b", "skill": "look", "on_error": "continue"},
        {"id": "c", "skill": "look", "params": {"x": "{{b}}"}, "on_error": "continue"},
        answer={"a": "{{a}}", "c": "{{c}}"},
    )
    made.replies |= {"a": [ok(1)], "b": [permanent()]}
    await made.drive()
    return made


@recorded
async def crashed_and_resumed() -> World:
    """The process dies over a read and over a write that repeats harmlessly; both come again."""
    made = world({"id": "look", "skill": "look"}, {"id": "put", "skill": "put"})
    made.replies["put"] = []
    made.begin()
    await made.settled()
    await made.crash()
    made.replies["look"] = [ok(1)]
    made.begin()
    await made.settled()
    await made.later(2)
    await made.crash()
    made.replies["put"] = [ok(2)]
    made.begin()
    await made.settled()
    return made


@recorded
async def cancelled() -> World:
    """Cancelled while an effect was under way that may have happened."""
    made = world({"id": "look", "skill": "look"}, PAY)
    made.replies["look"] = [ok(1)]
    made.begin()
    await made.settled()
    await made.later(1)
    made.say("cancel", reason="wrong amount")
    await made.settled()
    await made.later(1)
    return made


@recorded
async def in_doubt_quarantined() -> World:
    """The process dies over an effect that nobody can tell of."""
    made = world(PAY)
    made.begin()
    await made.settled()
    await made.crash()
    made.begin()
    await made.settled()
    return made


@recorded
async def in_doubt_decided() -> World:
    """The same, and a person knows: it happened."""
    made = world(PAY, {"id": "look", "skill": "look", "depends_on": ["pay"]},
                 on_in_doubt=InDoubtPolicy.ASK)  # fmt: skip
    made.begin()
    await made.settled()
    await made.crash()
    made.begin()
    await made.settled()
    await made.later(3_600)
    made.say("verdict", step_id="pay", verdict="happened", output={"receipt": 9}, reason="seen")
    made.replies["look"] = [ok()]
    made.begin()
    await made.settled()
    return made


@recorded
async def in_doubt_reconciled() -> World:
    """The skill's own reconciler cannot tell at first, then it can: once more, then undone."""
    made = world({"id": "r", "skill": "reserve"}, on_in_doubt=InDoubtPolicy.COMPENSATE)
    lost = transient(effect=EffectState.UNKNOWN)
    unclear, absent = ok({"verdict": "unclear"}), ok({"verdict": "did_not_happen"})
    made.replies["r"] = [lost, unclear, absent, lost, *[unclear] * 3, ok()]
    made.begin()
    for _ in range(12):
        await made.later(60)
        if made.state.finished is None and made.state.parked is not None:
            made.begin()
            await made.settled()
    return made


@recorded
async def timers_and_signals() -> World:
    """A timer, a signal that comes early, one in time, one that never comes, a decision."""
    made = world(
        {"id": "day", "skill": "wait.timer", "params": {"seconds": 86_400}},
        {"id": "early", "skill": "wait.signal", "params": {"name": "early"},
         "depends_on": ["day"]},
        {"id": "sig", "skill": "wait.signal", "params": {"name": "go", "timeout_s": 90_000}},
        {"id": "never", "skill": "wait.signal", "params": {"name": "no", "timeout_s": 60},
         "on_error": "continue"},
        {"id": "ask", "skill": "wait.decision", "params": {"question": "Go on?"}},
        answer=["{{sig}}", "{{early}}", "{{ask}}"],
    )  # fmt: skip
    made.begin()
    await made.settled()
    made.say("signal", name="early", payload={"n": 1})
    made.begin()
    await made.settled()
    await made.later(61)
    made.begin()
    await made.settled()
    await made.later(3_600)
    made.say("signal", name="go", payload="now")
    made.say("decide", step_id="ask", approved=True, value="yes", comment="fine")
    made.begin()
    await made.settled()
    await made.later(90_000)
    made.begin()
    await made.settled()
    return made


@recorded
async def paused_and_continued() -> World:
    """Paused while a call is under way, for an hour, with a retry in between."""
    made = world({"id": "a", "skill": "look"}, {"id": "b", "skill": "look", "depends_on": ["a"]})
    made.begin()
    await made.settled()
    made.say("pause", reason="lunch")
    await made.settled()
    await made.answer("a", transient())
    await made.later(3_600)
    made.say("continue")
    made.replies |= {"a": [ok()], "b": [ok()]}
    made.begin()
    await made.settled()
    return made


@recorded
async def children() -> World:
    """Two child runs: one answers, one fails and may."""
    made = world(
        {"id": "one", "skill": "run.child", "params": {"goal": "half of it"}},
        {"id": "two", "skill": "run.child", "params": {"goal": "the rest"},
         "on_error": "continue"},
        answer={"one": "{{one}}"},
    )  # fmt: skip
    made.begin()
    await made.settled()
    await made.later(30)
    for step_id, status, code in (("one", "completed", "OK"), ("two", "failed", "ERR_TIMEOUT")):
        wait = made.state.steps[step_id].wait
        assert wait is not None
        assert wait.child_run_id is not None
        made.family.answers[wait.child_run_id] = {"half": step_id}
        made.say("child", step_id=step_id, child_run_id=wait.child_run_id, status=status, code=code)
    made.begin()
    await made.settled()
    return made


@recorded
async def repaired() -> World:
    """An operator skips a wait that would never end."""
    made = world({"id": "sig", "skill": "wait.signal", "params": {"name": "never"}})
    made.begin()
    await made.settled()
    made.say("repair", step_id="sig", action="set_result", output={"by": "hand"}, reason="lost")
    made.begin()
    await made.settled()
    return made


@recorded
async def stopped_by_emergency() -> World:
    """An emergency stop holds a write up, and is lifted."""
    made = world({"id": "put", "skill": "put"})
    made.halted = "fire"
    made.replies["put"] = [ok()]
    made.begin()
    await made.settled()
    await made.later(31)
    made.halted = None
    made.begin()
    await made.settled()
    return made


@recorded
async def poisoned() -> World:
    """Three processes in a row die over the run."""
    made = world({"id": "look", "skill": "look"})
    for _ in range(4):
        made.begin()
        await made.settled()
        await made.later(1)
        if made.state.finished is None:
            await made.crash()
    return made


@recorded
async def timed_out() -> World:
    """The run's time is over while a call is under way."""
    made = world({"id": "look", "skill": "look"}, run_timeout_s=30.0)
    made.begin()
    await made.settled()
    await made.later(31)
    return made


@recorded
async def forked() -> World:
    """Made from another run: its first events are copies of that run's."""
    source = world({"id": "a", "skill": "think"}, {"id": "b", "skill": "look"}, answer="{{b}}")
    source.replies |= {"a": [ok(1)], "b": [permanent()]}
    await source.drive()
    how = Derived(
        how=Derivation.FORK, run_id="01900000-0000-7000-8000-00000000beef", seq=3, step_id="b",
        by="ann", reason="another input",
    )  # fmt: skip
    made = world(derived=how, overrides={"b": {"x": 2}})
    kept = [
        each
        for each in source.events
        if isinstance(each, StepSettled) and each.step_id in ("plan", "a")
    ]
    made.events += kept
    made.rows = list(chained(genesis(RUN), 1, made.events))
    made.replies["b"] = [ok("better")]
    await made.clock.advance(60)
    await made.drive()
    return made


@recorded
async def program() -> World:
    """A program: calls together, a signal, a skill that is not there; its process dies once."""
    digest = bytes_hash(PROGRAM.encode())
    made = world(program={"name": "agent.py", "hash": digest, "entry": "agent"})
    made.family.sources[digest] = PROGRAM
    made.replies["s1"] = [ok(10)]
    drive = made.begin()
    while len(made.waiting) < 2:
        assert not drive.done(), drive.result()
        await made.breathe()
    await made.later(1)
    await made.crash()
    (first, second) = ("s2", "s3")
    made.replies |= {first: [ok(20)], second: [permanent()]}
    await made.begin()
    made.say("signal", name="go", payload="now")
    made.epoch += 1
    await made.begin()
    return made


PROGRAM = """
async def agent(ctx, goal):
    first = await ctx.call("look", n=1)
    two, three = await ctx.gather(
        ctx.call("look", n=2), ctx.call("look", n=3), return_exceptions=True
    )
    word = await ctx.signal("go")
    try:
        await ctx.call("nothing")
    except Exception as error:
        word = [word, error.code, str(ctx.uuid())]
    return [goal, first, two, str(three), word]
"""


def trace_of(made: World) -> str:
    """The world's journal as a trace, its values with it."""
    values = {digest: json.loads(content) for digest, content in made.blobs.items()}
    return write_trace(RUN, "default", made.rows, values)


async def main() -> None:
    configure("warning")
    signer = Signer.make()
    index: dict[str, str] = json.loads(INDEX.read_text()) if INDEX.exists() else {}
    wanted = sys.argv[1:] or [name for name in SCENARIOS if name not in index]
    if not wanted:
        return
    with (HERE / "golden.pub").open("a") as keys:
        keys.write(signer.public_key + "\n")
    for name in wanted:
        made = await SCENARIOS[name]()
        assert made.state.finished is not None, f"{name} is not over: {made.log}"
        file = HERE / f"{name}.jsonl"
        file.write_text(trace_of(made))
        file.with_suffix(".jsonl.sig").write_text(signer.sign(file.read_bytes()))
        index[name] = signature(behaviour(RUN, made.events))
        print(f"{name}: {len(made.rows)} events, {made.state.status}")  # noqa: T201
    INDEX.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
