"""Which processes are skills and agents, by the titles that Ray gives them: with real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from aos.cluster.memory import MIB
from aos.supervisors.governor import Kill, Kind, Passivate, decide
from aos.supervisors.survey import survey

LIMITED = """
from aos.cluster.memory import MIB, limit
limit(700 * MIB)
"""

SHARES_80 = """
import mmap
shared = mmap.mmap(-1, 80 * MIB)
for offset in range(0, 80 * MIB, 4096):
    shared[offset] = 1
"""

Start = Callable[..., int]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a child of ours under a title, which is ready when this returns."""
    with ExitStack() as running:

        def start(title: str, program: str = "") -> int:
            ready = "\nimport sys; print(1, flush=True); sys.stdin.read()"
            child = running.enter_context(
                subprocess.Popen(
                    [title, "-c", program + ready],
                    executable=sys.executable, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                )
            )  # fmt: skip
            running.callback(child.kill)
            assert child.stdout is not None
            assert child.stdout.readline() == b"1\n"
            return child.pid

        yield start


def test_what_is_ours_is_told_by_its_title(start: Start) -> None:
    skill = start("ray::skill:http_call@1.2.0", LIMITED)
    idle = start("ray::IDLE")
    busy, resting = start("ray::AgentActor.watch", LIMITED), start("ray::AgentActor")
    service = start("ray::ServiceActor.watch", LIMITED)
    for stranger in ("ray::AgentSupervisor.watch", "ray::RootSupervisor", "ray::IDLE_SpillWorker"):
        start(stranger)
    start("ray::AgentActors")
    start("python")
    found = survey({busy: 0.0, resting: 60.0}, 1, os.getpid())
    by_pid = {each.pid: each for each in found.processes}
    told = {pid: (each.kind, each.name, each.idle) for pid, each in by_pid.items()}
    assert told == {
        skill: (Kind.SKILL, "skill:http_call@1.2.0", None),
        idle: (Kind.SKILL, "an idle worker", 0.0),
        service: (Kind.SKILL, "a service", None),
        busy: (Kind.AGENT, "an agent", None),
        resting: (Kind.AGENT, "an agent", 60.0),
    }
    assert by_pid[skill].contract > 700 * MIB, "the limit that the process has set itself"
    assert by_pid[busy].contract > 700 * MIB
    assert by_pid[resting].contract == 0
    assert found.budget == MIB
    assert found.used > sum(each.resident for each in found.processes), "we ourselves count"
    actions = decide(found.processes, found.used, found.budget)
    assert [type(action) for action in actions] == [Passivate, Kill]


def test_what_its_children_hold_is_a_skills_own(start: Start) -> None:
    holds = "x = bytearray(b'x' * (100 << 20)); print(1, flush=True); import sys; sys.stdin.read()"
    parent = f"""
import subprocess
child = subprocess.Popen([{sys.executable!r}, "-c", {holds!r}], stdin=-1, stdout=-1)
child.stdout.readline()
"""
    skill = start("ray::skill:parent@1.0.0", parent)
    (found,) = survey({}, 1, os.getpid()).processes
    assert found.pid == skill
    assert found.resident > 100 * MIB


def test_shared_memory_counts_which_no_limit_of_a_process_sees(start: Start) -> None:
    start("ray::skill:sharer@1.0.0", LIMITED.replace("700", "10") + SHARES_80)
    (found,) = survey({}, 1, os.getpid()).processes
    assert found.resident > 80 * MIB


def test_while_memory_is_plentiful_nobody_looks_for_processes(start: Start) -> None:
    start("ray::skill:http_call@1.2.0")
    found = survey({}, None, os.getpid())
    assert found.processes == ()
    assert 0 < found.used < found.budget
    assert decide(found.processes, found.used, found.budget) == ()


def test_a_raylet_that_is_gone_has_no_processes() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    found = survey({}, 256, done.pid)
    assert (found.processes, found.used) == ((), 0)
