"""Limits of single processes, held by the kernel: each test in a process of its own, no Ray."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aos.actors.activation import EXIT_TAINTED

ROOT = Path(__file__).parents[2]
PLUGIN = ROOT / "tests/plugin"

LIMITS = """
import json, resource, sys, threading
from aos.cluster import memory
from aos.cluster.memory import MIB, limited

def soft(): return resource.getrlimit(resource.RLIMIT_DATA)[0]
def fits(mib):
    try:
        bytearray(mib * MIB)
    except MemoryError:
        return False
    return True
def say(**facts): print(json.dumps(facts))
"""

CALLS = """
import asyncio, json, sys, time
from aos.actors.worker import perform, registry
from aos.cluster import memory
from aos.skills.call import SkillCall

registry()

def call(how, megabytes, skill="hoard"):
    payload = SkillCall(
        run_id="r", step_id="s", attempt=1, skill=skill, version="", params={"how": how,
        "megabytes": megabytes}, idempotency_key="k", seed=0, tenant="t", trace_id="0" * 32,
    ).model_dump_json()
    generator, items = perform(payload), []
    try:
        while True:
            items.append(next(generator))
    except StopIteration as stop:
        spent = stop.value
    outcomes = [json.loads(text.partition(" ")[2]) for kind, text in items if kind == "outcome"]
    assert len(outcomes) == 1, items
    print(json.dumps({"spent": spent, "data": memory.data_size(), **outcomes[0]}), flush=True)
"""


def run(program: str, **environment: str) -> list[dict[str, Any]]:
    """What a program printed, line by line. It has to end well."""
    return [json.loads(line) for line in ended(program, 0, **environment).splitlines()]


def ended(program: str, code: int, **environment: str) -> str:
    paths = [str(PLUGIN), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout


def test_what_is_over_the_limit_is_refused_and_the_limit_is_put_back() -> None:
    (facts,) = run(
        LIMITS
        + """
before = soft()
with limited(100 * MIB):
    inside = memory.under_limit(), fits(50), fits(150)
say(same=soft() == before, inside=inside, after=[memory.under_limit(), fits(150)])
"""
    )
    assert facts == {"same": True, "inside": [True, True, False], "after": [False, True]}


def test_it_is_put_back_with_not_a_block_left() -> None:
    """An error on its way holds everything that its frames hold."""
    (facts,) = run(
        LIMITS
        + """
def hoard():
    held, size = [], 64 * MIB
    while True:
        try:
            held.append(bytearray(size))
        except MemoryError:
            if size < 100:
                raise
            size //= 2
before = soft()
try:
    with limited(60 * MIB):
        hoard()
except MemoryError as error:
    full = memory.data_size()
    say(same=soft() == before, fits=fits(100), full=full > 60 * MIB)
"""
    )
    assert facts == {"same": True, "fits": True, "full": True}


def test_of_several_the_lowest_holds_in_whatever_order_they_close() -> None:
    (facts,) = run(
        LIMITS
        + """
wide, narrow = limited(300 * MIB), limited(100 * MIB)
wide.__enter__()
narrow.__enter__()
both = fits(200)
wide.__exit__(None, None, None)
one = fits(200), memory.under_limit()
narrow.__exit__(None, None, None)
say(both=both, one=one, none=[fits(400), memory.under_limit()])
"""
    )
    assert facts == {"both": False, "one": [False, True], "none": [True, False]}


def test_a_limit_that_was_there_is_neither_raised_nor_lost() -> None:
    (facts,) = run(
        """
import resource
resource.setrlimit(resource.RLIMIT_DATA, (400 << 20, resource.RLIM_INFINITY))
"""
        + LIMITS
        + """
with limited(1000 * MIB):
    inside = soft() >> 20
memory.limit(1000 * MIB)
for_good = soft() >> 20
memory.lift()
say(inside=inside, for_good=for_good, after=soft() >> 20)
"""
    )
    assert facts == {"inside": 400, "for_good": 400, "after": 400}


def test_a_limit_for_good_counts_from_what_there_is_and_replaces_the_last() -> None:
    (facts,) = run(
        LIMITS
        + """
memory.limit(50 * MIB)
first = fits(100)
memory.limit(200 * MIB)
second = fits(100), fits(300)
memory.limit(None)
say(first=first, second=second, none=fits(300))
"""
    )
    assert facts == {"first": False, "second": [True, False], "none": True}


def test_a_thread_and_a_child_are_under_it_too() -> None:
    (facts,) = run(
        LIMITS
        + """
import subprocess
found = []
with limited(100 * MIB):
    thread = threading.Thread(target=lambda: found.append(fits(200)))
    thread.start()
    thread.join()
    child = subprocess.run([sys.executable, "-c", "bytearray(1000 << 20)"], stderr=-1)
say(thread=found, child=child.returncode, why=child.stderr.decode().split()[-1])
"""
    )
    assert facts == {"thread": [False], "child": 1, "why": "MemoryError"}


def test_a_system_that_does_not_hold_to_limits_is_refused() -> None:
    """Such as gVisor: it takes them."""
    (facts,) = run(
        LIMITS
        + """
resource.setrlimit = lambda *_: None
try:
    with limited(1):
        pass
except memory.LimitNotEnforced as error:
    say(code=error.code)
"""
    )
    assert facts == {"code": "AOS-6008"}


def test_ranks_of_the_kernels_killer() -> None:
    (facts,) = run(
        LIMITS
        + """
from pathlib import Path
score = lambda: int(Path("/proc/self/oom_score_adj").read_text())
scores = [score()]
for rank in (memory.Rank.SKILL, memory.Rank.AGENT):
    memory.take_rank(rank)
    scores.append(score())
