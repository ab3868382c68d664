"""The workloads that durable systems are compared by, as commands with their pass rules.

    python benchmarks/workloads.py w2 w3 w4 w7 w8 w9

    W2  200 runs of five writes; SIGKILL of every agent and skill process at 40 %: nothing lost, and
        no more repeated writes than were under way
    W3  an agent is frozen until another process has its runs, then goes on: each step once
    W4  Postgres is away for three seconds, once of its own and once during a recovery: nothing is
        stranded, no answer is wrong
    W7  a run is cancelled while its step blocks its process: the process is gone within a second,
        and what may have happened is recorded
    W8  twenty children at once, SIGKILL in the middle: all of them answer. (That they may not
        overspend together comes with budgets.)
    W9  100,000 finished runs are removed while others go on: `benchmarks/retention.py`

Each prints what it measured and whether it passed; the exit code is 1 if one did not.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from uuid import UUID

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent))

from durable import bed, measure_cancel
from tests.support.effect_ledger import EffectLedger
from tests.support.endings import drained, ends
from tests.support.node import Node
from tests.support.noting import Work, chain, with_children
from tests.support.running import eventually
from tests.support.verdicts import Tally, judge

from aos.skills.contracts import AgentProfile, PlannerChoice

_GRACE = 120.0


@dataclass
class Bed:
    """A running AOS with agents, the world outside, and what was promised so far."""

    aos: Node
    ledger: EffectLedger
    agents: list[str]
    promised: dict[UUID, Work] = field(default_factory=dict[UUID, Work])

    def submit(self, works: list[Work]) -> None:
        """Submit these, evenly over the agents."""
        for number, work in enumerate(works):
            agent = self.agents[number % len(self.agents)]
            self.promised[self.aos.client.runs.create(agent, work.goal).id] = work

    def done(self) -> int:
        """How many effects there are."""
        return len(self.ledger.done())

    def until_done(self, effects: int) -> None:
        """Wait until there are that many."""
        eventually(lambda: self.done() >= effects, 120)

    def judged(self) -> Tally:
        """Wait until all is over, and judge it."""
        return asyncio.run(self._judged())

    async def _judged(self) -> Tally:
        async with self.aos.database() as database:
            await drained(database, _GRACE)
            return judge(self.promised, await ends(database), self.ledger.done())


@dataclass
class Result:
    """What one workload showed. `wrong`: the rules that it broke."""

    facts: dict[str, float]
    wrong: list[str]

    @classmethod
    def of(cls, tally: Tally, **facts: float) -> Result:
        """The invariants that hold for all of them, and what was measured."""
        repeats = float(tally.repeated_idempotent)
        wrong = [f"{name}: {found[:3]}" for name, found in tally.broken.items()]
        return cls({"runs": float(tally.submitted), **facts, "repeats": repeats}, wrong)


@contextmanager
def a_bed(agents: int = 4) -> Iterator[Bed]:
    """A fresh one."""
    with bed(AOS_HEARTBEAT_INTERVAL="1") as (aos, ledger):
        names = [f"bed-{number}" for number in range(agents)]
        for name in names:
            planner = PlannerChoice(name="literal")
            aos.client.agents.create(AgentProfile(name=name, planner=planner))
        yield Bed(aos, ledger, names)


def w2() -> Result:
    with a_bed() as it:
        steps = ["idempotent"] * 5
        it.submit([chain(it.ledger.url, n, *steps, before_ms=200) for n in range(200)])
        it.until_done(400)
        doomed = [*it.aos.those("agent"), *it.aos.those("skill")]
        began, wall, seen = time.monotonic(), time.time(), it.done()
        _signal(doomed, signal.SIGKILL)
        under_way = len(it.agents) * 4  # calls that each agent has under way at the most
        it.until_done(seen + under_way + 1)
        resumed = _at(it, seen + under_way) - wall
        tally = it.judged()
        result = Result.of(tally, resumed_s=resumed, all_s=time.monotonic() - began)
        if tally.repeated_idempotent > under_way:
            result.wrong.append(f"{tally.repeated_idempotent} repeats, {under_way} were under way")
        return result


def w3() -> Result:
    with a_bed(agents=1) as it:
        steps = ["reconciled", "idempotent", "reconciled"]
        it.submit([chain(it.ledger.url, n, *steps, before_ms=300) for n in range(8)])
        it.until_done(4)
        before = it.aos.client.agents.get(it.agents[0])
        assert before.pid is not None
        zombie = psutil.Process(before.pid)
        zombie.suspend()
        began = time.monotonic()
        eventually(lambda: it.aos.client.agents.get(it.agents[0]).epoch > before.epoch, 90)
        taken_over = time.monotonic() - began
        with suppress(psutil.NoSuchProcess):
            zombie.resume()
        result = Result.of(it.judged(), taken_over_s=taken_over)
        psutil.wait_procs([zombie], timeout=10)
        if zombie.is_running() and it.aos.client.agents.get(it.agents[0]).pid == zombie.pid:
            result.wrong.append("the zombie is the agent again")
        return result


def w4() -> Result:
    with a_bed() as it:
        steps = ["read", "reconciled", "idempotent", "reconciled"]
        it.submit([chain(it.ledger.url, n, *steps, before_ms=100) for n in range(60)])
        it.until_done(40)
        _postgres_away(it.aos, 3.0)
        seen = it.done()
        it.until_done(seen + 10)
        _signal(it.aos.those("agent"), signal.SIGKILL)  # whoever recovers this loses Postgres
        began = time.monotonic()
        _postgres_away(it.aos, 3.0)
        return Result.of(it.judged(), all_s=time.monotonic() - began)


def w7() -> Result:
    with a_bed() as it:
        found = measure_cancel(it.aos, it.ledger)
        wrong = [] if found["cancel_s"] <= 1 else [f"the process was there for {found} s"]
        return Result(found, wrong)


def w8() -> Result:
    with a_bed() as it:
        it.submit([with_children(it.ledger.url, 0, 20, it.agents[1])])
        it.until_done(10)
        began = time.monotonic()
        _signal([*it.aos.those("agent"), *it.aos.those("skill")], signal.SIGKILL)
        return Result.of(it.judged(), all_s=time.monotonic() - began)


def w9() -> Result:
    try:
        from retention import measure_retention  # noqa: PLC0415 - not everywhere yet
    except ImportError:
        return Result({}, ["there is no measure of retention here"])
    found: dict[str, float] = measure_retention()
    ratio = found["retention_p99_ratio"]
    return Result(found, [] if ratio <= 1.5 else [f"p99 rises {ratio:.2f} times"])


WORKLOADS: dict[str, Callable[[], Result]] = {
    each.__name__: each for each in (w2, w3, w4, w7, w8, w9)
}


def _signal(processes: list[psutil.Process], number: int) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _postgres_away(aos: Node, seconds: float) -> None:
    """`pg_ctl stop -m immediate`, and nobody starts it for so long."""
    keeper, server = aos.process, aos.postmaster
    assert keeper is not None
    keeper.suspend()
    try:
        if server is not None:
            server.send_signal(signal.SIGQUIT)
            psutil.wait_procs([server], timeout=10)
        time.sleep(seconds)
    finally:
        keeper.resume()


def _at(it: Bed, number: int) -> float:
    """When an effect was, as Unix seconds."""
    return datetime.fromisoformat(it.ledger.done()[number].at).timestamp()


def main(chosen: list[str]) -> int:
    """Run these, or all."""
    if unknown := sorted(set(chosen) - WORKLOADS.keys()):
        print(f"no workload {', '.join(unknown)}; there are {', '.join(WORKLOADS)}")
        return 2
    failed = False
    for name in chosen or WORKLOADS:
        result = WORKLOADS[name]()
        facts = ", ".join(f"{fact} {value:.2f}" for fact, value in result.facts.items())
        print(f"{name}: {'FAILED' if result.wrong else 'passed'}: {facts}", flush=True)
        for wrong in result.wrong:
            print(f"    {wrong}", flush=True)
        failed = failed or bool(result.wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