say(scores=scores)
"""
    )
    base, skill, agent = facts["scores"]
    assert (skill, agent) == (1000, base + (1000 - base) // 2)
    assert base < agent < skill


def test_a_skill_that_leaks_is_told_so_and_its_process_is_spent() -> None:
    (outcome,) = run(CALLS + 'call("leak", 500)')
    assert (outcome["code"], outcome["spent"]) == ("ERR_OUT_OF_MEMORY", "spent")
    assert "effect" not in outcome, "a pure skill has none"
    assert outcome["message"] == (
        "hoard@1.0.0 needed more than the 200 MiB that it declares: raise memory_mb in its "
        "ResourceContract, or give it less to do"
    )
    assert outcome["details"] == {"memory_mb": 200}


def test_a_write_that_ran_out_of_memory_may_have_happened() -> None:
    (outcome,) = run(CALLS + 'call("pass", 500, "hoard_unsafely")')
    assert (outcome["code"], outcome["effect"]) == ("ERR_OUT_OF_MEMORY", "unknown")


def test_skills_that_declare_nothing_have_the_setting() -> None:
    (outcome,) = run(
        CALLS.replace("registry()\n", """
import aos_test_skills
for skill in registry()._versions["hoard"].values():
    resources = skill.descriptor.resources.model_copy(update={"memory_mb": 0})
    skill.descriptor = skill.descriptor.model_copy(update={"resources": resources})
""", 1) + 'call("leak", 500)',
        AOS_SKILL_MEMORY_MB="150",
    )  # fmt: skip
    assert outcome["code"] == "ERR_OUT_OF_MEMORY"
    assert "more than 150 MiB, the limit of skills that declare none" in outcome["message"]


@pytest.mark.parametrize(("how", "megabytes"), [("pass", 100), ("catch", 500), ("child", 5_000)])
def test_a_process_in_which_all_ended_well_is_used_again(how: str, megabytes: int) -> None:
    first, second = run(CALLS + f'call("{how}", {megabytes})\ncall("pass", 150)')
    assert (first["code"], first["spent"]) == ("OK", None)
    assert (second["code"], second["spent"]) == ("OK", None), "and has all of the room again"
    expected = {"pass": "", "catch": "did with less", "child": "MemoryError"}
    assert first["output"]["note"] == expected[how]


def test_a_thread_of_a_skill_runs_out_of_memory() -> None:
    (outcome,) = run(CALLS + 'call("thread", 500)')
    assert (outcome["code"], outcome["spent"]) == ("ERR_OUT_OF_MEMORY", "spent")


def test_what_a_timed_out_skill_has_left_running_stays_under_a_limit() -> None:
    outcome, after = run(
        CALLS
        + """
import threading
refused = threading.Event()
threading.excepthook = lambda args: refused.set()
call("abandoned thread", 100_000, "hoard_unsafely")
assert refused.wait(30)
print(json.dumps({"data": memory.data_size()}))
"""
    )
    assert outcome["code"] == "ERR_TIMEOUT"
    assert after["data"] - outcome["data"] < 256 * 1024 * 1024, "of the 100,000 MiB it wanted"


def test_a_process_whose_skill_cannot_be_stopped_is_spent() -> None:
    (outcome,) = run(CALLS + 'call("stubborn", 0, "hoard_unsafely")')
    assert (outcome["code"], outcome["spent"]) == ("ERR_TIMEOUT", "spent")


def test_a_leak_from_call_to_call_ends_the_process_before_it_takes_the_machine() -> None:
    """Each call gets its full room, so no call fails for what the ones before it kept."""
    outcomes = run(CALLS + 'call("leak", 90)\ncall("leak", 180)\ncall("leak", 270)')
    assert [outcome["code"] for outcome in outcomes] == ["OK"] * 3
    assert [outcome["spent"] for outcome in outcomes] == [None, None, "spent"]


def test_memory_that_runs_out_in_our_own_frames_is_an_outcome_too() -> None:
    """While threads of the skill hold everything, any allocation may be the one refused."""
    (outcome,) = run(
        CALLS
        + """
from aos.actors import worker
async def refused(events):
    await anext(events, None)
    memory.limit(0)
    bytearray(1 << 22)
worker._next = refused
call("pass", 1, "hoard_unsafely")
"""
    )
    assert (outcome["code"], outcome["spent"]) == ("ERR_OUT_OF_MEMORY", "spent")
    assert (outcome["effect"], outcome["skill"]) == ("unknown", "hoard_unsafely")


LIFE = """
import asyncio
from aos.actors import activation
from aos.actors.farewell import Farewell
def a_life():
    life = object.__new__(activation.Activation)
    life._farewell, life._main, life.drivers = Farewell(), asyncio.current_task(), {}
    return life
"""


def test_an_agent_leaves_even_if_there_is_no_memory_for_last_words() -> None:
    ended(
        LIFE
        + """
def no_memory(*_, **__): raise MemoryError
async def main():
    activation.log = type("Log", (), {"error": no_memory})
    activation.lift = no_memory
    await a_life()._leave_after(MemoryError())
asyncio.run(main())
""",
        EXIT_TAINTED,
    )


def test_an_agent_leaves_when_memory_runs_out_where_no_task_awaits_it() -> None:
    ended(
        LIFE
        + """
async def main():
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(a_life().on_loop_error)
    loop.call_soon(lambda: bytearray(1 << 60))
    await asyncio.Event().wait()
asyncio.run(main())
""",
        EXIT_TAINTED,
    )
